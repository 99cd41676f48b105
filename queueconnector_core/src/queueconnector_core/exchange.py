"""One exchange: reads its sources, applies its pipes, writes its sinks, keeps the balance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import stamina

from queueconnector_core.errors import RecordError, RecordErrors, RetryableError
from queueconnector_core.merge import merge
from queueconnector_core.protocols import Pipe, Sink, Source
from queueconnector_core.record import Batch
from queueconnector_core.stats import Statistics

__all__ = ("Exchange",)

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 5.0
"""The wait between two tries to reach a far end grows from 0.1 s to this."""

STOP_TIMEOUT_S = 15.0
"""A component that takes longer to stop is reported and left behind."""


class Exchange:
    """Streams records from sources through pipes to sinks until the sources end.

    Life: `start`, then `run` until it returns, then `stop`. `drain` makes `run` return after
    everything received was delivered; cancelling `run` gives up what is in flight.
    """

    def __init__(
        self, name: str, sources: Sequence[Source], pipes: Sequence[Pipe], sinks: Sequence[Sink]
    ) -> None:
        self.name = name
        self.statistics = Statistics()
        self._sources = tuple(sources)
        self._pipes = tuple(pipes)
        self._sinks = tuple(sinks)

    async def start(self) -> None:
        """Start sinks, then sources; waits for far ends that are away. May be cancelled.

        Raises what a component raises, but `RetryableError`.
        """
        components: tuple[Source | Sink, ...] = (*self._sinks, *self._sources)
        for component in components:
            await self._retrying(component.start)

    async def run(self) -> None:
        """Stream until every source has ended.

        When it returns without an error, each record received was delivered or counted as dropped.
        Raises `FatalError`, or whatever a component raised by mistake.
        """
        async with AsyncExitStack() as streams:
            stream = self._received()
            streams.push_async_callback(_close, stream)
            for pipe in self._pipes:
                stream = pipe.process(stream)
                streams.push_async_callback(_close, stream)
            async for batch in stream:
                await self._deliver(batch)
                # Ready awaits never yield: without this one exchange would starve the others.
                await asyncio.sleep(0)

    async def drain(self) -> None:
        """Ask the sources to stop, so that `run` ends after all that was received."""
        await asyncio.gather(*(source.stop() for source in self._sources))

    async def stop(self) -> None:
        """Stop sources, then sinks, and book what is still in flight as dropped. Idempotent.

        Every component is stopped even when another one fails; the first failure is raised.
        """
        errors: list[BaseException] = []
        components: tuple[Source | Sink, ...] = (*self._sources, *self._sinks)
        for component in components:
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await component.stop()
            except Exception as error:
                logger.exception("%s: %s failed to stop", self.name, type(component).__name__)
                errors.append(error)
        self.statistics.abandon("the exchange was stopped before they were delivered")
        self.statistics.recovered()
        if errors:
            raise errors[0]

    def _received(self) -> AsyncIterator[Batch]:
        streams = [self._read(source) for source in self._sources]
        return streams[0] if len(streams) == 1 else merge(streams)

    async def _read(self, source: Source) -> AsyncIterator[Batch]:
        """The batches of one source, counted; a lost connection is opened again."""
        while True:
            batches = source.read()
            try:
                async for batch in batches:
                    self.statistics.received += batch.source_records
                    yield batch
            except RetryableError as error:
                self._waiting(error)
            else:
                return
            finally:
                await _close(batches)
            await source.stop()
            await self._retrying(source.start)

    async def _deliver(self, batch: Batch) -> None:
        failed: dict[int, RecordError] = {}
        if batch.values:
            for sink in self._sinks:
                await self._write(sink, batch, failed)
        if failed:
            batch = batch.without(failed)
        errors = batch.failures
        self.statistics.settle(
            batch.source_records - sum(error.records for error in errors), errors
        )
        for acknowledgement in batch.acknowledgements:
            acknowledgement.release()

    async def _write(self, sink: Sink, batch: Batch, failed: dict[int, RecordError]) -> None:
        try:
            await sink.write(batch)
        except RecordErrors as errors:
            failed.update(errors.failures)
        except RetryableError as error:
            self._waiting(error)

            async def again() -> None:
                try:
                    await sink.write(batch)
                except RecordErrors as errors:
                    failed.update(errors.failures)

            await self._retrying(again)

    async def _retrying(self, action: Callable[[], Awaitable[None]]) -> None:
        """Do it until it works or fails for good; the exchange is degraded meanwhile."""
        async for attempt in stamina.retry_context(
            self._waiting, attempts=None, timeout=None, wait_max=LONGEST_WAIT_S
        ):
            with attempt:
                await action()
        self.statistics.recovered()

    def _waiting(self, error: Exception) -> bool | float:
        """Whether to try again, and after how many seconds if the far end said so."""
        if not isinstance(error, RetryableError):
            return False
        if self.statistics.degraded is None:
            logger.warning("%s: %s; trying again", self.name, error)
        self.statistics.waiting(str(error))
        return True if error.retry_after_s is None else error.retry_after_s


async def _close(stream: AsyncIterator[Batch]) -> None:
    """Close a stream now rather than when it is collected; an iterator need not be closable."""
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
