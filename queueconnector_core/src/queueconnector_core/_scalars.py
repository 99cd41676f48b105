"""Strict conversion of one value to a scalar dtype; `conversion` says what the rules are."""

from __future__ import annotations

import datetime as dt
import math
import re
import reprlib
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np

from queueconnector_core.dataspec import dtype_literal
from queueconnector_core.errors import RecordError

__all__ = ("ISO_TEXT", "Convert", "refuse", "scalar_converter", "unwrap")

Convert: TypeAlias = Callable[[Any], Any]

ISO_TEXT: Final = re.compile(
    r"NaT|(\d{4}(?:-\d\d(?:-\d\d(?:[T ]\d\d(?::\d\d(?::\d\d(?:\.\d{1,18})?)?)?)?)?)?)Z?", re.ASCII
)
"""Date and time as ISO 8601 text with four digits of the year, UTC (or no scale) only."""

_INTEGER_TEXT = re.compile(r"\s*[-+]?\d{1,40}\s*", re.ASCII)


def refuse(value: object, dtype: np.dtype[Any], reason: str = "") -> NoReturn:
    """Raise the `RecordError` of a value that is not one of `dtype`."""
    try:
        found = reprlib.repr(value)
    except ValueError:  # an integer with more digits than Python writes
        found = "a huge integer"
    why = f" ({reason})" if reason else ""
    raise RecordError(
        f"found {found} of type {type(value).__name__}; it is no exact value of "
        f"dtype {dtype_literal(dtype)}{why}"
    )


def unwrap(value: object) -> object:
    """Numpy's scalars and arrays without dimensions as Python's own scalars.

    datetime64 and structured scalars stay numpy's: their Python forms lose unit or names.
    """
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value[()]
    if isinstance(value, np.generic) and value.dtype.kind not in "mMV":
        return value.item()
    return value


def scalar_converter(dtype: np.dtype[Any]) -> Convert:
    """The function that converts one value to `dtype` (not structured, bytes or object)."""
    if dtype.kind == "f" and dtype.itemsize == 8:
        return _float64
    if dtype.kind in "iu":
        return _integer_converter(dtype)
    return partial(_CONVERSIONS[dtype.kind], dtype=dtype)


def _boolean(value: object, dtype: np.dtype[Any]) -> bool:
    if type(value) is bool:
        return value
    value = unwrap(value)
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    refuse(value, dtype, "allowed: true, false, 1, 0")


def _integer_converter(dtype: np.dtype[Any]) -> Convert:
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)

    def convert(value: object) -> int:
        if type(value) is int and low <= value <= high:
            return value
        found = _integer(unwrap(value))
        if found is None:
            refuse(value, dtype)
        if not low <= found <= high:
            refuse(value, dtype, f"allowed: {low} to {high}")
        return found

    return convert


def _integer(value: object) -> int | None:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER_TEXT.fullmatch(value):
        return int(value)
    return None


_FLOAT64 = np.dtype("float64")


def _float64(value: object) -> float:
    return value if type(value) is float else _real(value, _FLOAT64)


def _real(value: object, dtype: np.dtype[Any]) -> float:
    plain = unwrap(value)
    if isinstance(plain, float):
        return _rounded(float(plain), dtype)
    if isinstance(plain, int):
        return _exact(int(plain), dtype)
    if isinstance(plain, str):
        try:
            found = float(plain)
        except ValueError:
            refuse(value, dtype, "no number")
        if math.isinf(found) and any(letter.isdigit() for letter in plain):
            refuse(value, dtype, "out of range")
        return _rounded(found, dtype)
    refuse(value, dtype)


def _rounded(value: float, dtype: np.dtype[Any]) -> float:
    """Round to the precision of `dtype`; a finite value stays finite."""
    if dtype.itemsize == 8:
        return value
    layout = "<" + dtype.char  # only the standard layouts refuse what is out of range
    try:
        return float(struct.unpack(layout, struct.pack(layout, value))[0])
    except OverflowError:
        refuse(value, dtype, "out of range")


def _exact(value: int, dtype: np.dtype[Any]) -> float:
    try:
        found = _rounded(float(value), dtype)
    except OverflowError:
        refuse(value, dtype, "out of range")
    if found != value:
        refuse(value, dtype, "more digits than the dtype holds")
    return found


def _complex(value: object, dtype: np.dtype[Any]) -> complex:
    part = np.dtype("float32" if dtype.itemsize == 8 else "float64")
    plain = unwrap(value)
    if isinstance(plain, str):
        try:
            plain = complex(plain)
        except ValueError:
            refuse(value, dtype, "no complex number")
    if isinstance(plain, complex):
        return complex(_rounded(plain.real, part), _rounded(plain.imag, part))
    if isinstance(plain, list | tuple) and len(plain) == 2:
        return complex(_real(plain[0], part), _real(plain[1], part))
    return complex(_real(value, part))


def _text(value: object, dtype: np.dtype[Any]) -> str:
    if type(value) is str and not dtype.itemsize:
        return value
    plain = unwrap(value)
    if isinstance(plain, bytes | bytearray):
        try:
            plain = plain.decode()
        except UnicodeDecodeError:
            refuse(value, dtype, "octets that are not UTF-8")
    elif isinstance(plain, bool | int | float | complex | np.datetime64):
        plain = str(plain)
    if not isinstance(plain, str):
        refuse(value, dtype)
    if dtype.itemsize and len(plain) > dtype.itemsize // 4:
        refuse(value, dtype, f"longer than {dtype.itemsize // 4} characters")
    return plain


def _datetime(value: object, dtype: np.dtype[Any]) -> Any:
    plain: Any = unwrap(value)
    if isinstance(plain, str):
        plain = _parse_datetime(plain, dtype)
    elif isinstance(plain, dt.datetime):
        if plain.tzinfo is not None:
            plain = plain.astimezone(dt.UTC).replace(tzinfo=None)
        plain = np.datetime64(plain)
    elif isinstance(plain, dt.date):
        plain = np.datetime64(plain)
    elif isinstance(plain, int) and not isinstance(plain, bool) and -(2**63) < plain < 2**63:
        return np.array(plain, "int64").astype(dtype)[()]
    if not isinstance(plain, np.datetime64):
        refuse(value, dtype)
    found = plain.astype(dtype)
    if not np.isnat(plain) and (np.isnat(found) or found.astype(plain.dtype) != plain):
        refuse(value, dtype, "out of range, or finer than the unit")
    return found


def _parse_datetime(text: str, dtype: np.dtype[Any]) -> np.datetime64:
    # Numpy alone would read "now" and "today", and overflow without a word.
    match = ISO_TEXT.fullmatch(text.strip())
    if match is None:
        refuse(text, dtype, "allowed: ISO 8601 text, such as 2030-01-31T12:00:00.5")
    try:
        return np.datetime64(match[1] or "NaT")
    except ValueError:
        refuse(text, dtype, "no such date or time")


_CONVERSIONS: Final[dict[str, Callable[..., Any]]] = {
    "b": _boolean,
    "f": _real,
    "c": _complex,
    "U": _text,
    "M": _datetime,
}
