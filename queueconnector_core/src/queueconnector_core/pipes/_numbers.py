"""Numbers cast to other dtypes of numpy, with a look at what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from queueconnector_core.columns import Mapped, array_of, values_of
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError

__all__ = ("Array", "NUMBERS", "REALS", "NumberMap", "check_numbers", "fits")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

REALS: Final = "biuf"
NUMBERS: Final = REALS + "c"
"""The kinds of dtypes that are numbers: true and false are 1 and 0."""


def check_numbers(spec: DataSpec, kinds: str = NUMBERS) -> None:
    """Raise `ConfigError` (empty path) unless values of `spec` are numbers of these kinds."""
    if spec.dtype.kind not in kinds:
        real = "" if "c" in kinds else "real "
        raise ConfigError.at("", f"found {spec}; allowed: {real}numbers and arrays of them")


def fits(given: Array, cast: Array) -> Array:
    """Of each number, whether it was cast without leaving the range of the new dtype.

    Integers are cut, not rounded, by a cast; finite numbers stay finite.
    """
    kind = cast.dtype.kind
    if kind == "b":
        return np.ones(given.shape, bool)
    if kind in "fc":
        return np.isfinite(cast) | ~np.isfinite(given)
    limits = np.iinfo(cast.dtype)
    if given.dtype.kind in "iu":
        return (given >= limits.min) & (given <= limits.max)
    whole = np.trunc(given.real.astype(np.float64))
    # Two to the power of 63 is a float64; one less is not.
    return (whole >= float(limits.min)) & (whole < float(limits.max + 1))


class NumberMap:
    """Maps numbers by a function on arrays, and tells which results do not fit."""

    def __init__(self, spec: DataSpec) -> None:
        self._spec = spec

    def compute(self, array: Array) -> tuple[Array, Array]:
        """The results, and of each number whether that fits; both have the shape of `array`."""
        raise NotImplementedError

    def column(self, values: Sequence[Any]) -> Mapped:
        """The result for each value; those with a number that does not fit failed."""
        if not self._spec.is_dynamic:
            return self._computed(array_of(values, self._spec))
        results: list[Any] = []
        failed: dict[int, RecordError] = {}
        for place, value in enumerate(values):
            found, errors = self._computed(value[None])
            results += found
            if errors:
                failed[place] = errors[0]
        return results, failed

    def _computed(self, array: Array) -> Mapped:
        with np.errstate(all="ignore"):
            results, fitting = self.compute(array)
        if fitting.all():
            return values_of(results), {}
        by_record = fitting.reshape(len(array), -1)
        failed: dict[int, RecordError] = {}
        for place in np.flatnonzero(~by_record.all(axis=1)).tolist():
            first = array[place].reshape(-1)[int(by_record[place].argmin())]
            failed[place] = RecordError(f"{first.item()!r} does not fit {results.dtype}")
        return values_of(results), failed
