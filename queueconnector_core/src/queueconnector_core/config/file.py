"""The source of configurations in a file, or in the files of a directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import msgspec

from queueconnector_core.config.descriptors import ONLY_DOCUMENT, FileConfigSourceDescriptor
from queueconnector_core.config.documents import ABSENT, Documents
from queueconnector_core.config.protocol import ConfigContext, ConfigEvent, ConfigReport
from queueconnector_core.errors import FatalError, RetryableError

__all__ = ("FileConfigSource",)


class FileConfigSource:
    """Looks for changes again and again; whatever touches the disk does so in a thread."""

    def __init__(self, descriptor: FileConfigSourceDescriptor, context: ConfigContext) -> None:
        self._poll_s = descriptor.poll_s
        self._status_dir = Path(descriptor.status_dir) if descriptor.status_dir else None
        self._host = context.host
        self._documents = Documents(descriptor.path, settle_s=descriptor.poll_s)

    async def follow(self) -> AsyncIterator[ConfigEvent]:
        """The documents, `Synced`, and every change; never ends by itself."""
        while True:
            for event in await asyncio.to_thread(self._documents.poll):
                yield event
            await asyncio.sleep(self._poll_s)

    async def report(self, report: ConfigReport) -> None:
        """Replace the report of the document, or remove it when the document is gone.

        Raises `FatalError` when the files may not be written, `RetryableError` for anything else.
        """
        seen = ABSENT if report.state is None else report.seen
        if self._status_dir is None or seen != self._documents.newest(report.key):
            return
        path = self._status_dir / f"{report.key or ONLY_DOCUMENT}.json"
        told = {"host": self._host} | attrs.asdict(report, recurse=False)
        text = None if report.state is None else msgspec.json.encode(told)
        try:
            await asyncio.to_thread(_replace, path, text)
        except PermissionError as error:
            raise FatalError(f"may not write reports: {error}") from error
        except OSError as error:
            raise RetryableError(f"cannot write reports: {error}") from error

    async def stop(self) -> None:
        """Nothing: no file stays open."""


def _replace(path: Path, text: bytes | None) -> None:
    """Put a text in the place of a file at once, so that nobody reads half of it; None: remove."""
    if text is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, and no *.json: a reader of the directory leaves it out.
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_bytes(msgspec.json.format(text, indent=2) + b"\n")
    unfinished.replace(path)
