"""Sinks with one defect each."""

from __future__ import annotations

import asyncio

import attrs

from queueconnector_core.errors import RecordError, RecordErrors
from queueconnector_core.record import Batch
from tests.conformance.broken.shelf import UNUSABLE, ShelfSink


class WriteReturnsEarly(ShelfSink):
    """returns from write before the far end has accepted, and delivers when it is stopped"""

    caught_by = "test_write_returns_when_the_far_end_has_accepted"
    kept: Batch | None = None

    async def write(self, batch: Batch) -> None:
        await self.flush()
        if UNUSABLE in batch.values or not self.running:
            await super().write(batch)
        else:
            await asyncio.sleep(0)
            self.kept = batch

    async def flush(self) -> None:
        if self.kept is not None:
            await super().write(self.kept)
            self.kept = None

    async def stop(self) -> None:
        await self.flush()
        await super().stop()


class DoesNotFlush(WriteReturnsEarly):
    """loses what it holds when it is stopped"""

    caught_by = "test_everything_is_delivered"

    async def flush(self) -> None:
        if self.running and self.kept is not None:
            await super().flush()

    async def stop(self) -> None:
        self.kept = None
        await super().stop()


class Reverses(ShelfSink):
    """delivers the values of a batch in another order"""

    caught_by = "test_order"

    async def write(self, batch: Batch) -> None:
        if UNUSABLE in batch.values:
            await super().write(batch)
        else:
            await super().write(attrs.evolve(batch, values=batch.values[::-1]))


class DeliversTwice(ShelfSink):
    """writes a batch twice"""

    caught_by = "test_everything_is_delivered"

    async def write(self, batch: Batch) -> None:
        await super().write(batch)
        await super().write(batch)


class RefusesTheWholeBatch(ShelfSink):
    """refuses good values together with a bad one"""

    caught_by = "test_only_refused_values_are_refused"

    async def write(self, batch: Batch) -> None:
        if UNUSABLE in batch.values:
            raise RecordErrors({index: RecordError("unusable") for index in range(len(batch))})
        await super().write(batch)


class RaisesAfterStop(ShelfSink):
    """raises when it is written to after stop"""

    caught_by = "test_write_after_stop_only_warns"

    async def write(self, batch: Batch) -> None:
        if not self.running:
            raise ValueError("not running")
        await super().write(batch)


class WritesInSpiteOfCancellation(ShelfSink):
    """swallows the cancellation of write"""

    caught_by = "test_write_may_be_cancelled"

    async def write(self, batch: Batch) -> None:
        try:
            await super().write(batch)
        except asyncio.CancelledError:
            await super().write(batch)


class GivesUpWithTheConnection(ShelfSink):
    """loses what is written while the connection is cut"""

    caught_by = "test_a_lost_connection"

    async def write(self, batch: Batch) -> None:
        if self.shelf.cut:
            self.shelf.cut = False
            return
        await super().write(batch)


SINKS: tuple[type[ShelfSink], ...] = (
    *(
        WriteReturnsEarly,
        DoesNotFlush,
        Reverses,
        DeliversTwice,
        RefusesTheWholeBatch,
        RaisesAfterStop,
    ),
    *(WritesInSpiteOfCancellation, GivesUpWithTheConnection),
)
