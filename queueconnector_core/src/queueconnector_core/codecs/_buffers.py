"""Arrays over octets that came from outside: nothing is trusted, nothing is copied."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np

from queueconnector_core.errors import RecordError

__all__ = ("array_over", "parse_descr")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
MAX_EMPTY: Final = 1_000_000
"""Largest product of the sizes of an empty array: `(10**9, 0)` costs nothing until it is a list."""
MAX_CODE_POINT: Final = 0x10FFFF


def array_over(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int = 0) -> Array:
    """The array of `dtype` and `shape` that `data` holds from `offset` to its end, C order.

    It is read-only and shares the memory, unless it would be unaligned: then it is a copy. Raises
    `RecordError` when the count of octets is another one, or text or booleans are malformed.
    """
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - offset != expected:
        raise RecordError(
            f"found {len(data) - offset} octets; dtype {dtype} and shape {list(shape)} "
            f"make {expected}"
        )
    if not expected:
        if math.prod(size or 1 for size in shape) > MAX_EMPTY:
            raise RecordError(f"found an empty array of shape {list(shape)}; that is too large")
        return _empty(dtype, shape)
    array: Array = np.ndarray(shape, dtype, data, offset)
    if not array.flags.aligned:
        array = array.copy()
    _checker(dtype)(array)
    return array


def _empty(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if 0 not in shape and dtype.kind != "U":
        raise RecordError(f"found dtype {dtype}, whose values have no octets")
    return np.zeros(shape, dtype)


def _layout(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int] | None:
    """How to look at values whose octets may be malformed: as integers, up to a limit."""
    if dtype.kind == "U" and dtype.itemsize:
        units = np.dtype((dtype.byteorder.replace("|", "=") + "u4", (dtype.itemsize // 4,)))
        return units, MAX_CODE_POINT
    return (np.dtype("u1"), 1) if dtype.kind == "b" else None


@lru_cache(maxsize=256)  # bounded: dtypes come from strangers as well
def _checker(dtype: np.dtype[Any]) -> Callable[[Array], None]:
    """The check of all booleans and all text in an array of `dtype`."""
    if dtype.names is None:
        layout = _layout(dtype)
        if layout is None:
            return _no_check
        view, limits = layout[0].base, [("", layout[1])]
    else:
        view, limits = _integer_view(dtype, "")
    if not limits:
        return _no_check

    def check(array: Array) -> None:
        integers = array.reshape(-1).view(view)
        for name, limit in limits:
            part = integers[name] if name else integers
            if part.size and part.max() > limit:
                raise RecordError(f"found octets that are no text or boolean of dtype {dtype}")

    return check


def _integer_view(dtype: np.dtype[Any], prefix: str) -> tuple[np.dtype[Any], list[tuple[str, int]]]:
    """A dtype with the same size in which each text and each boolean at any depth is integers."""
    names: list[str] = []
    formats: list[Any] = []
    offsets: list[int] = []
    limits: list[tuple[str, int]] = []
    for name, field, offset in _leaves(dtype, prefix, 0):
        layout = _layout(field.base)
        if layout is not None:
            names.append(name)
            formats.append((layout[0], field.shape))
            offsets.append(offset)
            limits.append((name, layout[1]))
    view = np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": dtype.itemsize}
    )
    return view, limits


def _leaves(dtype: np.dtype[Any], prefix: str, offset: int) -> list[tuple[str, np.dtype[Any], int]]:
    found: list[tuple[str, np.dtype[Any], int]] = []
    for name in dtype.names or ():
        field, start = dtype.fields[name][:2]  # type: ignore[index]
        path = f"{prefix}/{name}"
        if field.base.names is None:
            found.append((path, field, offset + start))
            continue
        for index in range(math.prod(field.shape)):
            step = offset + start + index * field.base.itemsize
            found.extend(_leaves(field.base, f"{path}/{index}", step))
    return found


def _no_check(array: Array) -> None:
    """Every octet is good."""


_REFUSED: Final = (
    *(TypeError, ValueError, KeyError, IndexError, AttributeError, SyntaxError),
    *(OverflowError, MemoryError, RecursionError, DeprecationWarning),
)


def parse_descr(descr: object) -> np.dtype[Any]:
    """The dtype that a header names: numpy's array protocol text, or a list of fields.

    Raises `RecordError` for anything else, and for objects: these would be pickles.
    """
    try:
        dtype = _dtype(descr)
    except _REFUSED as error:
        raise RecordError(f"found no dtype in the header: {error}") from None
    if dtype.hasobject:
        raise RecordError("found pickled objects; they are never read: they could run any code")
    if _lacks_unit(dtype):
        raise RecordError("found dates or durations without a unit")
    return dtype


def _lacks_unit(dtype: np.dtype[Any]) -> bool:
    if dtype.names is not None:
        return any(_lacks_unit(dtype[name].base) for name in dtype.names)
    return dtype.kind in "mM" and np.datetime_data(dtype)[0] == "generic"


def _dtype(descr: object) -> np.dtype[Any]:
    if isinstance(descr, str):
        if "," in descr or "(" in descr or len(descr) > 64:
            raise ValueError(f"{descr[:64]!r} is no type of the array protocol")
        return np.dtype(descr)
    if not isinstance(descr, list):
        raise TypeError(f"a dtype is text or a list of fields, not {type(descr).__name__}")
    return np.lib.format.descr_to_dtype([_field(*field) for field in descr])


def _field(name: object, descr: object, *shape: object) -> tuple[Any, ...]:
    decoded = name.decode() if isinstance(name, bytes) else name
    inner = [_field(*field) for field in descr] if isinstance(descr, list) else descr
    sizes = (tuple(size) if isinstance(size, list) else size for size in shape)
    return (decoded, inner, *sizes)
