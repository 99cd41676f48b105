"""What every pipe keeps to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import RecordError
from queueconnector_core.merge import close
from queueconnector_core.protocols import HoldingPipe, Pipe
from queueconnector_core.record import Acknowledgement, Batch, Metadata, Value
from queueconnector_core.registry import Registry
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.suite import Suite
from queueconnector_core.testing.values import numbered, of_spec
from queueconnector_core.testing.watching import connections, tasks

__all__ = ("PipeSuite", "Feed")

SIZES = (1, 3, 2, 5)
"""The sizes of the batches that enter."""
FAR_TOO_LONG_S = 2.0
"""On a busy machine a pipe may be late by so much."""


class Feed:
    """A stream of batches into a pipe; it knows what became of them.

    Without `ends` it waits, after the last, until it is closed.
    """

    def __init__(self, batches: Sequence[Batch], *, ends: bool = True) -> None:
        self.given = 0
        """How many source records went in."""
        self.left = 0
        """How many came out again; whoever reads the pipe counts them."""
        self.most_held = 0
        """The most records that were in the pipe."""
        self.acknowledged: list[int] = []
        """The numbers of the batches that were acknowledged, from 0 on."""
        self.numbers: dict[Acknowledgement, int] = {}
        self.closed = False
        self._ends = ends
        self._batches = [self._acknowledging(*numbered) for numbered in enumerate(batches)]
        self.stream = self._stream()

    def _acknowledging(self, number: int, batch: Batch) -> Batch:
        acknowledgement = Acknowledgement(lambda: self.acknowledged.append(number))
        self.numbers[acknowledgement] = number
        return Batch(
            batch.values, batch.metadata, batch.failures, batch.weights, (acknowledgement,)
        )

    async def _stream(self) -> AsyncIterator[Batch]:
        try:
            for batch in self._batches:
                await asyncio.sleep(0)
                self.given += batch.source_records
                self.most_held = max(self.most_held, self.given - self.left)
                yield batch
            if not self._ends:
                await asyncio.Event().wait()
        finally:
            self.closed = True


@pytest.mark.asyncio
class PipeSuite(Suite):
    """Proves a pipe.

    ```python
    class TestAverage(PipeSuite):
        component = "AveragePipe"
        descriptor = {"records": 10}
        capabilities = Capabilities(max_held=10)
    ```
    """

    kind: ClassVar[ComponentKind] = ComponentKind.PIPE
    descriptor: ClassVar[Mapping[str, Any]] = {}
    """The configuration of the pipe, as an user writes it in JSON."""

    def described(self, registry: Registry) -> PipeDescriptor:
        """The descriptor of the pipe."""
        found = self.structured(self.descriptor, registry)
        assert isinstance(found, PipeDescriptor)
        return found

    def build(self, registry: Registry) -> Pipe:
        """A new pipe."""
        descriptor = self.described(registry)
        descriptor.output(self.spec)
        component = registry.lookup(self.kind, self.component)
        pipe: Pipe = component.factory(descriptor, self.context(registry))
        return pipe

    def values(self, first: int, count: int) -> list[Value]:
        """Values that enter, from number `first` on."""
        return numbered(self.spec, first, count)

    def unusable(self) -> Value:
        """A value of the exchange that the pipe refuses (capability `refuses`)."""
        raise NotImplementedError

    def batches(self) -> list[Batch]:
        """Batches of several sizes, with metadata."""
        firsts = [sum(SIZES[:index]) for index in range(len(SIZES))]
        return [
            Batch(self.values(first, size), [Metadata(sequence=first + n) for n in range(size)])
            for first, size in zip(firsts, SIZES, strict=True)
        ]

    async def gone_through(self, pipe: Pipe, feed: Feed) -> list[Batch]:
        """All batches that leave the pipe, until it ends."""
        async with asyncio.timeout(self.timeout_s):
            return [batch async for batch in pipe.process(feed.stream)]

    @rule("3.1")
    async def test_factory_connects_nothing(self, registry: Registry) -> None:
        """A factory only builds: no connection, no task."""
        self.build(registry)
        before = tasks()
        with connections() as seen:
            self.build(registry)
        await asyncio.sleep(0)

        assert not seen, f"the factory connects: {seen}"
        assert tasks() == before, "the factory starts a task"

    @rule("2.4", "5.4")
    async def test_values_are_of_the_stated_output(self, registry: Registry) -> None:
        """Values leave with the dtype and shape that `output` stated."""
        output: DataSpec = self.described(registry).output(self.spec)
        found = await self.gone_through(self.build(registry), Feed(self.batches()))
        values = [value for batch in found for value in batch.values]

        wrong = [value for value in values if not of_spec(value, output)]
        assert values, "no value came out"
        assert not wrong, f"not of {output}: {wrong[:3]!r}"

    @rule("5.1", "9.1")
    async def test_no_record_is_lost(self, registry: Registry) -> None:
        """When the input ends, what is held comes; each record that entered has left, once."""
        feed = Feed(self.batches())
        found = await self.gone_through(self.build(registry), feed)

        assert sum(batch.source_records for batch in found) == feed.given == sum(SIZES)

    @rule("5.2", "9.1", after=("test_no_record_is_lost",))
    async def test_weights_travel_on(self, registry: Registry) -> None:
        """A value that stands for several records still does."""
        feed = Feed([Batch(self.values(0, 2), weights=[2, 5]), Batch(self.values(2, 1))])
        found = await self.gone_through(self.build(registry), feed)

        assert sum(batch.source_records for batch in found) == feed.given

    @rule("5.2", after=("test_no_record_is_lost",))
    async def test_failures_travel_on(self, registry: Registry) -> None:
        """Records that failed before the pipe leave it as failures."""
        failure = RecordError("no value", records=3)
        feed = Feed([Batch(self.values(0, 2), failures=[failure]), Batch([], failures=[failure])])
        found = await self.gone_through(self.build(registry), feed)
        failures = [error for batch in found for error in batch.failures]

        assert [str(error) for error in failures].count("no value") == 2, "a failure was lost"
        assert sum(batch.source_records for batch in found) == feed.given

    @rule("5.2", after=("test_no_record_is_lost",))
    async def test_acknowledgements_travel_on(self, registry: Registry) -> None:
        """A batch is acknowledged once all that came of it was delivered, and not before."""
        feed = Feed(self.batches())
        found = await self.gone_through(self.build(registry), feed)
        early = list(feed.acknowledged)
        for batch in found:
            for acknowledgement in batch.acknowledgements:
                acknowledgement.release()

        assert not early, f"acknowledged by the pipe itself: batches {early}"
        assert sorted(feed.acknowledged) == list(range(len(SIZES))), "acknowledgements were lost"

    @rule("5.1", requires=("ordered",), after=("test_acknowledgements_travel_on",))
    async def test_order(self, registry: Registry) -> None:
        """Batches leave in the order in which they came."""
        feed = Feed(self.batches())
        found = await self.gone_through(self.build(registry), feed)
        order = [feed.numbers[a] for batch in found for a in batch.acknowledgements]

        assert order == sorted(order)

    @rule("3.6", after=("test_no_record_is_lost",))
    async def test_it_is_used_again(self, registry: Registry) -> None:
        """A second stream through the same pipe knows nothing of the first."""
        pipe, feeds = self.build(registry), [Feed(self.batches()), Feed(self.batches())]
        found = [await self.gone_through(pipe, feed) for feed in feeds]

        for batches, feed in zip(found, feeds, strict=True):
            assert sum(batch.source_records for batch in batches) == feed.given

    @rule("5.3", requires=("max_held",), after=("test_no_record_is_lost",))
    async def test_it_holds_a_bounded_number(self, registry: Registry) -> None:
        """Of a stream without end no more than a bounded number is held back."""
        most = self.capabilities.max_held
        assert most is not None
        feed = Feed([Batch(self.values(n, 1)) for n in range(2 * most + 10)], ends=False)
        stream = self.build(registry).process(feed.stream)

        async def read() -> None:
            async for batch in stream:
                feed.left += batch.source_records

        reading = asyncio.create_task(read())
        async with asyncio.timeout(self.timeout_s):
            while feed.given < 2 * most + 10:
                await asyncio.sleep(0)
        await self.closed(reading, stream, feed)

        # One more is on its way in.
        assert feed.most_held <= most + 1, (
            f"it holds {feed.most_held} records, more than max_held={most}"
        )

    async def closed(
        self, reading: asyncio.Task[None], stream: AsyncIterator[Batch], feed: Feed
    ) -> None:
        """End what reads a pipe, the pipe and its input, as the runner does."""
        reading.cancel()
        await asyncio.wait((reading,), timeout=self.timeout_s)
        await close(stream)
        await close(feed.stream)

    @rule("5.3", requires=("holds",), after=("test_no_record_is_lost",))
    async def test_it_holds_for_no_longer_than_it_says(self, registry: Registry) -> None:
        """What is held back leaves after `longest_hold_s`, without anything else coming in."""
        pipe, feed = self.build(registry), Feed(self.batches(), ends=False)
        assert isinstance(pipe, HoldingPipe), "a pipe that holds has `longest_hold_s`"
        came, stream = 0, pipe.process(feed.stream)
        async with asyncio.timeout(pipe.longest_hold_s + FAR_TOO_LONG_S):
            while came < sum(SIZES):
                came += (await anext(stream)).source_records
        await close(stream)
        await close(feed.stream)

    @rule("3.3", after=("test_factory_connects_nothing",))
    async def test_it_may_be_cancelled(self, registry: Registry) -> None:
        """A pipe that waits may be cancelled: it leaves no task, and its input can be closed."""
        feed, mine = Feed(self.batches(), ends=False), tasks()
        stream = self.build(registry).process(feed.stream)

        async def read() -> None:
            async for _ in stream:
                pass

        reading = asyncio.create_task(read())
        async with asyncio.timeout(self.timeout_s):
            while feed.given < sum(SIZES):
                await asyncio.sleep(0)
        await asyncio.sleep(0.01)  # it may have more to give before it waits
        await self.closed(reading, stream, feed)

        assert reading.cancelled(), "the cancellation was swallowed"
        assert feed.closed
        assert not tasks() - mine - {reading}, "tasks are left"

    @rule("4.2", "5.2", requires=("refuses",), after=("test_no_record_is_lost",))
    async def test_an_unusable_value_is_a_failure(self, registry: Registry) -> None:
        """A value that cannot be processed becomes a failure; those around it pass."""
        good = self.values(0, 2)
        feed = Feed([Batch([good[0], self.unusable(), good[1]])])
        found = await self.gone_through(self.build(registry), feed)

        assert sum(e.records for batch in found for e in batch.failures) == 1
        assert sum(batch.source_records for batch in found) == 3
