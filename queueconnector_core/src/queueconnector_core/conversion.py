"""Conversion of whatever a source receives into values of the exchange, without losing anything.

| To | From, beside right ones |
| --- | --- |
| bool | 0 and 1, text `true` and `false` (case ignored) |
| integers | bool, floats without a fraction, decimal text; in range |
| floats | bool, exact integers, text; rounded to float32, but a finite value stays finite |
| complex | as floats, complex text, `[real, imaginary]` |
| text | UTF-8 octets, numbers (as `str` writes them); `U8`: at most eight characters |
| datetime64 | ISO 8601 text, datetime (UTC), counts of its unit, other units; exact |
| structured | an object by field name, a list or tuple in field order, rows of other dtypes |
| bytes | (encoding, octets), octets alone, `[encoding, base64 text]` |
| object | any plain Python value, arrays; nested at most 200 levels |

Arrays are made of arrays, lists and tuples of the shape of the exchange, by the same rules for each
item. Everything else is a `RecordError` that says what was found. NaN and infinity are data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from queueconnector_core._arrays import array_converter, structured_converter
from queueconnector_core._scalars import refuse, scalar_converter
from queueconnector_core.dataspec import BYTES, OBJECT, DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Value

__all__ = ("MAX_DEPTH", "convert_default", "converter", "zero")


def converter(spec: DataSpec, *, broadcast: bool = False) -> Callable[[object], Value]:
    """A function that turns any object into a value of `spec`, or raises `RecordError`.

    Scalars come out as Python's own (datetime64 and structured ones as numpy's), arrays with
    exactly the dtype (text: any length) and a shape that `DataSpec.matches`. An array that is
    right already is returned itself, not copied, and may be read-only. With `broadcast` smaller
    values are repeated by numpy's rules until the shape is filled.
    """
    if spec.is_bytes:
        return _octets
    if spec.is_object:
        return _container
    if spec.shape:
        return array_converter(spec, broadcast=broadcast)
    if spec.is_structured:
        return structured_converter(spec.dtype)
    return scalar_converter(spec.dtype)


def zero(spec: DataSpec) -> Value:
    """What stands where there is no value yet.

    0, False, "", ("", b"") or an empty dict; datetime64 starts with its epoch; arrays are full of
    such zeros, and a dynamic dimension has the size 0.
    """
    if spec.is_bytes:
        return "", b""
    if spec.is_object:
        return {}
    if spec.is_scalar:
        return _zero_scalar(spec.dtype)
    return np.zeros([max(size, 0) for size in spec.shape], spec.dtype)


def _zero_scalar(dtype: np.dtype[Any]) -> Value:
    found: Any = np.zeros((), dtype)[()]
    return found if dtype.kind in "MV" else found.item()  # type: ignore[no-any-return]


def convert_default(value: object, spec: DataSpec) -> Value:
    """A `default_value` as a value of `spec`, filling the whole shape; None when there is none.

    There is none when `value` is None, or "" where the dtype is not text. Raises `ConfigError`
    (empty path) for a value that does not fit.
    """
    if value is None or (isinstance(value, str) and not value and not spec.is_text):
        return None
    try:
        return converter(spec, broadcast=True)(value)
    except RecordError as error:
        raise ConfigError.at("", str(error)) from None


_PAIR: Final = "allowed: (encoding, octets) or [encoding, base64 text]"


def _octets(value: Any) -> tuple[str, bytes]:
    # What nearly all values are comes first: this is called for every message.
    if type(value) is tuple and len(value) == 2:
        label, octets = value
        if type(label) is str and type(octets) is bytes:
            return value
    if isinstance(value, bytes | bytearray | memoryview):
        return "", bytes(value)
    if not isinstance(value, list | tuple) or len(value) != 2:
        refuse(value, BYTES, _PAIR)
    label, octets = value
    if isinstance(octets, str):
        try:
            octets = base64.b64decode(octets, validate=True)
        except ValueError:
            refuse(value, BYTES, "the second item is no base64 text")
    if not isinstance(label, str | None) or not isinstance(octets, bytes | bytearray | memoryview):
        refuse(value, BYTES, _PAIR)
    return label or "", bytes(octets)


MAX_DEPTH: Final = 200
"""How deep containers may be nested: everybody downstream walks through them by recursion."""
_PLAIN: Final = (dict, list, str, float, int, bool, tuple, complex, bytes)


def _container(value: Any) -> Value:
    plain = value is None or isinstance(value, _PLAIN)
    if not plain and (not isinstance(value, np.ndarray | np.generic) or value.dtype.hasobject):
        refuse(value, OBJECT, "allowed: plain Python values and arrays")
    _check_depth(value)
    return value  # type: ignore[no-any-return]


_NESTING: Final = frozenset([dict, list, tuple])


def _check_depth(value: Any) -> None:
    level = [value] if type(value) in _NESTING else []
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        parts = [found.values() if type(found) is dict else found for found in level]
        level = [
            item
            for part in parts
            if not _NESTING.isdisjoint(map(type, part))
            for item in part
            if type(item) in _NESTING
        ]
    raise RecordError(f"found a container that is nested deeper than {MAX_DEPTH} levels")
