"""The one-record forms: write one method, get a source, a pipe or a sink.

They cost a batch per record at the source, nothing at pipe and sink. A component on a fast
transport implements the batch methods of `queueconnector_core.protocols` itself.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator
from typing import Literal

from queueconnector_core.errors import EndOfStream, RecordError, RecordErrors
from queueconnector_core.record import Batch, Record, Value

__all__ = ("RecordSource", "ValuePipe", "RecordSink")


class RecordSource(abc.ABC):
    """A source that gives one record at a time."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Connect; see `Source.start`."""
        self._stopped.clear()

    @abc.abstractmethod
    async def read_record(self) -> Record:
        """Wait for the next record.

        It is cancelled when the source is stopped. Raises `EndOfStream` when there is no more,
        `RecordError` for one that cannot be used, and what `Source.read` may raise.
        """

    async def read(self) -> AsyncIterator[Batch]:
        """Batches of one record, until `stop` or `EndOfStream`."""
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            while (record := await self._next(stopped)) is not None:
                try:
                    found = record.result()
                except EndOfStream:
                    return
                except RecordError as error:
                    yield Batch([], failures=[error])
                else:
                    yield Batch([found.value], [found.metadata])
        finally:
            stopped.cancel()

    async def _next(self, stopped: asyncio.Future[Literal[True]]) -> asyncio.Future[Record] | None:
        """The finished read of the next record, or None once `stopped` is done."""
        record = asyncio.ensure_future(self.read_record())
        try:
            await asyncio.wait((record, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not record.done():
                record.cancel()
                await asyncio.wait((record,))
        return None if record.cancelled() else record

    async def stop(self) -> None:
        """Disconnect; see `Source.stop`."""
        self._stopped.set()


class ValuePipe(abc.ABC):
    """A pipe that maps each value on its own."""

    @abc.abstractmethod
    def map(self, value: Value) -> Value:
        """The value to pass on; raises `RecordError` to drop this one."""

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with every value mapped."""
        async for batch in batches:
            yield batch.map(self.map)


class RecordSink(abc.ABC):
    """A sink that takes one record at a time."""

    async def start(self) -> None:  # noqa: B027 - an optional hook, not an abstract method
        """Connect; see `Sink.start`."""

    @abc.abstractmethod
    async def write_record(self, record: Record) -> None:
        """Deliver one record; raises `RecordError` to drop it, and what `Sink.write` may raise."""

    async def write(self, batch: Batch) -> None:
        """Deliver the records of the batch one after the other."""
        failures: dict[int, RecordError] = {}
        for index, record in enumerate(batch.records()):
            try:
                await self.write_record(record)
            except RecordError as error:
                failures[index] = error
        if failures:
            raise RecordErrors(failures)

    async def stop(self) -> None:  # noqa: B027 - an optional hook, not an abstract method
        """Flush and disconnect; see `Sink.stop`."""
