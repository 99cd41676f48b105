"""What a source delivers, to sinks of every kind."""

from __future__ import annotations

import asyncio

from queueconnector_core.component import ComponentType, Guarantee
from queueconnector_core.errors import RetryableError
from queueconnector_core.protocols import DrainableSource, ProvenSource
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_core.testing.doubles import RecordingSink
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.source_base import RECORDS, SourceBase, SourceHarness
from queueconnector_core.testing.values import Comparison, of_spec, shown

__all__ = ("DeliveryTests",)


class SlowSink(RecordingSink):
    """Takes its time for each batch."""

    async def write(self, batch: Batch) -> None:
        """Wait, then accept."""
        await asyncio.sleep(0.02)
        await super().write(batch)


class DeliveryTests(SourceBase):
    """Rules 4.1, 4.3, 4.4, 4.6 and 4.9; `DeliveryTests` is not subclassed by authors."""

    def _same(self, found: Comparison, may_lose: int = 0) -> None:
        assert len(found.lost) <= may_lose, f"lost: {shown(found.lost)}"
        assert not found.twice, f"delivered twice: {shown(found.twice)}"
        assert not found.strange, f"never sent: {shown(found.strange)}"

    @rule("4.5", "4.9", "10.1", after=("test_stop_returns_in_time",))
    async def test_it_is_what_it_declares(
        self, harness: SourceHarness, registry: Registry, component_type: ComponentType
    ) -> None:
        """Guarantee, acknowledgements and `silent_s` are as the capabilities say."""
        can = self.capabilities
        promised = component_type.guarantee
        source, batches, _ = await self.begun(harness, registry)
        (first, *_) = await self.read_some(batches, 1)
        await self.finish(source, batches)

        assert promised is not Guarantee.NOT_APPLICABLE, "a source states its guarantee"
        assert can.guarantee in (None, promised)
        assert len(first.acknowledgements) == can.acknowledges, "one acknowledgement per batch"
        assert isinstance(source, ProvenSource) == can.proves_life

    @rule("4.3", after=("test_stop_returns_in_time",))
    async def test_values_have_dtype_and_shape(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """Every value has exactly the dtype and shape of the exchange."""
        source, batches, _ = await self.begun(harness, registry)
        found = await self.read_some(batches, 3)
        await self.finish(source, batches)
        values = [value for batch in found for value in batch.values if value is not None]

        wrong = [value for value in values if not of_spec(value, self.spec)]
        assert values, "nothing but failures came"
        assert not wrong, f"not of {self.spec}: {wrong[:3]!r}"

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

    @rule("4.1", after=("test_values_have_dtype_and_shape", "test_read_ends_after_stop"))
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

    @rule("4.6", requires=("max_held",), after=("test_read_ends_after_stop",))
    async def test_it_holds_a_bounded_number(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """While nobody takes what it gives, it goes on receiving for a bounded number only."""
        most = self.capabilities.max_held
        assert most is not None
        source, batches, _ = await self.begun(harness, registry, 3 * most)
        await self.read_some(batches, 1)
        await asyncio.sleep(self.held_back_s)
        await (source.drain() if isinstance(source, DrainableSource) else self.ended(source))
        async with asyncio.timeout(self.timeout_s):
            held = sum(len(batch) for batch in await self.rest_of(batches))
        await self.ended(source)

        assert held <= most, f"it held {held} records, more than max_held={most}"

    @rule(
        "4.4",
        requires=("interruptible", "live"),
        after=("test_accept_all", "test_nothing_blocks_the_loop"),
    )
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

    @rule("4.9", requires=("proves_life",), after=("test_stop_returns_in_time",))
    async def test_it_tells_its_silence(self, harness: SourceHarness, registry: Registry) -> None:
        """`silent_s` is small while the far end is there."""
        source, batches, _ = await self.begun(harness, registry)
        await self.read_some(batches, 1)
        assert isinstance(source, ProvenSource)
        silent_s = source.silent_s()
        await self.finish(source, batches)

        assert 0 <= silent_s < self.timeout_s
