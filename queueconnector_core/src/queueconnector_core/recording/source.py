"""Gives the records of a recording again, in their own time or faster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.conversion import converter
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.errors import ConfigError, FatalError, RecordError, RetryableError
from queueconnector_core.record import Batch, Metadata, Original, Record, Value
from queueconnector_core.recording.container import Recording, RecordingError
from queueconnector_core.recording.entry import Entry

__all__ = ("ReplaySource", "ReplaySourceDescriptor")

MOST: Final = 256
MOST_OCTETS: Final = 2**20
"""So much is read at a time, and held."""
TOGETHER_S: Final = 0.001
"""Records that are due within so many seconds go together."""


@attrs.frozen
class ReplaySourceDescriptor(SourceDescriptor):
    """Gives the records of a recording again, as `queueconnector record` wrote them, then ends."""

    path: Annotated[str, Meta(description="The recording.")]
    speed: Annotated[
        float | None,
        Meta(
            description="How many times faster than they were made, by their time stamps; a record "
            "without one follows at once. null: as fast as possible.",
            gt=0,
        ),
    ] = 1.0


class ReplaySource:
    """Reads the file from its beginning after each start; all is as it was recorded."""

    def __init__(self, descriptor: ReplaySourceDescriptor, context: BuildContext) -> None:
        self._path = Path(descriptor.path)
        self._speed = descriptor.speed
        self._convert = converter(context.spec)
        self._opening: asyncio.Future[Recording] | None = None
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Open the file.

        Raises `RetryableError` while it cannot be opened, `FatalError` when it is no recording.
        """
        await self._close()
        self._stopped.clear()
        # A start that is cancelled leaves a thread that opens: `stop` closes what it opened.
        self._opening = asyncio.ensure_future(asyncio.to_thread(Recording, self._path))
        try:
            await asyncio.shield(self._opening)
        except OSError as error:
            raise RetryableError(f"cannot open {self._path}: {error.strerror}") from error
        except (RecordingError, ConfigError) as error:
            raise FatalError(str(error)) from None

    async def read(self) -> AsyncIterator[Batch]:
        """Batches of records that are due; a file that is cut off ends in a failure."""
        if self._opening is None:
            return
        recording, pace = self._opening.result(), _Pace(self._speed)
        while not self._stopped.is_set():
            try:
                entries = await asyncio.to_thread(recording.take, MOST, MOST_OCTETS)
            except RecordError as error:
                yield Batch([], failures=[error])
                return
            if not entries:
                return
            for due_s, part in pace.parts(entries):
                if await self._stopped_before(due_s):
                    return
                yield self._batch(part)

    async def stop(self) -> None:
        """End `read` and close the file. Idempotent, safe before `start`."""
        self._stopped.set()
        await self._close()

    async def _close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            await asyncio.wait((opening,))
            if opening.exception() is None:
                await asyncio.to_thread(opening.result().close)

    async def _stopped_before(self, due_s: float) -> bool:
        """Wait until a moment of the loop's clock; whether `stop` came first."""
        if self._stopped.is_set() or due_s <= asyncio.get_running_loop().time():
            return self._stopped.is_set()
        try:
            async with asyncio.timeout_at(due_s):
                return await self._stopped.wait()
        except TimeoutError:
            return False

    def _batch(self, entries: Sequence[Entry]) -> Batch:
        records: list[Record] = []
        failures: list[RecordError] = []
        for entry in entries:
            try:
                records.append(entry.record(self._convert))
            except RecordError as error:
                failures.append(_told(entry, error))
        values = [record.value for record in records]
        return Batch(values, [record.metadata for record in records], failures)


def _told(entry: Entry, error: RecordError) -> RecordError:
    """The failure with what stands in the recording."""
    content: Value | bytes
    try:
        content = entry.any_value()
    except RecordError:
        content = entry.value
    known: Metadata = attrs.evolve(entry.metadata(), original=Original(content))
    return RecordError(str(error), origins=[known])


class _Pace:
    """Says when records are due: the first at once, later ones by the time between their stamps."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._begin_s = asyncio.get_running_loop().time()
        self._first_ns: int | None = None
        self._due_s = self._begin_s

    def parts(self, entries: Sequence[Entry]) -> Iterator[tuple[float, Sequence[Entry]]]:
        """The entries in order, those that are due together in one part with its moment."""
        begin, due_s = 0, self._due_s
        for index, entry in enumerate(entries):
            self._due_s = self._due_of(entry)
            if index > begin and self._due_s > due_s + TOGETHER_S:
                yield due_s, entries[begin:index]
                begin = index
            if index == begin:
                due_s = self._due_s
        yield due_s, entries[begin:]

    def _due_of(self, entry: Entry) -> float:
        """In seconds of the loop's clock; no record is due before the one that precedes it."""
        if self._speed is None or entry.time_ns is None:
            return self._due_s
        if self._first_ns is None:
            self._first_ns = entry.time_ns
            self._begin_s = self._due_s
        after_s = (entry.time_ns - self._first_ns) / 1e9 / self._speed
        return max(self._due_s, self._begin_s + after_s)
