"""The one-record forms: write one method, get a source, a pipe or a sink.

They cost a batch per record at the source, nothing at pipe and sink. A component on a fast
transport implements the batch methods of `queueconnector_core.protocols` itself.
"""

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator

from queueconnector_core.errors import EndOfStream, RecordError, RecordErrors
from queueconnector_core.record import Batch, Record, Value

__all__ = ("RecordSource", "ValuePipe", "RecordSink")


class RecordSource(abc.ABC):
    """A source that gives one record at a time."""

    def __init__(self) -> None:
        self._stopped = asyncio.Event()
        self._reading: asyncio.Future[Record] | None = None

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
        while not self._stopped.is_set():
            self._reading = reading = asyncio.ensure_future(self.read_record())
            try:
                await asyncio.wait((reading,))
            finally:
                await self._cancel_reading()
            if reading.cancelled() and self._stopped.is_set():
                return
            try:
                found = reading.result()
            except EndOfStream:
                return
            except RecordError as error:
                yield Batch([], failures=[error])
            else:
                yield Batch([found.value], [found.metadata])

    async def stop(self) -> None:
        """Disconnect; see `Source.stop`. When it returns, `read_record` runs no more."""
        self._stopped.set()
        await self._cancel_reading()

    async def _cancel_reading(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait((self._reading,))


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
