"""What every source keeps to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable

from queueconnector_core.protocols import Source
from queueconnector_core.record import Batch, Value
from queueconnector_core.registry import Registry
from queueconnector_core.testing.delivery import DeliveryTests
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.source_base import RECORDS, SourceHarness
from queueconnector_core.testing.values import Comparison, shown

__all__ = ("SourceHarness", "SourceSuite")

DELIVERED = ("test_accept_all", "test_it_is_what_it_declares")


class SourceSuite(DeliveryTests):
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

    @rule("4.2", requires=("refuses",), after=DELIVERED)
    async def test_an_unusable_record_is_a_failure(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """A record that cannot be decoded is counted, and those around it are delivered."""
        source, batches, _ = await self._with_unusable(harness, registry)
        found = await self.read_some(batches, 3)
        await self.finish(source, batches)

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
        await self.finish(source, batches)
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

    @rule("4.5", requires=("acknowledges",), after=DELIVERED)
    async def test_what_was_not_acknowledged_comes_again(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """Nothing is acknowledged before it was delivered: after a restart all comes again."""
        source, batches, values = await self.begun(harness, registry)
        await self.read_some(batches, RECORDS)
        await self.finish(source, batches)
        again = await self._read_again(harness, registry, RECORDS)

        lost = Comparison.of(self.identities(values), again).lost
        assert not lost, f"acknowledged before it was delivered: {shown(lost)}"

    @rule(
        "4.5",
        requires=("acknowledges", "live"),
        after=DELIVERED,
    )
    async def test_what_was_acknowledged_does_not_come_again(
        self, harness: SourceHarness, registry: Registry
    ) -> None:
        """After a clean stop it goes on behind what was delivered."""
        source, batches, values = await self.begun(harness, registry)
        for batch in await self.read_some(batches, RECORDS):
            batch.acknowledgements[0].release()
        await self.finish(source, batches)
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
        await self.finish(source, batches)
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
        await self.finish(source, batches)
        return self.identities(found)
