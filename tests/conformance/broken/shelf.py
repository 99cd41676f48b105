"""A transport that cannot fail: a shelf in memory, with a source and a sink that are right."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, ClassVar, Final

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.conversion import converter
from queueconnector_core.descriptors import SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import RecordError, RecordErrors, RetryableError
from queueconnector_core.record import Acknowledgement, Batch, Metadata, Original, Value

BATCH: Final = 5
UNUSABLE: Final = -1
"""A value that source and sink refuse."""


class Shelf:
    """What one test puts there, and how far it was delivered."""

    shelves: ClassVar[dict[str, Shelf]] = {}

    def __init__(self, name: str) -> None:
        self.name = name
        self.items: list[Any] = []
        self.delivered = 0
        self.cut = False
        self.shelves[name] = self


Label = Annotated[str, Meta(description="The name of the shelf.", min_length=1)]


@attrs.frozen
class ShelfSourceDescriptor(SourceDescriptor):
    """Gives what is on a shelf."""

    shelf: Label


@attrs.frozen
class ShelfSinkDescriptor(SinkDescriptor):
    """Puts values on a shelf."""

    shelf: Label


class ShelfSource:
    """A right source; the broken ones override one method each."""

    def __init__(self, descriptor: ShelfSourceDescriptor, context: BuildContext) -> None:
        self.shelf = Shelf.shelves[descriptor.shelf]
        self.convert = converter(context.spec)
        self.ending = asyncio.Event()
        self.next = 0
        self.unacknowledged: deque[tuple[int, list[bool]]] = deque()

    async def start(self) -> None:
        self.ending.clear()
        await asyncio.sleep(0)
        self.next = self.shelf.delivered
        self.unacknowledged.clear()

    def take(self) -> Sequence[Any]:
        """The next few items."""
        found = self.shelf.items[self.next : self.next + BATCH]
        self.next += len(found)
        return found

    async def read(self) -> AsyncIterator[Batch]:
        while not self.ending.is_set():
            if self.shelf.cut:
                self.shelf.cut = False
                raise RetryableError("the shelf fell down", retry_after_s=0)
            found = self.take()
            if found:
                yield self.batch(found)
            else:
                await self.wait()

    async def wait(self) -> None:
        await asyncio.sleep(0.001)

    def batch(self, items: Sequence[Any]) -> Batch:
        good = [item for item in items if item != UNUSABLE]
        failures = [self.failure(item) for item in items if item == UNUSABLE]
        return Batch(
            [self.value(item) for item in good],
            failures=failures,
            acknowledgements=self.acknowledgements(),
        )

    def value(self, item: Any) -> Value:
        return self.convert(item)

    def failure(self, item: Any) -> RecordError:
        return RecordError("unusable", origins=[Metadata(original=Original(item))])

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        done = [False]
        self.unacknowledged.append((self.next, done))

        def acknowledge() -> None:
            done[0] = True
            while self.unacknowledged and self.unacknowledged[0][1][0]:
                self.shelf.delivered = self.unacknowledged.popleft()[0]

        return (Acknowledgement(acknowledge),)

    async def drain(self) -> None:
        self.ending.set()

    async def stop(self) -> None:
        self.ending.set()
        await asyncio.sleep(0)

    def silent_s(self) -> float:
        return 0.0


class ShelfSink:
    """A right sink; the broken ones override one method each."""

    def __init__(self, descriptor: ShelfSinkDescriptor, context: BuildContext) -> None:
        self.shelf = Shelf.shelves[descriptor.shelf]
        self.running = False

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.running = True

    async def write(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        if not self.running:
            return
        if self.shelf.cut:
            self.shelf.cut = False
            raise RetryableError("the shelf fell down", retry_after_s=0)
        self.shelf.items += [value for value in batch.values if value != UNUSABLE]
        bad = [index for index, value in enumerate(batch.values) if value == UNUSABLE]
        if bad:
            raise RecordErrors({index: RecordError("unusable") for index in bad})

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.running = False
