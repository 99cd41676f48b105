"""The values of a batch as one array, and pipes that work on all values of a batch at once."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
import numpy as np

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Batch, Quality, Value

__all__ = ("ColumnPipe", "Mapped", "array_of", "valid_places", "values_of")

Mapped = tuple[Sequence[Value], dict[int, RecordError]]
"""A value for each one given, and those (by their place) that failed, whatever stands there."""


def array_of(values: Sequence[Any], spec: DataSpec) -> np.ndarray[Any, np.dtype[Any]]:
    """Values of `spec` as one array, whose first dimension counts them; all of one shape."""
    if spec.is_scalar:
        return np.array(values, dtype=spec.dtype)
    if not values:
        return np.empty((0, *(max(size, 0) for size in spec.shape)), spec.dtype)
    return np.stack([np.asarray(value) for value in values])


def values_of(array: np.ndarray[Any, np.dtype[Any]]) -> list[Any]:
    """The values in an array, one for each place of its first dimension: as records hold them."""
    if array.ndim == 1 and array.dtype.kind not in "MV":
        found: list[Any] = array.tolist()
        return found
    return list(array)


def valid_places(batch: Batch) -> list[int] | None:
    """Where the values are that are not `None` beside `Quality.INVALID`; None: everywhere."""
    known = batch.metadata
    if known is None or not any(value is None for value in batch.values):
        return None
    return [
        place
        for place, value in enumerate(batch.values)
        if value is not None or known[place].quality is not Quality.INVALID
    ]


class ColumnPipe(abc.ABC):
    """A pipe that maps the values of a batch at once; invalid ones pass as they are."""

    @abc.abstractmethod
    def column(self, values: Sequence[Any]) -> Mapped:
        """The values to pass on, and those that cannot be mapped."""

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with every value mapped."""
        async for batch in batches:
            yield self._mapped(batch) if batch.values else batch

    def _mapped(self, batch: Batch) -> Batch:
        there = valid_places(batch)
        if there is None:
            values, failed = self.column(batch.values)
        else:
            found, failures = self.column([batch.values[place] for place in there])
            mapped = dict(zip(there, found, strict=True))
            values = [mapped.get(place) for place in range(len(batch))]
            failed = {there[place]: error for place, error in failures.items()}
        batch = attrs.evolve(batch, values=values)
        return batch.without(failed) if failed else batch
