"""Whether the files that are configured may be used; none is opened for writing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import Problem, RecordError, RetryableError
from queueconnector_memory.file_descriptors import FileSinkDescriptor, FileSourceDescriptor
from queueconnector_memory.lines import line_reader
from queueconnector_memory.reading import LineFile

__all__ = ("probe_sink", "probe_source")


async def probe_source(descriptor: FileSourceDescriptor, context: BuildContext) -> list[Problem]:
    """The file, and whether its first line is a record of the exchange."""
    return await asyncio.to_thread(lambda: list(_source_problems(descriptor, context)))


async def probe_sink(descriptor: FileSinkDescriptor, _: BuildContext) -> list[Problem]:
    """The folder, and the file where there is one already."""
    return await asyncio.to_thread(lambda: list(_written(Path(descriptor.path), "path")))


def _source_problems(descriptor: FileSourceDescriptor, context: BuildContext) -> Iterator[Problem]:
    if descriptor.checkpoint is not None:
        yield from _written(Path(descriptor.checkpoint), "checkpoint")
    file = LineFile(descriptor.path, follow=descriptor.follow)
    try:
        file.open(None)
        pieces = file.next()
    except RetryableError as error:
        yield Problem("path", str(error))
        return
    finally:
        file.close()
    read = line_reader(context.spec, descriptor.codec(context.spec, context.registry))
    for piece in pieces[:1]:
        try:
            read(piece.octets or b"")
        except RecordError as error:
            text = f"the first line of {descriptor.path} is no {context.spec}: {error}"
            yield Problem("path", f"{text}; dtype, shape and encoding must be those of the file")


def _written(path: Path, option: str) -> Iterator[Problem]:
    """Why a file could not be written."""
    if path.is_dir():
        yield Problem(option, f"{path} is a folder; name a file")
    elif path.exists() and not os.access(path, os.W_OK):
        yield Problem(option, f"{path} may not be written")
    elif not path.parent.is_dir():
        yield Problem(option, f"the folder {path.parent} does not exist; make it")
    elif not path.exists() and not os.access(path.parent, os.W_OK):
        yield Problem(option, f"in the folder {path.parent} nothing may be written")
