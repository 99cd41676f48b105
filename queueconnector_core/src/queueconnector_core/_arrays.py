"""Strict conversion to arrays and structured values; `conversion` says what the rules are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from queueconnector_core._scalars import Convert, refuse, scalar_converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError

__all__ = ("array_converter", "structured_converter")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = tuple[int, ...]
_MAX_DIMENSIONS = 32


def array_converter(spec: DataSpec, *, broadcast: bool = False) -> Convert:
    """The function that makes arrays of exactly `spec`; see `conversion.converter`."""
    dtype, shape = spec.dtype, spec.shape
    build = _structured_builder(dtype) if spec.is_structured else _plain_builder(dtype)
    any_length = dtype.kind == "U" and not dtype.itemsize
    fitting = shape  # the last shape that fitted: mostly the next one, too

    def convert(value: object) -> Array:
        nonlocal fitting
        if type(value) is np.ndarray:
            if value.dtype is dtype and value.shape == fitting:
                return value
            fits = value.shape == shape or spec.matches(value.shape)
            if fits and (value.dtype == dtype or (any_length and value.dtype.kind == "U")):
                fitting = value.shape
                return value
            if not broadcast and not fits:
                raise _mismatch(value.shape, spec)
        if not isinstance(value, np.ndarray) or value.dtype.kind == "O":
            found, items = _flattened(value, spec, broadcast=broadcast)
            array = build(items).reshape(found)
        else:
            array = build(value.reshape(-1)).reshape(value.shape)
        return _broadcast(array, spec) if broadcast else array

    return convert


def structured_converter(dtype: np.dtype[Any]) -> Convert:
    """The function that makes one structured scalar of `dtype`."""
    build = _structured_builder(dtype)

    def convert(value: object) -> Any:
        if isinstance(value, np.ndarray) and not value.ndim:
            value = value[()]
        if isinstance(value, np.void) and value.dtype == dtype:
            return value
        return build([value])[0]

    return convert


def _mismatch(found: Sequence[int], spec: DataSpec) -> RecordError:
    return RecordError(
        f"found a value of shape {list(found)}; the shape is {list(spec.shape)} (-1: any size)"
    )


def _broadcast(array: Array, spec: DataSpec) -> Array:
    missing = len(spec.shape) - array.ndim
    if missing < 0:
        raise _mismatch(array.shape, spec)
    own = (1,) * missing + array.shape
    target = tuple(mine if size < 0 else size for size, mine in zip(spec.shape, own, strict=True))
    try:
        return array if array.shape == target else np.broadcast_to(array, target).copy()
    except ValueError:
        raise _mismatch(array.shape, spec) from None


def _flattened(value: object, spec: DataSpec, *, broadcast: bool) -> tuple[Shape, list[Any]]:
    """The shape of nested lists, and their items in one list.

    Below an empty dimension lists have no sizes: those of `spec` hold.
    """
    items: list[Any] = [value]
    found: list[int] = []
    for size in spec.shape:
        items = [_listed(item) if isinstance(item, np.ndarray) else item for item in items]
        if broadcast and not any(_is_level(item, spec) for item in items):
            return tuple(found), items
        if not all(isinstance(item, list | tuple) for item in items):
            raise _mismatch(_nesting(value), spec)
        lengths = {len(item) for item in items}
        if len(lengths) > 1:
            raise RecordError(f"found rows of {sorted(lengths)[:5]} items; rows are equally long")
        found.append(lengths.pop() if lengths else max(size, 0))
        items = list(chain.from_iterable(items))
    if not spec.matches(tuple(found)) and not broadcast:
        raise _mismatch(_nesting(value), spec)
    scalars = not spec.is_structured and spec.dtype.kind != "c"  # those may be lists themselves
    if scalars and not _LEVELS.isdisjoint(map(type, items)):
        raise _mismatch(_nesting(value), spec)
    return tuple(found), items


def _listed(array: Array) -> list[Any]:
    # As Python's own, dates lose their unit and rows their names.
    if array.ndim and array.dtype.kind in "MV":
        return list(array)
    listed: list[Any] = array.tolist()  # the object itself where there are no dimensions
    return listed


_LEVELS = frozenset([list, tuple])


def _nesting(value: object) -> list[int]:
    """The sizes of nested lists along their first items, for messages."""
    found: list[int] = []
    while isinstance(value, list | tuple) and len(found) < _MAX_DIMENSIONS:
        found.append(len(value))
        value = value[0] if len(value) else None
    return found


def _is_level(item: object, spec: DataSpec) -> bool:
    """Whether an item is a dimension, not a row written as a tuple."""
    return isinstance(item, list) or (isinstance(item, tuple) and not spec.is_structured)


_NATURAL: dict[frozenset[type], str] = {
    frozenset([float]): "float64",
    frozenset([complex]): "complex128",
    frozenset([bool]): "bool",
}
"""Lists of one Python type that numpy reads exactly."""


def _plain_builder(dtype: np.dtype[Any]) -> Convert:
    scalar = scalar_converter(dtype)

    def build(items: list[Any] | Array) -> Array:
        if isinstance(items, np.ndarray):
            if items.dtype.kind in "biufcM" and dtype.kind in "biufcM":
                return _cast(items, dtype)
            if items.dtype.kind == dtype.kind == "U" and items.dtype.itemsize <= dtype.itemsize:
                return items.astype(dtype)
            items = _listed(items)
        types = frozenset(map(type, items))
        if types in _NATURAL and dtype.kind in "biufc":
            return _cast(np.array(items, _NATURAL[types]), dtype)
        if types == {int} and dtype.kind in "biufc":
            array = np.array(items)
            if array.dtype.kind in "iu":  # otherwise beyond 64 bits: rounded, or objects
                return _cast(array, dtype)
        converted = items if types == {str} and dtype.kind == "U" else list(map(scalar, items))
        return _text_array(converted, dtype) if dtype.kind == "U" else np.array(converted, dtype)

    return build


def _text_array(items: list[str], dtype: np.dtype[Any]) -> Array:
    array = np.array(items, "U") if items else np.zeros(0, dtype)
    if dtype.itemsize:
        if array.itemsize > dtype.itemsize:
            refuse(max(items, key=len), dtype, f"longer than {dtype.itemsize // 4} characters")
        array = array.astype(dtype)
    if any(item.endswith("\0") for item in items):
        raise RecordError("found text that ends in U+0000; arrays of text cannot keep it")
    return array


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    """`array` as `dtype`, or `RecordError` for the first value that is not exact."""
    if array.dtype == dtype:
        return array
    with np.errstate(all="ignore"):
        good = _exactness(array, dtype)
        if not good.all():
            refuse(array[~good][0], dtype)
        return array.astype(dtype)


def _exactness(array: Array, dtype: np.dtype[Any]) -> Any:
    """Which values survive the way to `dtype`, by the rules of the scalar conversion."""
    source, target = array.dtype.kind, dtype.kind
    if target == "M":
        return _exact_datetimes(array, dtype)
    if source == "M" or (source == "c" and target != "c"):
        return np.zeros(array.shape, bool)
    if target == "b":
        return (array == 0) | (array == 1)
    if target in "iu":
        return _fits_integer(array, dtype)
    return _exact_floats(array, dtype)


def _exact_datetimes(array: Array, dtype: np.dtype[Any]) -> Any:
    if array.dtype.kind == "M":
        return np.isnat(array) | (array.astype(dtype).astype(array.dtype) == array)
    if array.dtype.kind in "iu":  # counts of the unit; the least integer is NaT
        return _fits_integer(array, np.dtype("int64")) & (array != np.iinfo("int64").min)
    return np.zeros(array.shape, bool)


def _exact_floats(array: Array, dtype: np.dtype[Any]) -> Any:
    found = array.astype(dtype)
    if array.dtype.kind in "iu":
        good = np.isfinite(found) & _fits_integer(found.real, array.dtype)
        return good & (found.real.astype(array.dtype) == array)
    return np.isfinite(found) | ~np.isfinite(array)


def _fits_integer(array: Array, dtype: np.dtype[Any]) -> Any:
    limits = np.iinfo(dtype)
    if array.dtype.kind in "iu":
        own = np.iinfo(array.dtype)
        low, high = max(limits.min, own.min), min(limits.max, own.max)
        return (array >= low) & (array <= high)
    # The largest 64-bit integers are no floats: the power of two above them is.
    floats = array.astype("float64")
    inside = (floats >= float(limits.min)) & (floats < float(int(limits.max) + 1))
    return inside & (np.trunc(floats) == floats)


def _structured_builder(dtype: np.dtype[Any]) -> Convert:
    names = dtype.names or ()
    columns = {name: _column_converter(dtype[name]) for name in names}

    def build(items: list[Any] | Array) -> Array:
        if isinstance(items, np.ndarray) and set(items.dtype.names or ()) != set(names):
            refuse(items, dtype, f"fields: {', '.join(names)}")
        rows = [_row(item, names, dtype) for item in items] if isinstance(items, list) else items
        array = np.zeros(len(items), dtype)
        for name, column in columns.items():
            try:
                array[name] = column(_column(rows, name))
            except RecordError as error:
                raise RecordError(f"field {name!r}: {error}") from None
        return array

    def of_same(items: list[Any] | Array) -> Array:
        same = isinstance(items, np.ndarray) and items.dtype == dtype
        return items if same else build(items)  # type: ignore[return-value]

    return of_same


def _column(rows: list[Any] | Array, name: str) -> Any:
    return [row[name] for row in rows] if isinstance(rows, list) else rows[name]


def _column_converter(field: np.dtype[Any]) -> Convert:
    return array_converter(DataSpec(field.base, (-1, *field.shape)))


def _row(item: Any, names: tuple[str, ...], dtype: np.dtype[Any]) -> Any:
    """One row by field name; nothing is missing and nothing is left over."""
    if isinstance(item, np.ndarray) and not item.ndim:
        item = item[()]
    if isinstance(item, list | tuple) and len(item) == len(names):
        return dict(zip(names, item, strict=True))
    named = isinstance(item, np.void) and set(item.dtype.names or ()) == set(names)
    if not named and not (isinstance(item, dict) and item.keys() == set(names)):
        refuse(item, dtype, f"fields: {', '.join(names)}")
    return item
