"""Values on the wire, by the reference implementations alone: none of the product's code."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from collections.abc import Callable
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np

from .table import Row

__all__ = ("decode", "encode", "in_memory", "plain", "rebuild")


def plain(value: Any, *, named: bool) -> Any:
    """Python's own values; rows of structured arrays by field name, or as tuples."""
    if isinstance(value, np.ndarray):
        return [plain(part, named=named) for part in value]
    if isinstance(value, np.void):
        names = value.dtype.names or ()
        parts = [plain(value[name], named=named) for name in names]
        return dict(zip(names, parts, strict=True)) if named else tuple(parts)
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, complex) and named:
        return [value.real, value.imag]
    return value


def in_memory(row: Row, value: Any) -> Any:
    """What stands for a value in the data of an InMemorySource."""
    if row.name == "bytes":
        label, octets = value
        return [label, base64.b64encode(octets).decode()]
    return plain(value, named=True)


def encode(encoding: str, row: Row, value: Any) -> bytes:
    """A message as a foreign producer writes it."""
    if row.name == "bytes":
        return value[1]  # type: ignore[no-any-return]
    return _ENCODE[encoding or "python"](row, value)


def decode(encoding: str, row: Row, octets: bytes, label: str) -> Any:
    """A message as a foreign consumer reads it."""
    if row.name == "bytes":
        return label, octets
    return _DECODE[encoding or "python"](row, octets)


def _array(row: Row, value: Any) -> np.ndarray[Any, Any]:
    return np.array(value, None if row.name == "str" else row.dtype)


def _text(value: Any) -> str:
    return str(plain(value, named=False))


def _save(row: Row, value: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, _array(row, value), allow_pickle=False)
    return file.getvalue()


def _pack(_row: Row, value: Any) -> bytes:
    if isinstance(value, np.void):
        value = np.array(value)
    return msgpack.packb(value, default=_packable)  # type: ignore[no-any-return]


def _packable(value: Any) -> Any:
    """As msgpack-numpy has it, which itself cannot write datetime64, but reads it."""
    if "M" not in _kinds(getattr(value, "dtype", None)):
        return msgpack_numpy.encode(value)
    if isinstance(value, np.generic):
        return {b"nd": False, b"type": value.dtype.str, b"data": value.tobytes()}
    head = msgpack_numpy.encode(np.zeros(0, value.dtype.names and [("a", "i4")]))
    kind = value.dtype.descr if value.dtype.names else value.dtype.str
    return {**head, b"type": kind, b"shape": value.shape, b"data": value.tobytes()}


def _kinds(dtype: np.dtype[Any] | None) -> str:
    if dtype is None:
        return ""
    return "".join(dtype[name].kind for name in dtype.names or ()) or dtype.kind


_ENCODE: dict[str, Callable[[Row, Any], bytes]] = {
    "python": lambda _, value: repr(plain(value, named=False)).encode(),
    "json": lambda _, value: json.dumps(plain(value, named=True)).encode(),
    "utf-8": lambda _, value: _text(value).encode("utf-8"),
    "ascii": lambda _, value: _text(value).encode("ascii"),
    "msgpack_numpy": _pack,
    "npy": _save,
    "carray": lambda row, value: _array(row, value).tobytes(),
}


def _literal(row: Row, text: str) -> Any:
    names = {"nan": math.nan, "inf": math.inf, "complex": complex}
    if row.dtype.kind == "c":  # sums of parts would lose signs of zeros
        text = re.sub(r"\(?[-+.\w]+j\)?", r"complex('\g<0>')", text)
    return eval(text, {"__builtins__": {}}, names)  # noqa: S307 - of our own messages


def _unpacked(row: Row, octets: bytes) -> Any:
    found = msgpack.unpackb(octets, object_hook=msgpack_numpy.decode)
    if isinstance(found, np.generic) and found.dtype.kind == "c":
        return found.item()
    return found[()] if isinstance(found, np.ndarray) and not row.shape else found


def _loaded(row: Row, octets: bytes) -> Any:
    return _scalar_or_array(row, np.load(io.BytesIO(octets), allow_pickle=False))


def _buffer(row: Row, octets: bytes) -> Any:
    flat = np.frombuffer(octets, row.dtype)
    # numpy cannot guess a dynamic dimension beside an empty one.
    return _scalar_or_array(row, flat.reshape(row.shape))


def _scalar_or_array(row: Row, array: np.ndarray[Any, Any]) -> Any:
    if row.shape or array.ndim:
        return array
    return array[()] if array.dtype.kind in "MV" else array.item()


def rebuild(row: Row, tree: Any) -> Any:
    """A value of the row, out of Python's own values."""
    if row.name == "object":
        return tree
    if not row.shape:
        return _item(row, tree)
    items = [tree]
    shape: list[int] = []
    for size in row.shape:
        shape.append(len(items[0]) if items else max(size, 0))
        items = [part for item in items for part in item]
    array = np.array([_item(row, item) for item in items], row.dtype)
    return array.reshape(shape)


def _item(row: Row, found: Any) -> Any:
    if row.dtype.kind == "V":
        fields = found.values() if isinstance(found, dict) else found
        return np.array([tuple(fields)], row.dtype)[0]
    if row.dtype.kind == "M":
        return np.datetime64(found, "ns")
    if row.dtype.kind == "c" and isinstance(found, list):
        return complex(*found)
    return found


def _from_text(row: Row, text: str) -> Any:
    if row.dtype.kind == "U":
        return text
    if row.dtype.kind == "M":
        return np.datetime64(text, "ns")
    if row.dtype.kind == "b":
        return {"True": True, "False": False}[text]
    return {"i": int, "u": int, "f": float, "c": complex}[row.dtype.kind](text)


_DECODE: dict[str, Callable[[Row, bytes], Any]] = {
    "python": lambda row, octets: rebuild(row, _literal(row, octets.decode())),
    "json": lambda row, octets: rebuild(row, json.loads(octets)),
    "utf-8": lambda row, octets: _from_text(row, octets.decode("utf-8")),
    "ascii": lambda row, octets: _from_text(row, octets.decode("ascii")),
    "msgpack_numpy": _unpacked,
    "npy": _loaded,
    "carray": _buffer,
}
