"""A right pipe, which joins two batches into a list, and the same with one defect each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
import numpy as np

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.record import Batch

HOLD_S = 0.05
SIZE = 2


@attrs.frozen
class PairsPipeDescriptor(PipeDescriptor):
    """Joins batches in pairs."""

    def output(self, spec: DataSpec) -> DataSpec:
        return DataSpec(spec.dtype, (-1,))


class Pairs:
    """Right; it holds one batch, for a time."""

    longest_hold_s = HOLD_S
    size = SIZE
    flushes = True

    def __init__(self, _: PairsPipeDescriptor, context: BuildContext) -> None:
        self.dtype = context.spec.dtype
        self.held: list[Batch] = []

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        self.held = []
        reading: asyncio.Task[Batch | None] | None = None
        try:
            while True:
                reading = reading or asyncio.create_task(_next(batches))
                await asyncio.wait((reading,), timeout=self.longest_hold_s if self.held else None)
                if reading.done():
                    found, reading = reading.result(), None
                    if found is None:
                        break
                    self.held.append(found)
                if len(self.held) >= self.size or (reading and self.held):
                    yield self.joined(self.taken())
            if self.held and self.flushes:
                yield self.joined(self.taken())
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.wait((reading,))

    def taken(self) -> list[Batch]:
        taken, self.held = self.held, []
        return taken

    def joined(self, batches: Sequence[Batch]) -> Batch:
        return Batch.joined(batches, self.value(batches), None)

    def value(self, batches: Sequence[Batch]) -> Any:
        return np.array([value for batch in batches for value in batch.values], self.dtype)


async def _next(batches: AsyncIterator[Batch]) -> Batch | None:
    return await anext(batches, None)


class LosesTheHeld(Pairs):
    """does not give what it holds when the input ends"""

    caught_by = "test_no_record_is_lost"

    size = 3
    flushes = False


class ForgetsWeights(Pairs):
    """lets a value that stands for several records stand for one"""

    caught_by = "test_weights_travel_on"

    def joined(self, batches: Sequence[Batch]) -> Batch:
        return super().joined([attrs.evolve(batch, weights=None) for batch in batches])


class DropsFailures(Pairs):
    """drops the failures of its input silently"""

    caught_by = "test_failures_travel_on"

    def joined(self, batches: Sequence[Batch]) -> Batch:
        return super().joined([attrs.evolve(batch, failures=()) for batch in batches])


class AcknowledgesItself(Pairs):
    """acknowledges before anything was delivered"""

    caught_by = "test_acknowledgements_travel_on"

    def joined(self, batches: Sequence[Batch]) -> Batch:
        for batch in batches:
            for acknowledgement in batch.acknowledgements:
                acknowledgement.release()
        return attrs.evolve(super().joined(batches), acknowledgements=())


class ReversesPairs(Pairs):
    """gives a later batch before an earlier one"""

    caught_by = "test_order"

    def joined(self, batches: Sequence[Batch]) -> Batch:
        return super().joined(batches[::-1])


class WrongOutput(Pairs):
    """gives another dtype than it states"""

    caught_by = "test_values_are_of_the_stated_output"

    def value(self, batches: Sequence[Batch]) -> Any:
        return super().value(batches).astype("float64")


class KeepsItsState(Pairs):
    """gives nothing of a second stream"""

    caught_by = "test_it_is_used_again"
    used = False

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in super().process(batches):
            if not self.used:
                yield batch
        self.used = True


class HoldsEverything(Pairs):
    """holds everything that comes until the input ends"""

    caught_by = "test_it_holds_a_bounded_number"
    size = 10**9


class HoldsForLong(Pairs):
    """holds what it has for longer than it says"""

    caught_by = "test_it_holds_for_no_longer_than_it_says"

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        held: list[Batch] = []
        async for batch in batches:
            held.append(batch)
            if len(held) == 3:
                yield self.joined(held)
                held = []
        if held:
            yield self.joined(held)


class GoesOnInSpiteOfCancellation(Pairs):
    """swallows cancellation"""

    caught_by = "test_it_may_be_cancelled"

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        try:
            async for batch in super().process(batches):
                yield batch
        except asyncio.CancelledError:
            return


class StartsATaskWhenBuilt(Pairs):
    """starts a task when it is built"""

    caught_by = "test_factory_connects_nothing"

    def __init__(self, descriptor: PairsPipeDescriptor, context: BuildContext) -> None:
        super().__init__(descriptor, context)
        self.task = asyncio.get_running_loop().create_task(asyncio.sleep(60))


PIPES: tuple[type[Pairs], ...] = (
    *(LosesTheHeld, ForgetsWeights, DropsFailures, AcknowledgesItself, ReversesPairs, WrongOutput),
    *(KeepsItsState, HoldsEverything, HoldsForLong, GoesOnInSpiteOfCancellation),
    StartsATaskWhenBuilt,
)
