"""A source under test: its far end, and what the tests of sources do again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from queueconnector_core.component import ComponentKind
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.merge import close
from queueconnector_core.protocols import Source
from queueconnector_core.record import Batch, Value
from queueconnector_core.registry import Registry
from queueconnector_core.testing.doubles import RecordingSink
from queueconnector_core.testing.lifecycle import EndHarness, LifecycleSuite
from queueconnector_core.testing.running import Streaming
from queueconnector_core.testing.values import Comparison, identity, numbered

__all__ = ("SourceHarness", "SourceBase", "RECORDS")

RECORDS = 20
"""So many records are enough for most tests."""


class SourceHarness(EndHarness):
    """The far end of a source."""

    async def put_external(self, values: Sequence[Value]) -> None:
        """Give the far end values, in order; when it returns, the far end has them."""
        raise NotImplementedError

    async def put_unusable(self) -> None:
        """Give the far end one record that is no value of the exchange (capability `refuses`)."""
        raise NotImplementedError


class SourceBase(LifecycleSuite):
    """What the tests of sources have in common; `SourceBase` is not subclassed by authors."""

    kind: ClassVar[ComponentKind] = ComponentKind.SOURCE
    held_back_s: ClassVar[float] = 0.3
    """For so long nobody takes what the source may give; there is nothing to be waited for."""

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
        await close(batches)

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

    async def finish(self, source: Source, batches: AsyncIterator[Batch]) -> None:
        """Close its stream, and stop it."""
        await close(batches)
        await self.ended(source)
