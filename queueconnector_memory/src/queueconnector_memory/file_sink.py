"""Appends records to a file."""

from __future__ import annotations

import asyncio
import logging

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RecordErrors
from queueconnector_core.record import Batch
from queueconnector_memory.appending import Appender
from queueconnector_memory.file_descriptors import FileSinkDescriptor
from queueconnector_memory.lines import line_writer

__all__ = ("FileSink",)

logger = logging.getLogger(__name__)


class FileSink:
    """Writes one line for each record; `write` returns when the disk has them.

    A file that was moved away is begun anew under its path. A line that a crash has torn is cut off
    by the next start.
    """

    def __init__(self, descriptor: FileSinkDescriptor, context: BuildContext) -> None:
        self._path = descriptor.path
        self._write_line = line_writer(
            context.spec, descriptor.codec(context.spec, context.registry)
        )
        self._file = Appender(descriptor.path, descriptor.max_bytes)
        self._full = f"{descriptor.path} would be larger than max_bytes = {descriptor.max_bytes}"
        self._is_open = False

    async def start(self) -> None:
        """Open the file.

        Raises `RetryableError` while it cannot be had (another program writes it, its folder is
        not there), `FatalError` for one that may not be written, or is no file of records.
        """
        await asyncio.to_thread(self._file.open)
        self._is_open = True

    async def write(self, batch: Batch) -> None:
        """Append all records, and wait for the disk once.

        Raises `RecordErrors` for those that the encoding or the bound forbids, `RetryableError`
        when the disk is full or fails: then none of the batch is in the file. After `stop` it warns
        and writes nothing.
        """
        if not self._is_open:
            logger.warning("%s: not open, %d records not written", self._path, len(batch))
            return
        lines: list[bytes] = []
        indices: list[int] = []
        failures: dict[int, RecordError] = {}
        for index, record in enumerate(batch.records()):
            try:
                lines.append(self._write_line(record))
                indices.append(index)
            except RecordError as error:
                failures[index] = error
        written = await asyncio.to_thread(self._file.append, lines)
        failures |= {index: RecordError(self._full) for index in indices[written:]}
        if failures:
            raise RecordErrors(dict(sorted(failures.items())))

    async def stop(self) -> None:
        """Close the file after a write that is under way. Idempotent, safe before `start`."""
        self._is_open = False
        await asyncio.to_thread(self._file.close)
