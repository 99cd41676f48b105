"""Gives the records of a file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RetryableError
from queueconnector_core.record import Batch, Metadata, Original, Record, Value
from queueconnector_memory.checkpoint import Checkpoint
from queueconnector_memory.file_descriptors import FileSourceDescriptor
from queueconnector_memory.lines import MAX_LINE_BYTES, line_reader
from queueconnector_memory.reading import LineFile, Piece, Place

__all__ = ("FileSource",)

logger = logging.getLogger(__name__)

LINE = "line"
"""The label of a whole line, in place of the octets of a value; the name of no codec."""

LOOK_AGAIN_S = 0.05
"""A source that follows its file looks for more so many seconds after it found nothing."""


class FileSource:
    """Reads lines, from the beginning or from the checkpoint, with all that they tell.

    With a checkpoint every record is delivered at least once over restarts; after a clean stop
    none comes again. A file that was replaced, or cut, is read from its beginning.
    """

    def __init__(self, descriptor: FileSourceDescriptor, context: BuildContext) -> None:
        self._descriptor = descriptor
        self._name = context.name
        self._read_line = line_reader(
            context.spec, descriptor.codec(context.spec, context.registry)
        )
        self._file = LineFile(descriptor.path, follow=descriptor.follow)
        self._checkpoint: Checkpoint | None = None
        self._resume: Place | None = None
        self._ending = asyncio.Event()

    async def start(self) -> None:
        """Open the file.

        Raises `RetryableError` while it cannot be opened, `FatalError` for a checkpoint that
        cannot be understood.
        """
        self._ending.clear()
        place, self._resume = self._resume, None
        if place is None and self._descriptor.checkpoint is not None:
            self._checkpoint = Checkpoint(self._descriptor.checkpoint)
            place = await self._checkpoint.load()
        if not await asyncio.to_thread(self._file.open, place):
            logger.warning(
                "%s: %s is not the file that was read before: reading it from its beginning",
                self._name,
                self._descriptor.path,
            )

    async def read(self) -> AsyncIterator[Batch]:
        """Batches of lines; the end of the file ends it, unless it is followed.

        A line that is no record becomes a failure of its batch. Raises `RetryableError` when the
        disk fails.
        """
        reached: Place | None = None
        while not self._ending.is_set():
            try:
                pieces = await asyncio.to_thread(self._file.next)
            except RetryableError:
                self._resume = reached
                raise
            if pieces:
                reached = pieces[-1].after
                yield self._batch(pieces)
            elif self._descriptor.follow:
                await self._look_again()
            else:
                return

    async def drain(self) -> None:
        """Make `read` end; what it gave can still be acknowledged."""
        self._ending.set()

    async def stop(self) -> None:
        """Make `read` end, close the file and keep the checkpoint. Idempotent."""
        self._ending.set()
        await asyncio.to_thread(self._file.close)
        # A lost connection is opened again: what is under way is acknowledged after that.
        if self._checkpoint is not None and self._resume is None:
            await self._checkpoint.close()

    async def _look_again(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._ending.wait()
        except TimeoutError:
            return

    def _batch(self, pieces: Sequence[Piece]) -> Batch:
        values: list[Value] = []
        metadata: list[Metadata] = []
        failures: list[RecordError] = []
        for piece in pieces:
            try:
                record = self._record(piece)
            except RecordError as error:
                failures.append(self._told(piece, error))
            else:
                values.append(record.value)
                metadata.append(record.metadata)
        batch = Batch(values, metadata, failures)
        if self._checkpoint is None:
            return batch
        acknowledgement = self._checkpoint.expect(pieces[-1].after)
        return attrs.evolve(batch, acknowledgements=(acknowledgement,))

    def _record(self, piece: Piece) -> Record:
        if piece.octets is None:
            raise RecordError(f"found a line of more than {MAX_LINE_BYTES} octets")
        return self._read_line(piece.octets)

    def _told(self, piece: Piece, error: RecordError) -> RecordError:
        position = f"{self._descriptor.path}@{piece.offset}"
        original = None if piece.octets is None else Original((LINE, piece.octets))
        whole = Metadata(position=position, original=original)
        return RecordError(f"{position}: {error}", origins=error.origins or [whole])
