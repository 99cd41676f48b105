"""The pipe that leaves out changes that are too small to tell."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.columns import valid_places
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.expression import compile_expression, plain
from queueconnector_core.pipes._keys import KeyOptions, Remembered
from queueconnector_core.pipes._numbers import check_numbers
from queueconnector_core.pipes.filter import kept
from queueconnector_core.record import Batch

__all__ = ("DeadbandPipeDescriptor", "DeadbandPipe")


@attrs.frozen(kw_only=True)
class DeadbandPipeDescriptor(KeyOptions, PipeDescriptor):
    """Passes on a number only when it is far enough from the last one that was passed on.

    The change has to exceed both limits that are given. The first number passes, as does each
    change to or from NaN, infinity or an invalid value. Of arrays any element may exceed the
    limits, and another shape always passes. What is left out counts as filtered.
    """

    absolute: Annotated[
        float,
        Meta(description="The change has to be greater than this, in the unit of values.", ge=0),
    ] = 0.0
    relative: Annotated[
        float,
        Meta(
            description="The change has to be greater than this part of the last value that was "
            "passed on: 0.01 is one percent.",
            ge=0,
        ),
    ] = 0.0
    path: Annotated[
        str | None,
        Meta(
            description="The JMESPath that finds the number, for objects and structured values.",
            min_length=1,
        ),
    ] = None

    def output(self, spec: DataSpec) -> DataSpec:
        """The same; raises `ConfigError` for what is no number, and for options that clash."""
        self.check_key()
        if self.path is None:
            check_numbers(spec)
            return spec
        try:
            compile_expression(self.path)
        except ConfigError as error:
            raise error.under("path") from None
        return spec


class DeadbandPipe:
    """Remembers of each key the last value that it passed on."""

    def __init__(self, descriptor: DeadbandPipeDescriptor, context: BuildContext) -> None:
        self._absolute, self._relative = descriptor.absolute, descriptor.relative
        self._keys = descriptor.keys()
        self._max_keys = descriptor.max_keys
        is_array = descriptor.path is None and not context.spec.is_scalar
        self._exceeds = self._any_exceeds if is_array else self._one_exceeds
        self._number = _finder(descriptor.path)

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with what is left of them."""
        passed: Remembered[tuple[Any]] = Remembered(self._max_keys)
        async for batch in batches:
            yield self._left(batch, passed) if batch.values else batch

    def _left(self, batch: Batch, passed: Remembered[tuple[Any]]) -> Batch:
        keys, failed = self._keys(batch)
        there = valid_places(batch)
        valid = None if there is None else set(there)
        flags = [False] * len(batch)
        for place, key in enumerate(keys):
            try:
                is_valid = valid is None or place in valid
                number = self._number(batch.values[place]) if is_valid else None
            except RecordError as error:
                failed[place] = error
                continue
            last = passed.get(key)
            if place not in failed and (last is None or self._changed(number, last[0])):
                passed.put(key, (number,))
                flags[place] = True
        return kept(batch, flags, failed)

    def _changed(self, now: Any, last: Any) -> bool:
        if now is None or last is None:
            return now is not last
        return self._exceeds(now, last)

    def _one_exceeds(self, now: Any, last: Any) -> bool:
        if now == last:
            return False
        change = abs(now - last)
        if not math.isfinite(change):
            return bool(now == now or last == last)  # noqa: PLR0124 - only NaN differs from itself
        return bool(change > self._absolute and change > self._relative * abs(last))

    def _any_exceeds(self, now: Any, last: Any) -> bool:
        if now.shape != last.shape:
            return True
        wide = np.complex128 if now.dtype.kind == "c" else np.float64
        with np.errstate(all="ignore"):
            change = abs(now.astype(wide) - last.astype(wide))
            far = (change > self._absolute) & (change > self._relative * abs(last.astype(wide)))
        other = (now != last) & ~(np.isnan(now.astype(wide)) & np.isnan(last.astype(wide)))
        return bool(np.where(np.isfinite(change), far, other).any())


def _finder(path: str | None) -> Callable[[Any], Any]:
    if path is None:
        return lambda value: value
    search = compile_expression(path)

    def number(value: Any) -> Any:
        found = search(plain(value))
        if not isinstance(found, int | float | None):
            raise RecordError(f"found {type(found).__name__}; a dead band needs a number")
        return found

    return number
