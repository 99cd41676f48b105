"""What becomes of the values of a window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs
import numpy as np

from queueconnector_core.columns import array_of
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError
from queueconnector_core.pipes._numbers import NUMBERS, REALS
from queueconnector_core.record import Value

__all__ = ("Reduction", "Reducer", "reducer")

Reduction: TypeAlias = Literal[
    "mean", "min", "max", "sum", "median", "std", "count", "first", "last"
]

_TIMES: Final = "M"
_ARRAYS: Final[Mapping[str, tuple[str, Callable[..., Any]]]] = {
    "mean": (NUMBERS, np.mean),
    "min": (REALS + _TIMES, np.min),
    "max": (REALS + _TIMES, np.max),
    "sum": (NUMBERS, np.sum),
    "median": (REALS, np.median),
    "std": (NUMBERS, np.std),
}
"""The kinds of dtypes that each takes, and the function of numpy over the first dimension."""


@attrs.frozen
class Reducer:
    """Makes one value of several; there is always at least one."""

    output: DataSpec
    reduce: Callable[[Sequence[Any]], Value]


def reducer(name: Reduction, spec: DataSpec) -> Reducer:
    """The reducer for values of `spec`; raises `ConfigError` at `reduce` when there is none."""
    if name == "count":
        return Reducer(DataSpec(np.dtype("int64")), len)
    if name in {"first", "last"}:
        place = 0 if name == "first" else -1
        return Reducer(spec, lambda values: values[place])
    kinds, function = _ARRAYS[name]
    if spec.dtype.kind not in kinds:
        raise ConfigError.at("reduce", f"there is no {name} of {spec}; use count, first or last")
    if spec.is_dynamic:
        text = f"there is no {name} of values of different sizes ({spec}); use count, first or last"
        raise ConfigError.at("reduce", text)
    dtype = np.asarray(function(np.ones(2, spec.dtype), axis=0)).dtype

    def reduce(values: Sequence[Any]) -> Value:
        with np.errstate(all="ignore"):
            found = function(array_of(values, spec), axis=0)
        if spec.is_scalar and dtype.kind not in _TIMES:
            scalar: Value = found.item()
            return scalar
        return found  # type: ignore[no-any-return]

    return Reducer(DataSpec(dtype, spec.shape), reduce)
