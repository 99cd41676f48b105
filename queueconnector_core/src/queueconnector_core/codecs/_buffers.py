"""Arrays over octets that came from outside: nothing is trusted, nothing is copied."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import MAX_DIMENSIONS, DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Value

__all__ = ("array_reader", "parse_descr", "value_reader")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
MAX_EMPTY: Final = 1_000_000
"""Largest product of the sizes of an empty array: `(10**9, 0)` costs nothing until it is a list."""
MAX_CODE_POINT: Final = 0x10FFFF


def array_reader(
    dtype: np.dtype[Any], shape: tuple[int, ...], offset: int = 0, order: Literal["C", "F"] = "C"
) -> Callable[[bytes], Array]:
    """A function that makes an array of what its argument holds from `offset` to its end.

    The array is read-only and shares the memory, unless it would be unaligned: then of a copy.
    The function raises `RecordError` when the count of octets is another one, or text or booleans
    are malformed; this one does for arrays of nothing that are huge nevertheless.
    """
    count = math.prod(shape)
    expected = count * dtype.itemsize
    total = offset + expected
    empty = None if expected else _empty(dtype, shape)
    unaligned = offset % dtype.alignment != 0  # octets of Python objects begin aligned
    begin = 0 if unaligned else offset
    checks = [part.checker(dtype, count, begin) for part in _parts(dtype) if 0 not in part.shape]
    is_row = len(shape) == 1

    def read(data: bytes) -> Array:
        if len(data) != total:
            raise RecordError(
                f"found {len(data) - offset} octets; dtype {dtype} and shape {list(shape)} "
                f"make {expected}"
            )
        if empty is not None:
            return empty
        if unaligned:
            data = data[offset:]
        for check in checks:
            check(data)
        if is_row:  # it takes two thirds of the time
            return np.frombuffer(data, dtype, count, begin)
        return np.ndarray(shape, dtype, data, begin, None, order)

    return read


def value_reader(
    spec: DataSpec,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    offset: int = 0,
    order: Literal["C", "F"] = "C",
) -> Callable[[bytes], Value]:
    """As `array_reader`, and converted to `spec`, unless it is of that dtype and shape already."""
    same = dtype == spec.dtype
    # The very object of `spec` makes later comparisons short.
    read = array_reader(spec.dtype if same else dtype, shape, offset, order)
    if same and spec.shape and spec.matches(shape):
        return read
    convert = converter(spec)
    return lambda data: convert(read(data))


def _empty(dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    if math.prod(size or 1 for size in shape) > MAX_EMPTY:
        raise RecordError(f"found an empty array of shape {list(shape)}; that is too large")
    if 0 not in shape and dtype.kind != "U":
        raise RecordError(f"found dtype {dtype}, whose values have no octets")
    array = np.zeros(shape, dtype)
    array.flags.writeable = False
    return array


class _Part(NamedTuple):
    """Where values may be malformed, and how to look at them: as integers, up to a limit.

    Sizes, strides and offset are those within one item.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    limit: int

    def checker(self, dtype: np.dtype[Any], count: int, begin: int) -> Callable[[bytes], None]:
        """The check of so many items of `dtype`, at least one, in octets, from `begin` on."""
        shape, strides = (count, *self.shape), (dtype.itemsize, *self.strides)
        view, offset, limit = self.dtype, begin + self.offset, self.limit
        largest = np.maximum.reduce

        def check(data: bytes) -> None:
            if largest(np.ndarray(shape, view, data, offset, strides), None) > limit:
                raise RecordError(f"found octets that are no text or boolean of dtype {dtype}")

        return check


@lru_cache(maxsize=256)  # bounded: dtypes come from strangers as well
def _parts(dtype: np.dtype[Any]) -> tuple[_Part, ...]:
    """All text and all booleans in a dtype, at any depth."""
    if dtype.names is not None:
        return tuple(
            part._replace(offset=dtype.fields[name][1] + part.offset)  # type: ignore[index]
            for name in dtype.names
            for part in _parts(dtype[name])
        )
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        steps = itertools.accumulate(reversed(shape[1:]), operator.mul, initial=base.itemsize)
        strides = tuple(steps)[::-1]
        return tuple(
            part._replace(shape=shape + part.shape, strides=strides + part.strides)
            for part in _parts(base)
        )
    if dtype.kind == "b":
        return (_Part(np.dtype("u1"), (), (), 0, 1),)
    if dtype.kind == "U" and dtype.itemsize:
        unit = np.dtype(dtype.byteorder.replace("|", "=") + "u4")
        return (_Part(unit, (dtype.itemsize // 4,), (4,), 0, MAX_CODE_POINT),)
    return ()


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
        lacks_unit = _lacks_unit(dtype)
        deepest = max((len(part.shape) for part in _parts(dtype)), default=0)
    except _REFUSED as error:
        raise RecordError(f"found no dtype in the header: {error}") from None
    if dtype.hasobject:
        raise RecordError("found pickled objects; they are never read: they could run any code")
    if deepest > MAX_DIMENSIONS:
        raise RecordError(f"found text or booleans in more than {MAX_DIMENSIONS} dimensions")
    if lacks_unit:
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
