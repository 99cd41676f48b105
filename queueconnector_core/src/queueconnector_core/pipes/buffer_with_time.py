"""The pipe that gathers records over time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated

import attrs
from msgspec import Meta

from queueconnector_core.columns import array_of, valid_places
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.pipes._upcoming import END, Upcoming
from queueconnector_core.record import Batch, Value

__all__ = ("BufferWithTimePipeDescriptor", "BufferWithTimePipe")


@attrs.frozen
class BufferWithTimePipeDescriptor(PipeDescriptor):
    """Gathers records in a window of time and passes them on as one array, oldest first.

    The array has one dimension more, in front, of any size. A window opens with its first record
    and closes after `timespan`, when it is full, or when the exchange stops; none is empty. Objects
    are gathered in a list. An invalid value is NaN among floating-point numbers, null in a list; an
    array of anything else has no place for it, so that it counts as filtered.
    """

    timespan: Annotated[
        float,
        Meta(
            extra_json_schema={"unit": "s"},
            description="How long a window stays open, in seconds; 0: records that arrive together "
            "are passed on together, at once.",
            ge=0,
        ),
    ] = 0
    max_records: Annotated[
        int, Meta(description="A window with so many records closes at once.", ge=1)
    ] = 100_000

    def output(self, spec: DataSpec) -> DataSpec:
        """One dimension more; raises `ConfigError` for octets and for shapes of any size."""
        if spec.is_object:
            return spec
        if spec.is_bytes:
            raise ConfigError.at("", "dtype bytes is always a scalar: it cannot be gathered")
        if spec.is_dynamic:
            raise ConfigError.at(
                "", f"shape {list(spec.shape)} has a dimension of any size; only one is possible"
            )
        return DataSpec(spec.dtype, (-1, *spec.shape))


class BufferWithTimePipe:
    """Holds the records of the open window, and their acknowledgements, until it closes."""

    def __init__(self, descriptor: BufferWithTimePipeDescriptor, context: BuildContext) -> None:
        self._timespan_s = self.longest_hold_s = descriptor.timespan
        self._max_records = descriptor.max_records
        self._gather = _gatherer(context.spec)
        self._holds_invalid = _holds_invalid(context.spec)

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """One batch of one value per window; failures pass at once."""
        clock = asyncio.get_running_loop().time
        window = _Window(self._max_records)
        closes = 0.0
        upcoming = Upcoming(batches)
        try:
            while True:
                waits = max(0.0, closes - clock()) if window.batches else None
                batch = await upcoming.within(waits)
                if batch is END:
                    break
                if batch is not None and not self._holds_invalid:
                    batch = _without_invalid(batch)
                if batch is not None and not batch.values:
                    yield batch
                elif batch is not None:
                    opens = not window.batches
                    for full in window.add(batch):
                        yield self._closed(full)
                        opens = True
                    if opens:
                        closes = clock() + self._timespan_s
                if window.batches and clock() >= closes:
                    yield self._closed(window.take())
            if window.batches:
                yield self._closed(window.take())
        finally:
            await upcoming.cancel()

    def _closed(self, batches: Sequence[Batch]) -> Batch:
        values = [value for batch in batches for value in batch.values]
        newest = batches[-1].metadata
        return Batch.joined(batches, self._gather(values), None if newest is None else newest[-1])


@attrs.define
class _Window:
    """The batches of the open window; none is without values."""

    size: int
    batches: list[Batch] = attrs.field(factory=list)

    def add(self, batch: Batch) -> list[list[Batch]]:
        """Put the batch in; gives the windows that became full."""
        full = []
        while len(batch) > (room := self.size - sum(map(len, self.batches))):
            first, batch = batch.split(room)
            full.append([*self.take(), first])
        self.batches.append(batch)
        if len(batch) == room:
            full.append(self.take())
        return full

    def take(self) -> list[Batch]:
        """Everything that is in it; it is empty afterwards."""
        taken, self.batches = self.batches, []
        return taken


def _holds_invalid(spec: DataSpec) -> bool:
    """Whether what is gathered has a place for no value: null in a list, NaN among numbers."""
    return spec.is_object or (spec.is_scalar and spec.dtype.kind in "fc")


def _without_invalid(batch: Batch) -> Batch:
    there = valid_places(batch)
    return batch if there is None else batch.keeping(there)


def _gatherer(spec: DataSpec) -> Callable[[list[Value]], Value]:
    return (lambda values: values) if spec.is_object else (lambda values: array_of(values, spec))
