"""One exchange: reads its sources, applies its pipes, writes its sinks, keeps the balance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType

import stamina

from queueconnector_core.errors import FatalError, RecordError, RecordErrors, RetryableError
from queueconnector_core.gaps import GapLedger
from queueconnector_core.merge import close, merge
from queueconnector_core.protocols import DrainableSource, Pipe, Sink, Source
from queueconnector_core.record import Batch
from queueconnector_core.stats import Statistics
from queueconnector_core.together import together

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
        self,
        name: str,
        sources: Sequence[Source],
        pipes: Sequence[Pipe],
        sinks: Sequence[Sink],
        gaps: GapLedger | None = None,
    ) -> None:
        self.name = name
        self.statistics = Statistics()
        self.gaps = GapLedger() if gaps is None else gaps
        """What its sources could not give; they write it themselves."""
        self.outage_limit_s: float | None = None
        """Seconds for which a far end may be away before the exchange fails; None: for ever."""
        self._sources = tuple(sources)
        self._pipes = tuple(pipes)
        self._sinks = tuple(sinks)
        self._draining = False
        self._reconnecting: set[asyncio.Timeout] = set()

    async def start(self) -> None:
        """Start all sinks, then all sources; waits for far ends that are away. May be cancelled.

        Raises what a component raises, but `RetryableError`.
        """
        self._draining = False
        self.statistics.consecutive_failures = 0
        for components in (self._sinks, self._sources):
            await together(partial(self._retrying, each, each.start) for each in components)

    async def run(self) -> None:
        """Stream until every source has ended.

        When it returns without an error, each record received was delivered or counted as dropped.
        Raises `FatalError`, or whatever a component raised by mistake.
        """
        async with AsyncExitStack() as streams:
            stream = self._received()
            streams.push_async_callback(close, stream)
            for pipe in self._pipes:
                stream = pipe.process(stream)
                streams.push_async_callback(close, stream)
            async for batch in stream:
                await self._deliver(batch)
                # Ready awaits never yield: without this one exchange would starve the others.
                await asyncio.sleep(0)

    async def drain(self) -> None:
        """Ask the sources to stop, so that `run` ends after all that was received.

        A source whose connection is lost is not waited for.
        """
        self._draining = True
        for limit in self._reconnecting:
            limit.reschedule(0)
        await asyncio.gather(*(_ended(source, _drain_of(source)) for source in self._sources))

    async def stop(self) -> None:
        """Stop sources, then sinks, and book what is still in flight as dropped. Idempotent.

        Every component is stopped even when another one fails; the first failure is raised.
        """
        errors: list[BaseException] = []
        components: tuple[Source | Sink, ...] = (*self._sources, *self._sinks)
        for component in components:
            try:
                await _ended(component, component.stop)
            except Exception as error:
                logger.exception("%s: %s failed to stop", self.name, type(component).__name__)
                errors.append(error)
        self.statistics.abandon("the exchange was stopped before they were delivered")
        self.statistics.not_waiting()
        if errors:
            raise errors[0]

    def _received(self) -> AsyncIterator[Batch]:
        streams = [self._read(source) for source in self._sources]
        return streams[0] if len(streams) == 1 else merge(streams)

    async def _read(self, source: Source) -> AsyncIterator[Batch]:
        """The batches of one source, counted; a lost connection is opened again."""
        connected = True
        while connected:
            batches = source.read()
            try:
                async for batch in batches:
                    self.statistics.received += batch.source_records
                    yield batch
            except RetryableError as error:
                lost = error
            else:
                return
            finally:
                await close(batches)
            await source.stop()
            connected = await self._reconnected(source, lost)

    async def _reconnected(self, source: Source, lost: RetryableError) -> bool:
        """Wait until a lost source is connected again: True, or False once it is to drain."""
        if self._draining:
            return False
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._reconnecting.add(limit)
                await self._retrying(source, source.start, lost)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            self._reconnecting.discard(limit)
        return not self._draining

    async def _deliver(self, batch: Batch) -> None:
        failed: dict[int, RecordError] = {}
        if len(batch):
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
        async def write() -> None:
            try:
                await sink.write(batch)
            except RecordErrors as errors:
                failed.update(errors.failures)

        try:
            await write()
        except RetryableError as error:
            await self._retrying(sink, write, error)

    async def _retrying(
        self,
        component: Source | Sink,
        action: Callable[[], Awaitable[None]],
        failed: RetryableError | None = None,
    ) -> None:
        """Do it until it works or fails for good; the exchange is degraded meanwhile.

        `failed` is how a first try has ended already: the next one waits as after any other.
        Raises `FatalError` when the far end is away for longer than the limit.
        """
        outage = _Outage()

        def waiting(error: Exception) -> bool | float:
            """Whether to try again, and after how many seconds if the far end said so."""
            if not isinstance(error, RetryableError):
                return False
            if self.statistics.degraded is None:
                logger.warning("%s: %s; trying again", self.name, error)
            self.statistics.waiting(component, str(error))
            outage.goes_on(error, self.outage_limit_s)
            return True if error.retry_after_s is None else error.retry_after_s

        async with outage:
            async for attempt in stamina.retry_context(
                waiting, attempts=None, timeout=None, wait_max=LONGEST_WAIT_S
            ):
                with attempt:
                    if failed is not None and attempt.num == 1:
                        raise failed
                    await action()
        self.statistics.recovered(component)


class _Outage:
    """Bounds how long a far end may be away, from the first failure; by a clock that never jumps.

    Raises `FatalError` when it was away for longer.
    """

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._began_s: float | None = None
        self._told = ""

    def goes_on(self, error: RetryableError, limit_s: float | None) -> None:
        """One more try has failed."""
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        if limit_s is None:
            self._timeout.reschedule(None)
        else:
            self._told = f"{error}; away for more than outage_limit_s = {limit_s:g} s"
            self._timeout.reschedule(self._began_s + limit_s)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise FatalError(self._told) from None


def _drain_of(source: Source) -> Callable[[], Coroutine[None, None, None]]:
    return source.drain if isinstance(source, DrainableSource) else source.stop


async def _ended(component: Source | Sink, end: Callable[[], Coroutine[None, None, None]]) -> None:
    """Stop or drain; one that does not come to an end, even when cancelled, is left behind."""
    stopping = asyncio.create_task(end())
    try:
        await asyncio.wait((stopping,), timeout=STOP_TIMEOUT_S)
    finally:
        ended = stopping.done()
        stopping.cancel()
    name = type(component).__name__
    if not ended:
        raise FatalError(f"{name} did not stop within {STOP_TIMEOUT_S:g} s; it was left behind")
    if stopping.cancelled():
        raise FatalError(f"{name} was cancelled from within while it stopped")
    stopping.result()
