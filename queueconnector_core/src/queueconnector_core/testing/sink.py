"""What every sink keeps to."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from functools import partial
from typing import ClassVar

import pytest

from queueconnector_core.component import ComponentKind, ComponentType, Guarantee
from queueconnector_core.descriptors import SinkDescriptor
from queueconnector_core.errors import RecordErrors
from queueconnector_core.protocols import Sink
from queueconnector_core.record import Batch, Value
from queueconnector_core.registry import Registry
from queueconnector_core.testing.doubles import PAUSE, ScriptedSource
from queueconnector_core.testing.lifecycle import EndHarness, LifecycleSuite
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.running import LOOK_S, Streaming
from queueconnector_core.testing.values import Comparison, identity, numbered, shown

__all__ = ("SinkHarness", "SinkSuite")

SIZES = (1, 7, 2, 40)
"""The sizes of the batches that are written."""


class SinkHarness(EndHarness):
    """The far end of a sink."""

    async def take_external(self) -> Sequence[Value]:
        """All values that the far end has accepted since the harness was made, in its order."""
        raise NotImplementedError

    def unusable(self) -> Value:
        """A value of the exchange that the sink refuses (capability `refuses`)."""
        raise NotImplementedError


class SinkSuite(LifecycleSuite):
    """Proves a sink.

    ```python
    class TestLineFileSink(SinkSuite):
        component = "LineFileSink"
        dtype = "str"
        capabilities = Capabilities(refuses=True)

        @pytest.fixture
        def harness(self, tmp_path: Path) -> SinkHarness:
            return WrittenFile(tmp_path / "lines.txt")
    ```
    """

    kind: ClassVar[ComponentKind] = ComponentKind.SINK

    @pytest.fixture
    def harness(self) -> SinkHarness:
        """The far end; each suite overrides it."""
        raise NotImplementedError("a suite of a sink has a fixture `harness`")

    def build(self, harness: SinkHarness, registry: Registry) -> Sink:
        """A new sink from the configuration of the harness."""
        descriptor = self.structured(harness.descriptor, registry)
        assert isinstance(descriptor, SinkDescriptor)
        descriptor.check(self.spec, registry)
        component = registry.lookup(self.kind, self.component)
        sink: Sink = component.factory(descriptor, self.context(registry, harness.services))
        return sink

    def values(self, first: int, count: int) -> list[Value]:
        """Values that differ, from number `first` on; override it where the far end is narrower."""
        return numbered(self.spec, first, count)

    def batches(self) -> list[Batch]:
        """Batches of several sizes, numbered through."""
        firsts = [sum(SIZES[:index]) for index in range(len(SIZES))]
        return [Batch(self.values(*place)) for place in zip(firsts, SIZES, strict=True)]

    def identity(self, value: Value) -> Hashable | None:
        """What tells values apart; None for what is at the far end without having been written."""
        return identity(value)

    async def use(self, harness: SinkHarness, component: Sink) -> None:
        """Write a little."""
        await component.write(Batch(self.values(0, 3)))

    async def taken(self, harness: SinkHarness) -> list[Hashable]:
        """The identities of what the far end has."""
        found = map(self.identity, await harness.take_external())
        return [name for name in found if name is not None]

    async def arrived(self, harness: SinkHarness, wanted: Sequence[Hashable]) -> Comparison:
        """Wait until the far end has what was written; what is missing, double or strange."""
        ends_s = asyncio.get_running_loop().time() + self.timeout_s
        while True:
            found = Comparison.of(wanted, await self.taken(harness))
            if not found.lost or asyncio.get_running_loop().time() > ends_s:
                return found
            await asyncio.sleep(LOOK_S)

    def identities(self, batches: Sequence[Batch]) -> list[Hashable]:
        """The identities of all values of batches."""
        return [self.identity(value) for batch in batches for value in batch.values]

    @rule("10.1")
    async def test_it_is_what_it_declares(self, component_type: ComponentType) -> None:
        """The type states its guarantee, the one of the capabilities."""
        promised = component_type.guarantee
        assert promised is not Guarantee.NOT_APPLICABLE, "a sink states its guarantee"
        assert self.capabilities.guarantee in (None, promised)

    @rule("6.1", "9.1", after=("test_stop_returns_in_time",))
    async def test_everything_is_delivered(self, harness: SinkHarness, registry: Registry) -> None:
        """What an exchange writes is at the far end once the exchange has ended."""
        batches = self.batches()
        source = ScriptedSource(*batches)
        async with Streaming(source, self.build(harness, registry)) as streaming:
            await streaming.start()
            ended = await streaming.until(lambda: len(source.acknowledged) == sum(SIZES), 15)
            assert ended, "the exchange did not end"
        found = await self.arrived(harness, self.identities(batches))

        assert streaming.statistics.delivered == sum(SIZES)
        assert not found.lost, f"lost: {shown(found.lost)}"
        assert not found.twice, f"delivered twice: {shown(found.twice)}"
        assert not found.strange, f"never written, or changed: {shown(found.strange)}"

    @rule("6.1", requires=("ordered",), after=("test_everything_is_delivered",))
    async def test_order(self, harness: SinkHarness, registry: Registry) -> None:
        """The values of a batch, and batch after batch, are delivered in order."""
        batches, sink = self.batches(), self.build(harness, registry)
        await sink.start()
        for batch in batches:
            await sink.write(batch)
        await self.ended(sink)
        await self.arrived(harness, self.identities(batches))

        assert await self.taken(harness) == self.identities(batches)

    @rule("6.1", requires=("writes_at_once",), after=("test_everything_is_delivered",))
    async def test_write_returns_when_the_far_end_has_accepted(
        self, harness: SinkHarness, registry: Registry
    ) -> None:
        """Nothing is still on its way when `write` returns."""
        batches, sink = self.batches(), self.build(harness, registry)
        await sink.start()
        missing: list[Hashable] = []
        for number, batch in enumerate(batches, 1):
            await sink.write(batch)
            written = self.identities(batches[:number])
            missing += Comparison.of(written, await self.taken(harness)).lost
        await self.ended(sink)

        assert not missing, f"write returned before these were accepted: {shown(missing)}"

    @rule("6.2", requires=("refuses",), after=("test_everything_is_delivered",))
    async def test_only_refused_values_are_refused(
        self, harness: SinkHarness, registry: Registry
    ) -> None:
        """`write` raises `RecordErrors` for single values; all others were accepted."""
        good, sink = self.values(0, 4), self.build(harness, registry)
        batch = Batch([*good[:1], harness.unusable(), *good[1:], harness.unusable()])
        await sink.start()
        with pytest.raises(RecordErrors) as caught:
            await sink.write(batch)
        await self.ended(sink)
        found = await self.arrived(harness, self.identities([Batch(good)]))

        assert sorted(caught.value.failures) == [1, 5]
        assert not found.lost, f"refused with the others: {shown(found.lost)}"
        assert not found.twice, f"delivered twice: {shown(found.twice)}"
        assert not found.strange, f"refused and delivered: {shown(found.strange)}"

    @rule("3.3", after=("test_everything_is_delivered",))
    async def test_write_may_be_cancelled(self, harness: SinkHarness, registry: Registry) -> None:
        """`write` may be cancelled at any await; then `stop` is called, and it starts again."""
        sink, number = self.build(harness, registry), 0
        for point in range(self.cancel_points):
            await sink.start()
            write = partial(sink.write, Batch(self.values(number, 3)))
            cancelled = await self.cancelled(write, point)
            await self.ended(sink)
            number += 3
            if not cancelled:
                break

        written = self.identities([Batch(self.values(number - 3, 3))])
        assert not (await self.arrived(harness, written)).lost

    @rule("6.4", after=("test_everything_is_delivered",))
    async def test_stop_flushes(self, harness: SinkHarness, registry: Registry) -> None:
        """All that was written is at the far end when `stop` has returned."""
        batches, sink = self.batches(), self.build(harness, registry)
        await sink.start()
        for batch in batches:
            await sink.write(batch)
        await self.ended(sink)
        found = Comparison.of(self.identities(batches), await self.taken(harness))
        if not self.capabilities.writes_at_once:
            found = await self.arrived(harness, self.identities(batches))

        assert not found.lost, f"not flushed: {shown(found.lost)}"

    @rule("6.4", after=("test_stop_returns_in_time",))
    async def test_write_after_stop_only_warns(
        self, harness: SinkHarness, registry: Registry
    ) -> None:
        """A `write` that comes too late raises nothing and returns."""
        sink = self.build(harness, registry)
        await sink.start()
        await self.ended(sink)
        await self.in_time(sink.write(Batch(self.values(0, 1))), "write after stop does not return")

    @rule(
        "6.1",
        "9.2",
        requires=("interruptible",),
        after=(
            "test_everything_is_delivered",
            "test_write_returns_when_the_far_end_has_accepted",
        ),
    )
    async def test_a_lost_connection(self, harness: SinkHarness, registry: Registry) -> None:
        """What is written while the connection is cut is delivered after all."""
        first, *others = self.batches()
        source = ScriptedSource(first, PAUSE, *others)
        async with Streaming(source, self.build(harness, registry)) as streaming:
            await streaming.start()
            await streaming.until(lambda: bool(source.acknowledged), self.timeout_s)
            await harness.interrupt()
            source.resume()
            done = await streaming.until(
                lambda: len(source.acknowledged) == sum(SIZES), self.timeout_s
            )
            assert done, "the exchange did not go on after the connection was cut"
        found = await self.arrived(harness, self.identities([first, *others]))

        assert not found.lost, f"lost: {shown(found.lost)}"
