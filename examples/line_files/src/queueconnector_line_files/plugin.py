"""A complete plugin: a source and a sink, what a user may write for them, and the hook.

One module is enough here. A plugin on a client library such as Kafka's keeps the components in
modules of their own and imports those in the factories, so that listing it imports no library.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal, TextIO

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext, ComponentKind, ComponentType, Guarantee
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError, EndOfStream, RecordError, RetryableError
from queueconnector_core.hookspecs import hookimpl
from queueconnector_core.record import Record
from queueconnector_core.registry import Registry
from queueconnector_core.simple import RecordSink, RecordSource

__all__ = (
    "LineFileSourceDescriptor",
    "LineFileSinkDescriptor",
    "LineFileSource",
    "LineFileSink",
    "queueconnector_components",
)

logger = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.1
"""How long a source that follows its file waits before it looks for more, in seconds."""

FilePath = Annotated[str, Meta(description="The path of the text file, in UTF-8.", min_length=1)]


@attrs.frozen
class LineFileSourceDescriptor(SourceDescriptor):
    """Gives each line of a text file."""

    path: FilePath
    follow: Annotated[
        bool, Meta(description="True: wait for more at the end of the file. False: end there.")
    ] = False

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Refuses everything but text."""
        _check_text(spec)


@attrs.frozen
class LineFileSinkDescriptor(SinkDescriptor):
    """Appends each record to a text file, as one line."""

    path: FilePath

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Refuses everything but text."""
        _check_text(spec)


def _check_text(spec: DataSpec) -> None:
    if not (spec.is_text and spec.is_scalar):
        raise ConfigError.at("", f'found dtype {spec}; a line is text: use "str" without a shape')


class LineFileSource(RecordSource):
    """Reads a file from its first line on."""

    def __init__(self, descriptor: LineFileSourceDescriptor, context: BuildContext) -> None:
        super().__init__()
        self._path = Path(descriptor.path)
        self._follow = descriptor.follow
        self._opened = ExitStack()
        self._file: TextIO

    async def start(self) -> None:
        """Open the file; the runner tries again while there is none."""
        await super().start()
        file = await asyncio.to_thread(_open, self._path, "r")
        self._file = self._opened.enter_context(file)

    async def read_record(self) -> Record:
        """The next whole line, without its end; the last one may lack it."""
        line = ""
        while not line.endswith("\n"):
            more = await asyncio.to_thread(self._file.readline)
            line += more
            if not more and self._follow:
                await asyncio.sleep(LOOK_AGAIN_S)
            elif not more and not line:
                raise EndOfStream
            elif not more:
                break
        return Record(line.removesuffix("\n"))

    async def stop(self) -> None:
        """End the reading, then close the file."""
        await super().stop()
        await asyncio.to_thread(self._opened.close)


class LineFileSink(RecordSink):
    """Appends to a file; what was there stays."""

    def __init__(self, descriptor: LineFileSinkDescriptor, context: BuildContext) -> None:
        self._path = Path(descriptor.path)
        self._opened = ExitStack()
        self._file: TextIO

    async def start(self) -> None:
        """Open the file; the runner tries again while that cannot be done."""
        file = await asyncio.to_thread(_open, self._path, "a")
        self._file = self._opened.enter_context(file)

    async def write_record(self, record: Record) -> None:
        """Append one line; raises `RecordError` for text that would become several."""
        line = str(record.value)
        if "\n" in line:
            raise RecordError(f"found {line[:40]!r}; a line has no line break in it")
        if self._file.closed:
            logger.warning("%s: a record came after stop", self._path)
            return
        await asyncio.to_thread(self._file.write, line + "\n")

    async def stop(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._opened.close)


def _open(path: Path, mode: Literal["r", "a"]) -> TextIO:
    """Open a file whose lines are on disk as soon as they were written."""
    try:
        return path.open(mode, buffering=1, encoding="utf-8", newline="\n")
    except OSError as error:
        raise RetryableError(f"cannot open {path}: {error.strerror}") from error


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """What this plugin adds to the types that a configuration may name."""
    yield ComponentType(
        "LineFileSource",
        ComponentKind.SOURCE,
        LineFileSource,
        LineFileSourceDescriptor,
        guarantee=Guarantee.AT_LEAST_ONCE,
    )
    yield ComponentType(
        "LineFileSink",
        ComponentKind.SINK,
        LineFileSink,
        LineFileSinkDescriptor,
        guarantee=Guarantee.AT_LEAST_ONCE,
    )
