"""What every source keeps to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from queueconnector_core.component import ComponentKind, ComponentType, Guarantee
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.errors import RetryableError
from queueconnector_core.merge import close
from queueconnector_core.protocols import DrainableSource, ProvenSource, Source
from queueconnector_core.record import Batch, Value
from queueconnector_core.registry import Registry
from queueconnector_core.testing.doubles import RecordingSink
from queueconnector_core.testing.lifecycle import EndHarness, LifecycleSuite
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.running import Streaming
from queueconnector_core.testing.values import Comparison, identity, numbered, of_spec, shown

__all__ = ("SourceHarness", "SourceSuite")

RECORDS = 20
"""So many records are enough for most tests."""
HELD_BACK_S = 0.3
"""For so long nobody takes what a source may give; there is nothing that could be waited for."""


class SourceHarness(EndHarness):
    """The far end of a source."""

    async def put_external(self, values: Sequence[Value]) -> None:
        """Give the far end values, in order; when it returns, the far end has them."""
        raise NotImplementedError

    async def put_unusable(self) -> None:
        """Give the far end one record that is no value of the exchange (capability `refuses`)."""
        raise NotImplementedError


class SourceSuite(LifecycleSuite):
    """Proves a source.

    ```python
    class TestLineFileSource(SourceSuite):
        component = "LineFileSource"
        dtype = "str"
        capabilities = Capabilities(rewinds=True)

        @pytest.fixture
        def harness(self, tmp_path: Path) -> SourceHarness:
            return LineFile(tmp_path / "lines.txt")
    ```
    """

    kind: ClassVar[ComponentKind] = ComponentKind.SOURCE

    @pytest.fixture
    def harness(self) -> SourceHarness:
        """The far end; each suite overrides it."""
        raise NotImplementedError("a suite of a source has a fixture `harness`")

    def build(self, harness: SourceHarness, registry: Registry) -> Source:
        """A new source from the configuration of the harness."""
        descriptor = self.structured(harness.descriptor, registry)
        assert isinstance(descriptor, SourceDescriptor)
        descriptor.check(self.spec, registry)
        component = registry.lookup(self.kind, self.component)
        source: Source = component.factory(descriptor, self.context(registry, harness.services))
        return source

    def values(self, first: int, count: int) -> list[Value]:
        """Values that differ, from number `first` on; override it where the far end is narrower."""
        return numbered(self.spec, first, count)

    def identity(self, value: Value) -> Hashable | None:
        """What tells values apart; None for what the far end sends by itself."""
        return identity(value)

    def identities(self, values: Iterable[Value]) -> list[Hashable]:
        """The identities of values, without what the far end sends by itself."""
        return [found for found in map(self.identity, values) if found is not None]

    @asynccontextmanager
    async def streaming(
        self, harness: SourceHarness, registry: Registry, sink: RecordingSink, count: int = RECORDS
    ) -> AsyncIterator[tuple[Streaming, list[Value]]]:
        """Stream values to a sink: half was there before where it is kept, half comes later."""
        can = self.capabilities
        early = (count // 2 if can.live else count) if can.stored else 0
        values = self.values(0, count)
        await harness.put_external(values[:early])
        async with Streaming(self.build(harness, registry), sink) as streaming:
            await streaming.start()
            if values[early:]:
                await harness.put_external(values[early:])
            yield streaming, values

    async def arrived(
        self, streaming: Streaming, sink: RecordingSink, values: Sequence[Value]
    ) -> Comparison:
        """Wait for values at the sink, end the stream; what is missing, double or strange."""
        wanted = self.identities(values)

        def all_there() -> bool:
            return not Comparison.of(wanted, self.identities(sink.accepted + sink.refused)).lost

        await streaming.until(all_there, self.timeout_s)
        await streaming.drain(self.timeout_s)
        return Comparison.of(wanted, self.identities(sink.accepted + sink.refused))

    async def built(self, harness: SourceHarness, registry: Registry) -> Source:
        """A new source; where its far end takes nothing later, with records."""
        if not self.capabilities.live:
            await harness.put_external(self.values(0, RECORDS))
        return self.build(harness, registry)

    async def use(self, harness: SourceHarness, component: Source) -> None:
        """Read a little."""
        if self.capabilities.live:
            await harness.put_external(self.values(0, 3))
        batches = component.read()
        async with asyncio.timeout(self.timeout_s):
            batch = await anext(batches)
        for acknowledgement in batch.acknowledgements:
            acknowledgement.release()
        reading = asyncio.create_task(self.rest_of(batches))
        await self.ended(component)
        await asyncio.wait((reading,), timeout=self.timeout_s)

    async def rest_of(self, batches: AsyncIterator[Batch]) -> list[Batch]:
        """All that still comes, acknowledged at once."""
        found = []
        async for batch in batches:
            found.append(batch)
            for acknowledgement in batch.acknowledgements:
                acknowledgement.release()
        return found

    async def read_some(self, batches: AsyncIterator[Batch], count: int) -> list[Batch]:
        """Batches until there are so many records, failures included; none is acknowledged."""
        found: list[Batch] = []
        async with asyncio.timeout(self.timeout_s):
            while sum(batch.source_records for batch in found) < count:
                found.append(await anext(batches))
        return found

    async def begun(
        self, harness: SourceHarness, registry: Registry, count: int = RECORDS
    ) -> tuple[Source, AsyncIterator[Batch], list[Value]]:
        """A source that was started, its stream, and the values that stand at its far end."""
        can, values = self.capabilities, self.values(0, count)
        if can.stored:
            await harness.put_external(values)
        source = self.build(harness, registry)
        await source.start()
        if not can.stored:
            await harness.put_external(values)
        return source, source.read(), values

    @rule("4.5", "4.9", "10.1")
    async def test_it_is_what_it_declares(
        self, harness: SourceHarness, registry: Registry, component_type: ComponentType
    ) -> None:
        """Guarantee, acknowledgements and `silent_s` are as the capabilities say."""
        can = self.capabilities
        promised = component_type.guarantee
        source, batches, _ = await self.begun(harness, registry)
        (first, *_) = await self.read_some(batches, 1)
        await self._finish(source, batches)

        assert promised is not Guarantee.NOT_APPLICABLE, "a source states its guarantee"
        assert can.guarantee in (None, promised)
        assert len(first.acknowledgements) == can.acknowledges, "one acknowledgement per batch"
        assert isinstance(source, ProvenSource) == can.proves_life

    async def _finish(self, source: Source, batches: AsyncIterator[Batch]) -> None:
        await close(batches)
        await self.ended(source)

    @rule("4.3")
    async def test_values_have_dtype_and_shape(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """Every value has exactly the dtype and shape of the exchange."""
        source, batches, _ = await self.begun(harness, registry)
        found = await self.read_some(batches, 3)
        await self._finish(source, batches)
        values = [value for batch in found for value in batch.values if value is not None]

        wrong = [value for value in values if not of_spec(value, self.spec)]
        assert values, "nothing but failures came"
        assert not wrong, f"not of {self.spec}: {wrong[:3]!r}"

    @rule("4.1", after=("test_values_have_dtype_and_shape",))
    async def test_accept_all(self, harness: SourceHarness, registry: Registry) -> None:
        """What the far end sends is delivered once, to a sink that accepts everything."""
        sink = RecordingSink()
        async with self.streaming(harness, registry, sink) as (streaming, values):
            self._same(await self.arrived(streaming, sink, values))

    @rule("4.1", requires=("ordered",), after=("test_accept_all",))
    async def test_order(self, harness: SourceHarness, registry: Registry) -> None:
        """Batches come in the order of the far end."""
        sink = RecordingSink()
        async with self.streaming(harness, registry, sink) as (streaming, values):
            await self.arrived(streaming, sink, values)
            assert self.identities(sink.accepted) == self.identities(values)

    @rule("4.6", "10.1", after=("test_accept_all",))
    async def test_slow_sink(self, harness: SourceHarness, registry: Registry) -> None:
        """A slow sink costs nothing at least once; else what it costs is told as failures."""
        sink = SlowSink()
        async with self.streaming(harness, registry, sink) as (streaming, values):
            found = await self.arrived(streaming, sink, values)
            self._same(found, may_lose=streaming.statistics.dropped)

    @rule("4.5", "6.2", after=("test_accept_all",))
    async def test_retryable_errors(self, harness: SourceHarness, registry: Registry) -> None:
        """A sink that is away for a while costs nothing, and nothing is delivered twice."""
        away = RetryableError("the sink is away", retry_after_s=0.01)
        sink = RecordingSink(away, away, None, away, None, away)
        async with self.streaming(harness, registry, sink) as (streaming, values):
            self._same(await self.arrived(streaming, sink, values))

    @rule("4.5", "9.2", after=("test_accept_all",))
    async def test_permanent_errors(self, harness: SourceHarness, registry: Registry) -> None:
        """A sink that refuses every second value is given all of them."""
        sink = RecordingSink(*[2] * 10 * RECORDS)
        async with self.streaming(harness, registry, sink) as (streaming, values):
            self._same(await self.arrived(streaming, sink, values))
            assert sink.refused

    def _same(self, found: Comparison, may_lose: int = 0) -> None:
        assert len(found.lost) <= may_lose, f"lost: {shown(found.lost)}"
        assert not found.twice, f"delivered twice: {shown(found.twice)}"
        assert not found.strange, f"never sent: {shown(found.strange)}"

    @rule("4.1", requires=("live",), after=("test_stop_returns_in_time",))
    async def test_read_ends_after_stop(self, harness: SourceHarness, registry: Registry) -> None:
        """`read` that waits for records ends soon after `stop`."""
        source, batches, _ = await self.begun(harness, registry)
        await self.read_some(batches, 1)
        reading = asyncio.create_task(self.rest_of(batches))
        await self.ended(source)
        await asyncio.wait((reading,), timeout=self.stop_limit_s)

        assert reading.done(), "read goes on after stop"
        reading.result()

    @rule("4.1", requires=("ends",), after=("test_accept_all",))
    async def test_it_ends_by_itself(self, harness: SourceHarness, registry: Registry) -> None:
        """`read` ends when the far end has no more."""
        source, batches, _ = await self.begun(harness, registry)
        async with asyncio.timeout(self.timeout_s):
            await self.rest_of(batches)
        await self.ended(source)

    @rule("3.3", requires=("live",), after=("test_stop_returns_in_time",))
    async def test_read_may_be_cancelled(self, harness: SourceHarness, registry: Registry) -> None:
        """`read` that waits for records may be cancelled; then `stop` is called."""
        source, batches, _ = await self.begun(harness, registry)
        await self.read_some(batches, 1)
        reading = asyncio.create_task(self.rest_of(batches))
        await asyncio.sleep(0.05)  # it may have more to give before it waits
        reading.cancel()
        await asyncio.wait((reading,), timeout=self.stop_limit_s)
        await self.ended(source)

        assert reading.cancelled(), "the cancellation of read was swallowed"

    @rule("4.6", after=("test_read_ends_after_stop",))
    async def test_it_holds_a_bounded_number(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """While nobody takes what it gives, it goes on receiving for a bounded number only."""
        most = self.capabilities.max_held
        source, batches, _ = await self.begun(harness, registry, 3 * most)
        await self.read_some(batches, 1)
        await asyncio.sleep(HELD_BACK_S)
        reading = asyncio.create_task(self.rest_of(batches))
        await (source.drain() if isinstance(source, DrainableSource) else self.ended(source))
        async with asyncio.timeout(self.timeout_s):
            held = sum(len(batch) for batch in await reading)
        await self.ended(source)

        assert held <= most, f"it held {held} records, more than max_held={most}"

    @rule("4.2", requires=("refuses",), after=("test_accept_all",))
    async def test_an_unusable_record_is_a_failure(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """A record that cannot be decoded is counted, and those around it are delivered."""
        source, batches, _ = await self._with_unusable(harness, registry)
        found = await self.read_some(batches, 3)
        await self._finish(source, batches)

        assert sum(len(batch.failures) for batch in found) == 1
        assert [v for b in found for v in self.identities(b.values)] == self.identities(
            self.values(0, 2)
        )

    @rule("4.8", requires=("refuses",), after=("test_an_unusable_record_is_a_failure",))
    async def test_a_failure_keeps_what_was_received(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """A failure carries what was received, so that a dead letter can be made of it."""
        source, batches, _ = await self._with_unusable(harness, registry)
        found = await self.read_some(batches, 3)
        await self._finish(source, batches)
        (failure,) = [failure for batch in found for failure in batch.failures]

        assert failure.origins, "the failure has no origins"
        assert failure.origins[0].original is not None, "what was received is not kept"

    async def _with_unusable(
        self, harness: SourceHarness, registry: Registry
    ) -> tuple[Source, AsyncIterator[Batch], None]:
        async def put() -> None:
            await harness.put_external(self.values(0, 1))
            await harness.put_unusable()
            await harness.put_external(self.values(1, 1))

        if self.capabilities.stored:
            await put()
        source = self.build(harness, registry)
        await source.start()
        if not self.capabilities.stored:
            await put()
        return source, source.read(), None

    @rule("4.5", requires=("acknowledges",), after=("test_accept_all",))
    async def test_what_was_not_acknowledged_comes_again(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """Nothing is acknowledged before it was delivered: after a restart all comes again."""
        source, batches, values = await self.begun(harness, registry)
        await self.read_some(batches, RECORDS)
        await self._finish(source, batches)
        again = await self._read_again(harness, registry, RECORDS)

        lost = Comparison.of(self.identities(values), again).lost
        assert not lost, f"acknowledged before it was delivered: {shown(lost)}"

    @rule("4.5", requires=("acknowledges", "live"), after=("test_accept_all",))
    async def test_what_was_acknowledged_does_not_come_again(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """After a clean stop it goes on behind what was delivered."""
        source, batches, values = await self.begun(harness, registry)
        for batch in await self.read_some(batches, RECORDS):
            batch.acknowledgements[0].release()
        await self._finish(source, batches)
        await harness.put_external(self.values(RECORDS, 1))
        again = await self._read_again(harness, registry, 1)

        twice = set(again) & set(self.identities(values))
        assert not twice, f"delivered, acknowledged and given again: {shown(list(twice))}"

    @rule(
        "4.5",
        requires=("acknowledges", "live"),
        after=("test_what_was_not_acknowledged_comes_again",),
    )
    async def test_a_later_acknowledgement_does_not_cover_an_earlier_batch(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """A batch that was not acknowledged comes again, even if a later one was."""
        source, batches, values = await self.begun(harness, registry)
        await self.read_some(batches, RECORDS)
        await harness.put_external(self.values(RECORDS, 1))
        for batch in await self.read_some(batches, 1):
            batch.acknowledgements[0].release()
        await self._finish(source, batches)
        again = await self._read_again(harness, registry, RECORDS)

        lost = Comparison.of(self.identities(values), again).lost
        assert not lost, f"acknowledged with a later batch: {shown(lost)}"

    async def _read_again(
        self, harness: SourceHarness, registry: Registry, count: int
    ) -> list[Hashable]:
        """What a new source gives first; fewer where no more comes in time."""
        source = self.build(harness, registry)
        await source.start()
        batches = source.read()
        found: list[Value] = []
        try:
            async with asyncio.timeout(self.timeout_s):
                while len(found) < count:
                    found += (await anext(batches)).values
        except (TimeoutError, StopAsyncIteration):
            pass
        await self._finish(source, batches)
        return self.identities(found)

    @rule("4.4", requires=("interruptible", "live"), after=("test_accept_all",))
    async def test_a_lost_connection(self, harness: SourceHarness, registry: Registry) -> None:
        """After the connection was cut records are delivered again; at least once, all of them."""
        sink = RecordingSink()
        lossless = registry.lookup(self.kind, self.component).guarantee is Guarantee.AT_LEAST_ONCE
        async with self.streaming(harness, registry, sink) as (streaming, values):
            await streaming.until(lambda: bool(sink.accepted), self.timeout_s)
            await harness.interrupt()
            later = self.values(RECORDS, RECORDS)
            await harness.put_external(later)
            found = await self.arrived(streaming, sink, [*values, *later])
            assert not (lossless and found.lost), f"lost: {shown(found.lost)}"
            assert set(self.identities(sink.accepted)) & set(self.identities(later)), (
                "nothing was delivered after the connection was cut"
            )

    @rule("4.9", requires=("proves_life",))
    async def test_it_tells_its_silence(self, harness: SourceHarness, registry: Registry) -> None:
        """`silent_s` is small while the far end is there."""
        source, batches, _ = await self.begun(harness, registry)
        await self.read_some(batches, 1)
        assert isinstance(source, ProvenSource)
        silent_s = source.silent_s()
        await self._finish(source, batches)

        assert 0 <= silent_s < self.timeout_s


class SlowSink(RecordingSink):
    """Takes its time for each batch."""

    async def write(self, batch: Batch) -> None:
        """Wait, then accept."""
        await asyncio.sleep(0.02)
        await super().write(batch)
