"""What a value has to be so that a pipe or a sink takes it: a JMESPath, or limits for numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.columns import array_of, valid_places
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.expression import compile_expression, holds, plain
from queueconnector_core.record import Batch

__all__ = ("Comparison", "Condition", "When", "condition", "holding")

_NUMBERS: Final = "biuf"
_OPERATORS: Final[Mapping[str, Callable[[Any, float], Any]]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "eq": operator.eq,
    "ne": operator.ne,
}


@attrs.frozen(kw_only=True)
class Comparison:
    """Limits for numbers; all that are given must hold. NaN keeps none of them but `ne`."""

    gt: Annotated[float | None, Meta(description="The value is greater than this.")] = None
    ge: Annotated[float | None, Meta(description="The value is this or greater.")] = None
    lt: Annotated[float | None, Meta(description="The value is less than this.")] = None
    le: Annotated[float | None, Meta(description="The value is this or less.")] = None
    eq: Annotated[float | None, Meta(description="The value is this; true is 1.")] = None
    ne: Annotated[float | None, Meta(description="The value is not this.")] = None
    of: Annotated[
        Literal["all", "any"],
        Meta(description="Of arrays: whether all elements must keep the limits, or any one."),
    ] = "all"

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are given, by name."""
        given = {name: getattr(self, name) for name in _OPERATORS}
        return {name: limit for name, limit in given.items() if limit is not None}


When: TypeAlias = str | Comparison
"""A JMESPath that finds something true in the value (0 is true), or limits for numbers."""

Condition: TypeAlias = Callable[[Sequence[Any]], tuple[Sequence[bool], dict[int, RecordError]]]
"""Says of each of several values whether it holds; those of which it cannot be said failed."""


def condition(when: When, spec: DataSpec) -> Condition:
    """The function that judges values of `spec`.

    Raises `ConfigError` (empty path) for what is no JMESPath, and for limits where there are no
    numbers or no limits.
    """
    return _searching(when) if isinstance(when, str) else _comparing(when, spec)


def holding(batch: Batch, judge: Condition) -> tuple[list[bool], dict[int, RecordError]]:
    """Of each value of a batch, whether the condition holds; for an invalid one it never does."""
    there = valid_places(batch)
    if there is None:
        flags, failures = judge(batch.values)
        return list(flags), failures
    found, failed = judge([batch.values[place] for place in there])
    flags = [False] * len(batch)
    for place, flag in zip(there, found, strict=True):
        flags[place] = flag
    return flags, {there[place]: error for place, error in failed.items()}


def _searching(expression: str) -> Condition:
    search = compile_expression(expression)

    def judge(values: Sequence[Any]) -> tuple[list[bool], dict[int, RecordError]]:
        flags: list[bool] = []
        failures: dict[int, RecordError] = {}
        for value in values:
            try:
                flags.append(holds(search(plain(value))))
            except RecordError as error:
                failures[len(flags)] = error
                flags.append(False)
        return flags, failures

    return judge


def _comparing(comparison: Comparison, spec: DataSpec) -> Condition:
    limits = [(_OPERATORS[name], limit) for name, limit in comparison.limits.items()]
    if not limits:
        raise ConfigError.at("", f"needs a limit: at least one of {', '.join(_OPERATORS)}")
    if spec.dtype.kind not in _NUMBERS:
        raise ConfigError.at("", f"only numbers have limits, not {spec}; use a JMESPath instead")
    gathered = np.all if comparison.of == "all" else np.any

    def flags_of(array: np.ndarray[Any, Any]) -> list[bool]:
        kept = np.ones(array.shape, bool)
        for compare, limit in limits:
            kept &= compare(array, limit)
        found: list[bool] = gathered(kept.reshape(len(array), -1), axis=1).tolist()
        return found

    def judge(values: Sequence[Any]) -> tuple[list[bool], dict[int, RecordError]]:
        if spec.is_dynamic:
            return [flags_of(value[None])[0] for value in values], {}
        return flags_of(array_of(values, spec)), {}

    return judge
