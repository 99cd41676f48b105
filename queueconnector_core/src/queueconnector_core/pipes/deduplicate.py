"""The pipe that leaves out what came before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Annotated, Any, Literal

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.pipes._keys import KeyOptions, Remembered
from queueconnector_core.pipes.filter import kept
from queueconnector_core.record import Batch, Metadata

__all__ = ("DeduplicatePipeDescriptor", "DeduplicatePipe")


@attrs.frozen(kw_only=True)
class DeduplicatePipeDescriptor(KeyOptions, PipeDescriptor):
    """Leaves out a record that is the same as one that was passed on before.

    By value only the last one of the same key is compared, so that a value that comes back passes;
    NaN is the same as NaN. By key or header the last `max_keys` are remembered; a record that has
    none passes. What is left out counts as filtered.
    """

    by: Annotated[
        Literal["value", "key", "header"],
        Meta(
            description="What makes two records the same: their value, their key (key or "
            "key_path), or a header such as an id of the producer's."
        ),
    ] = "value"
    header: Annotated[
        str, Meta(description="The name of the header, with by header.", min_length=1)
    ] = "id"
    within_s: Annotated[
        float | None,
        Meta(
            description="Only what was passed on within so many seconds counts, so that a value "
            "that lasts is told again. null: for ever.",
            gt=0,
        ),
    ] = None

    def output(self, spec: DataSpec) -> DataSpec:
        """The same; raises `ConfigError` for options that clash."""
        self.check_key()
        if self.by == "key" and not self.has_key:
            raise ConfigError.at("by", "needs a key: set key or key_path")
        if self.by == "header" and self.has_key:
            option = "key" if self.key_path is None else "key_path"
            raise ConfigError.at(option, "has no use with by header; leave it out")
        return spec


class DeduplicatePipe:
    """Remembers the last value of each key, or the last keys or headers."""

    def __init__(self, descriptor: DeduplicatePipeDescriptor, context: BuildContext) -> None:
        self._by_value = descriptor.by == "value"
        self._within_s = descriptor.within_s
        self._max_keys = descriptor.max_keys
        self._keys = descriptor.keys()
        if descriptor.by == "header":
            self._keys = lambda batch: (_headers(batch, descriptor.header), {})
        self._same = _sameness(context.spec)

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with what is left of them."""
        clock = asyncio.get_running_loop().time
        passed: Remembered[tuple[Any, float]] = Remembered(self._max_keys)
        async for batch in batches:
            yield self._left(batch, passed, clock()) if batch.values else batch

    def _left(self, batch: Batch, passed: Remembered[tuple[Any, float]], now_s: float) -> Batch:
        keys, failed = self._keys(batch)
        flags = [True] * len(batch)
        for place, (key, value) in enumerate(zip(keys, batch.values, strict=True)):
            if place in failed or (key is None and not self._by_value):
                continue
            known = passed.get(key)
            if known is not None and self._is_repeated(value, known, now_s):
                flags[place] = False
            else:
                passed.put(key, (value if self._by_value else None, now_s))
        return kept(batch, flags, failed)

    def _is_repeated(self, value: Any, known: tuple[Any, float], now_s: float) -> bool:
        last, passed_s = known
        if self._within_s is not None and now_s - passed_s >= self._within_s:
            return False
        return not self._by_value or self._same(value, last)


def _headers(batch: Batch, name: str) -> Sequence[Hashable]:
    if batch.metadata is None:
        return [None] * len(batch)
    return [_header(metadata, name) for metadata in batch.metadata]


def _header(metadata: Metadata, name: str) -> bytes | None:
    return next((octets for known, octets in metadata.headers if known == name), None)


def _sameness(spec: DataSpec) -> Callable[[Any, Any], bool]:
    """The cheapest comparison that is right for values of `spec`."""
    plain = spec.is_scalar and spec.dtype.kind in "biufcUS"
    return _same_scalar if plain else _same


def _same_scalar(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray | np.generic):
        # Text arrays of one exchange differ in the length of their items.
        same_form = one.dtype.kind == other.dtype.kind and one.shape == other.shape
        return same_form and _same_array(np.asarray(one), np.asarray(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return _same_scalar(one, other)


def _same_array(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    if one.dtype.names is not None:
        return all(_same_array(one[name], other[name]) for name in one.dtype.names)
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fcmM")
