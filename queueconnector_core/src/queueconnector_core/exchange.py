"""One exchange: reads its sources, applies its pipes, writes its sinks, keeps the balance."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from queueconnector_core._offers import offers
from queueconnector_core.error_policy import ErrorPolicy
from queueconnector_core.errors import FatalError, RecordError, RetryableError, placed
from queueconnector_core.gap_sink import GapSink
from queueconnector_core.gaps import Gap, GapLedger, GapReason
from queueconnector_core.merge import close, merge
from queueconnector_core.outage import retrying
from queueconnector_core.protocols import (
    DrainableSource,
    HoldingPipe,
    ImpairableSink,
    LaggingSource,
    Pipe,
    ProvenSource,
    Sink,
    Source,
)
from queueconnector_core.record import Batch
from queueconnector_core.stats import Statistics
from queueconnector_core.tap import Taps
from queueconnector_core.together import together
from queueconnector_core.tracing import batch_spans

if TYPE_CHECKING:
    from queueconnector_core.spans import BatchSpans

__all__ = ("Exchange",)

logger = logging.getLogger(__name__)

STOP_TIMEOUT_S = 15.0
"""A component that takes longer to stop is reported and left behind."""

GAPS_TIMEOUT_S = 3.0
"""The sink of gaps has so long, at the end, to take what it has not been told yet."""


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
        *,
        errors: ErrorPolicy | None = None,
        gaps: GapLedger | None = None,
        gap_sink: Sink | None = None,
        health_limit_s: float = 15.0,
    ) -> None:
        self.name = name
        self.statistics = Statistics()
        self.gaps = GapLedger() if gaps is None else gaps
        """What is known to be missing."""
        self.health_limit_s = health_limit_s
        """Seconds without a sign of life after which it is not well; see `health`."""
        self.outage_limit_s: float | None = None
        """Seconds for which a far end may be away before the exchange fails; None: for ever."""
        self._sources = tuple(sources)
        self._pipes = tuple(pipes)
        self._sinks = tuple(sinks)
        self._proven = [source for source in sources if offers(source, ProvenSource)]
        self._lagging = [source for source in sources if offers(source, LaggingSource)]
        # By `isinstance`: it is an object, not its class, that has a time.
        self._holding = [pipe for pipe in pipes if isinstance(pipe, HoldingPipe)]
        self._impairable = [sink for sink in sinks if offers(sink, ImpairableSink)]
        self.errors = errors or ErrorPolicy()
        """What is done with records that fail."""
        letters = self.errors.letters
        self._ends: tuple[Sink, ...] = (*sinks, *([] if letters is None else [letters.sink]))
        self._gap_sink = None if gap_sink is None else GapSink(gap_sink, self.gaps)
        stages = (("source", sources), ("pipe", pipes), ("sink", sinks))
        self.taps = Taps(path for stage, members in stages for path, _ in placed(stage, members))
        """Where to look at the records on their way."""
        self.is_paused = False
        """Nothing is taken from the sources, until `resume` or `drain`."""
        self._flows = asyncio.Event()
        self._spans: BatchSpans | None = None
        self._draining = False
        self._reconnecting: set[asyncio.Timeout] = set()

    @property
    def longest_hold_s(self) -> float:
        """Seconds for which its pipes may hold back a record, all together."""
        return sum(pipe.longest_hold_s for pipe in self._holding)

    @property
    def pulse(self) -> Hashable:
        """Differs from a former one whenever there is more to tell than then, but its health."""
        gaps = self.gaps
        return (
            self.is_paused,
            self.lag() if self._lagging else None,
            self.statistics.pulse,
            gaps.total,
            gaps.still_open,
            gaps.records_lost,
            gaps.uncounted,
        )

    def silent_s(self) -> float:
        """Seconds since the last sign of life of the source that is silent for the longest."""
        if not self._proven:
            return 0.0
        return max(source.silent_s() for source in self._proven)

    def lag(self) -> int | None:
        """Records that wait at the far ends of those sources that know; None: no source knows."""
        told = (source.lag() for source in self._lagging)
        known = [lag for lag in told if lag is not None]
        return sum(known) if known else None

    def impaired(self) -> str | None:
        """What does not work of a sink that can be written all the same."""
        for sink in self._impairable:
            if (text := sink.impaired()) is not None:
                return text
        return None

    async def start(self) -> None:
        """Start all sinks, then all sources; waits for far ends that are away. May be cancelled.

        Raises what a component raises, but `RetryableError`.
        """
        self._draining = False
        if self.is_paused:
            self._flows.clear()
        self.statistics.consecutive_failures = 0
        if self._spans is None and (spans := await batch_spans(self.name, self.taps.stages)):
            self.trace_with(spans)
        if self._gap_sink is not None:
            self._gap_sink.start(self.name)
        for components in (self._ends, self._sources):
            await together(partial(self._retrying, each, each.start) for each in components)

    def trace_with(self, spans: BatchSpans) -> None:
        """Make a span for each batch from now on."""
        self._spans = spans
        for stage in spans.stages:
            self.taps.listen(stage, partial(spans.passed, stage))

    async def run(self) -> None:
        """Stream until every source has ended.

        When it returns without an error, each record received was delivered, or counted as dropped
        or dead-lettered. Raises `FatalError`, or whatever a component raised by mistake.
        """
        async with AsyncExitStack() as streams:
            stream = self._received()
            streams.push_async_callback(close, stream)
            for stage, pipe in placed("pipe", self._pipes):
                stream = self.errors.piped(pipe, stream, stage, self.taps)
                streams.push_async_callback(close, stream)
            async for batch in stream:
                await self._deliver(batch)
                # Ready awaits never yield: without this one exchange would starve the others.
                await asyncio.sleep(0)

    def pause(self) -> None:
        """Take nothing more from the sources; what was received goes on to the sinks.

        Everything stays connected. It holds over a stop and a start, until `resume`.
        """
        self.is_paused = True
        self._flows.clear()

    def resume(self) -> None:
        """Take records from the sources again."""
        self.is_paused = False
        self._flows.set()

    async def drain(self) -> None:
        """Ask the sources to stop, so that `run` ends after all that was received.

        A source whose connection is lost is not waited for. What a pause has held back is
        delivered, too.
        """
        self._draining = True
        self._flows.set()
        for limit in self._reconnecting:
            limit.reschedule(0)
        await asyncio.gather(*(_ended(source, _drain_of(source)) for source in self._sources))

    async def stop(self) -> None:
        """Stop sources, then sinks, and book what is still in flight as dropped. Idempotent.

        What a source gives again after the next start counts as not received. Every component is
        stopped even when another one fails; the first failure is raised.
        """
        errors: list[BaseException] = []
        components: tuple[Source | Sink, ...] = (*self._sources, *self._ends)
        for component in components:
            try:
                await _ended(component, component.stop)
            except Exception as error:
                logger.exception("%s: %s failed to stop", self.name, type(component).__name__)
                errors.append(error)
        self._abandon()
        if self._gap_sink is not None:
            await self._gap_sink.stop(GAPS_TIMEOUT_S)
        self.statistics.not_waiting()
        if errors:
            raise errors[0]

    def _abandon(self) -> None:
        began_ns = self.statistics.settled_ns
        lost = self.statistics.abandon("the exchange was stopped before they were delivered")
        if self._spans is not None:
            self._spans.abandon("given up when the exchange was stopped")
        if lost:
            reason = GapReason.GIVEN_UP
            self.gaps.add(Gap(self.name, reason, began_ns, time.time_ns(), lost, is_exact=True))

    def _received(self) -> AsyncIterator[Batch]:
        streams = [
            self._read(source, number, stage)
            for number, (stage, source) in enumerate(placed("source", self._sources))
        ]
        return streams[0] if len(streams) == 1 else merge(streams)

    async def _read(self, source: Source, number: int, stage: str) -> AsyncIterator[Batch]:
        """The batches of one source, counted; a lost connection is opened again."""
        connected = True
        while connected:
            batches = source.read()
            try:
                async for batch in batches:
                    if self.is_paused:
                        # It counts as received when it may go on.
                        await self._flows.wait()
                    replayable = batch.is_replayable
                    self.statistics.receive(batch.source_records, replayable=replayable)
                    if self._spans is not None:
                        batch = self._spans.received(batch, stage)  # noqa: PLW2901
                    if self.taps.are_watched:
                        self.taps.show(stage, batch)
                    yield self.errors.received(batch, number, stage)
            except RetryableError as error:
                lost = error
            else:
                return
            finally:
                await close(batches)
            # Already now: to disconnect from a far end that does not answer takes its time.
            self.statistics.waiting(source, str(lost))
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
        if self._spans is not None:
            batch = self._spans.sending(batch)
        if len(batch):
            for stage, sink in placed("sink", self._sinks):
                await self._write(sink, batch, failed, stage)
        if failed:
            batch = batch.without(failed)
        records = batch.source_records
        failed_records = sum(error.records for error in batch.failures)
        self.statistics.deliver(records - failed_records, batch.filtered)
        if batch.failures:
            await self._fail(batch)
        self.statistics.settled(records, replayable=batch.is_replayable)
        for acknowledgement in batch.acknowledgements:
            acknowledgement.release()

    async def _fail(self, batch: Batch) -> None:
        """Do with the failures of a batch what the policy says."""
        if self._spans is not None:
            self._spans.failed(batch)
        dropped, dead = self.errors.judge(batch.failures)
        if dead and self.errors.letters is not None:
            letters = self.errors.letters
            written = letters.letters(dead, self.name)
            await self._persistently(letters.sink, partial(letters.write, written))
        statistics = self.statistics
        statistics.fail(dropped, dead)
        if len(batch):
            # Nobody knows where among the failures of the batch the success stood.
            statistics.consecutive_failures = 0
        self.errors.check(statistics.consecutive_failures, statistics.failures[-1].text)

    async def _write(
        self, sink: Sink, batch: Batch, failed: dict[int, RecordError], stage: str
    ) -> None:
        async def write() -> None:
            for index, error in (await self.errors.write(sink, batch)).items():
                error.stage = error.stage or stage
                failed[index] = error

        await self._persistently(sink, write)
        if self.taps.are_watched:
            self.taps.show(stage, batch)

    async def _persistently(self, sink: Sink, write: Callable[[], Awaitable[None]]) -> None:
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
        await retrying(
            component,
            action,
            name=self.name,
            statistics=self.statistics,
            limit_s=lambda: self.outage_limit_s,
            failed=failed,
        )


def _drain_of(source: Source) -> Callable[[], Coroutine[None, None, None]]:
    return source.drain if offers(source, DrainableSource) else source.stop


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
