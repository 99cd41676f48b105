"""Values as plain Python objects, for the encodings that are text."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from queueconnector_core._scalars import ISO_TEXT
from queueconnector_core.errors import RecordError

__all__ = ("plain", "plain_tree")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def plain(value: np.generic | Array, *, named: bool) -> Any:
    """An array or numpy scalar as Python scalars in nested lists.

    datetime64 becomes ISO 8601 text. With `named` (JSON) rows are dicts by field name and complex
    numbers `[real, imaginary]`; otherwise rows are tuples and complex numbers stay.
    """
    array = np.asarray(value)
    if array.dtype.names is not None:
        return _plain_rows(array, named=named)
    if array.dtype.kind == "M":
        return _iso(array)
    if array.dtype.kind == "c" and named:
        return np.stack([array.real, array.imag], axis=-1).tolist()
    return array.tolist()


def _iso(array: Array) -> Any:
    texts = np.datetime_as_string(array)
    if not all(ISO_TEXT.fullmatch(text) for text in texts.reshape(-1).tolist()):
        raise RecordError("found a date before the year 0 or after 9999; ISO text cannot carry it")
    return texts.tolist()


def _plain_rows(array: Array, *, named: bool) -> Any:
    names = array.dtype.names or ()
    flat = array.reshape(-1)
    rows: list[Any] = list(zip(*(plain(flat[name], named=named) for name in names), strict=True))
    if named:
        rows = [dict(zip(names, row, strict=True)) for row in rows]
    return _nested(rows, array.shape) if array.ndim else rows[0]


def _nested(rows: list[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) < 2:
        return rows
    step = math.prod(shape[1:])
    return [_nested(rows[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


_ATOMS = frozenset([str, int, float, bool, type(None), complex, bytes])


def plain_tree(value: Any, *, named: bool) -> Any:
    """A container with every numpy value inside replaced by `plain`; others stay as they are."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value, named=named)
    if isinstance(value, dict):
        keys, items = plain_tree([*value], named=named), plain_tree([*value.values()], named=named)
        return dict(zip(keys, items, strict=True))
    if isinstance(value, list | tuple):
        if _ATOMS.issuperset(map(type, value)):
            return value
        return type(value)([plain_tree(item, named=named) for item in value])
    return value
