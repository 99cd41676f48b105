"""The pipe for sinks that are slower than the source, and need the newest value only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Sequence
from typing import Annotated

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.pipes._keys import KeyOptions, Keys
from queueconnector_core.pipes.filter import kept
from queueconnector_core.record import Batch

__all__ = ("LatestOnlyPipeDescriptor", "LatestOnlyPipe")


@attrs.frozen(kw_only=True)
class LatestOnlyPipeDescriptor(KeyOptions, PipeDescriptor):
    """Reads ahead while the sinks are busy, and then passes on the newest record of each key.

    The records that were overtaken count as filtered. A sink that keeps up gets the newest record
    of each batch. Here `max_keys` has no effect: only the records that wait are compared.
    """

    max_records: Annotated[
        int,
        Meta(
            description="So many records are read ahead; a source is then held up until the sinks "
            "have taken what is there.",
            ge=1,
        ),
    ] = 10_000

    def output(self, spec: DataSpec) -> DataSpec:
        """The same; raises `ConfigError` for options that clash."""
        self.check_key()
        return spec


class LatestOnlyPipe:
    """Has one task that reads ahead for as long as it runs."""

    def __init__(self, descriptor: LatestOnlyPipeDescriptor, context: BuildContext) -> None:
        self._keys = descriptor.keys()
        self._max_records = descriptor.max_records

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with what was not overtaken; none is left out, so that all are settled."""
        ahead = _Ahead(self._max_records)
        reading = asyncio.create_task(ahead.read(batches))
        try:
            while True:
                waiting = await ahead.take()
                for batch in _newest(waiting, self._keys):
                    yield batch
                if not waiting:
                    # An error of the source comes behind what it gave before.
                    await reading
                    return
        finally:
            reading.cancel()
            await asyncio.wait((reading,))


class _Ahead:
    """The batches that were read ahead, in bounded number."""

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._waiting: deque[Batch] = deque()
        self._room = max_records
        self._changed = asyncio.Event()
        self._has_ended = False

    async def read(self, batches: AsyncIterator[Batch]) -> None:
        """Read until the stream ends."""
        try:
            async for batch in batches:
                self._waiting.append(batch)
                # A batch without values takes room as well.
                self._room -= max(1, len(batch))
                self._changed.set()
                while self._room <= 0:
                    self._changed.clear()
                    await self._changed.wait()
        finally:
            self._has_ended = True
            self._changed.set()

    async def take(self) -> Sequence[Batch]:
        """All that waits, at least one batch; nothing once the stream has ended."""
        while not self._waiting and not self._has_ended:
            self._changed.clear()
            await self._changed.wait()
        taken = list(self._waiting)
        self._waiting.clear()
        self._room = self._max_records
        self._changed.set()
        return taken


def _newest(batches: Sequence[Batch], keys_of: Keys) -> list[Batch]:
    """The batches with the last record of each key among them."""
    seen: set[Hashable] = set()
    left: list[Batch] = []
    for batch in reversed(batches):
        keys, failed = keys_of(batch)
        flags = [False] * len(batch)
        for place in reversed(range(len(batch))):
            if place not in failed and keys[place] not in seen:
                seen.add(keys[place])
                flags[place] = True
        left.append(kept(batch, flags, failed))
    return left[::-1]
