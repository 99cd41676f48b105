"""Hypothesis strategies for the values that an exchange may carry."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec

__all__ = ("values_of", "exact", "CONTAINERS", "LETTERS")

Strategy = st.SearchStrategy[Any]

LETTERS: Final[Strategy] = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
"""What text is made of, by default."""

CONTAINERS: Final[Strategy] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
"""Plain values of dtype `object`."""


def values_of(spec: DataSpec, letters: Strategy = LETTERS) -> Strategy:
    """Any value of `spec`, as the converter would give it: NaN, NaT, extremes, empty arrays."""
    convert = converter(spec)
    if spec.is_object:
        return CONTAINERS
    if spec.is_bytes:
        return st.tuples(st.just(""), st.binary(max_size=64))
    if spec.is_scalar:
        return _elements(spec.dtype, letters).map(convert)
    sizes = st.tuples(*(st.integers(0, 4) if size < 0 else st.just(size) for size in spec.shape))

    def fill(shape: tuple[int, ...]) -> Strategy:
        count = int(np.prod(shape))
        items = st.lists(_elements(spec.dtype, letters), min_size=count, max_size=count)
        return items.map(lambda found: _nested(found, shape)).map(convert)

    return sizes.flatmap(fill)


def exact(value: Any) -> Any:
    """Something equal for values that are the same, NaN and signs of zero included."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.kind, value.dtype.names, repr(value.tolist())
    return type(value), repr(value)


def _elements(dtype: np.dtype[Any], letters: Strategy) -> Strategy:
    if dtype.kind == "U":
        longest = dtype.itemsize // 4 or 9
        text = st.text(letters, max_size=longest)
        return text.map(lambda found: found.rstrip("\0"))
    if dtype.kind == "M":
        years = np.array(["1900", "2100"], "M8[Y]").astype(dtype).astype("int64").tolist()
        counts = st.integers(*years).map(lambda count: np.array(count).astype(dtype)[()])
        return counts | st.just(np.datetime64("NaT"))
    if dtype.names is not None:
        fields = [dtype[name] for name in dtype.names]
        return st.tuples(*(_field_values(field, letters) for field in fields))
    return hnp.from_dtype(dtype)


def _field_values(field: np.dtype[Any], letters: Strategy) -> Strategy:
    if field.shape:
        size = int(np.prod(field.shape))
        return st.lists(_elements(field.base, letters), min_size=size, max_size=size)
    return _elements(field, letters)


def _nested(items: list[Any], shape: tuple[int, ...]) -> list[Any]:
    for size in reversed(shape[1:]):
        items = [items[i : i + size] for i in range(0, len(items), size)] if size else []
    return items if items or len(shape) < 2 else [[]] * shape[0]
