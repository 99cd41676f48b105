"""The pipe that takes arrays and lists apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import numpy as np

from queueconnector_core.columns import valid_places, values_of
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Batch, Metadata

__all__ = ("SplitPipeDescriptor", "SplitPipe")


@attrs.frozen
class SplitPipeDescriptor(PipeDescriptor):
    """Makes a record of each element of the first dimension of an array, or of a list.

    The elements have the key, headers and time stamp of the whole, which is acknowledged when all
    of them were delivered. In the balance the last element stands for it; a whole without elements
    counts as filtered, as does an invalid value.
    """

    def output(self, spec: DataSpec) -> DataSpec:
        """One dimension less, objects as they are; raises `ConfigError` for other scalars."""
        if spec.is_object:
            return spec
        if spec.is_scalar:
            raise ConfigError.at("", f"found {spec}; only arrays and lists have elements")
        return DataSpec(spec.dtype, spec.shape[1:])


class SplitPipe:
    """Gives the elements of all records of a batch in one batch."""

    def __init__(self, descriptor: SplitPipeDescriptor, context: BuildContext) -> None:
        pass

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with the elements in the place of the values."""
        async for batch in batches:
            yield _split(batch) if batch.values else batch


def _split(batch: Batch) -> Batch:
    there = valid_places(batch)
    if there is not None:
        batch = batch.keeping(there)
    wrong = {
        place: RecordError(f"found {type(value).__name__}; only a list has elements")
        for place, value in enumerate(batch.values)
        if not isinstance(value, np.ndarray | list | tuple)
    }
    batch = batch.without(wrong) if wrong else batch
    values: list[Any] = []
    weights: list[int] = []
    metadata: list[Metadata] | None = None if batch.metadata is None else []
    filtered = batch.filtered
    whole: Any
    for place, whole in enumerate(batch.values):
        elements = values_of(whole) if isinstance(whole, np.ndarray) else list(whole)
        if not elements:
            filtered += batch.weight(place)
            continue
        values += elements
        weights += [*([0] * (len(elements) - 1)), batch.weight(place)]
        if metadata is not None and batch.metadata is not None:
            metadata += [batch.metadata[place]] * len(elements)
    return attrs.evolve(batch, values=values, metadata=metadata, weights=weights, filtered=filtered)
