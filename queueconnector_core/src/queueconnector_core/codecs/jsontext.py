"""The JSON encoding."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
import orjson

from queueconnector_core.codecs._plain import plain
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.protocols import Decoder, Encoder
from queueconnector_core.record import Value

__all__ = ("JsonCodec", "json_reader")

_INEXACT: Final = 2.0**53
"""From here on floats do not have every integer."""
_parse_strict = msgspec.json.Decoder().decode


def parse_json(data: bytes) -> Any:
    """JSON as Python's own `json` reads it, NaN and Infinity included; raises `RecordError`."""
    try:
        return _parse_strict(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # Python's reader also knows NaN, lone surrogates, UTF-16; or says what is wrong
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"found no JSON: {error}") from None


def json_reader(spec: DataSpec) -> Callable[[bytes], Value]:
    """A function that reads JSON as a value of `spec`; raises `RecordError`."""
    convert = converter(spec)
    if not spec.shape or spec.dtype.kind != "f":
        return lambda data: convert(parse_json(data))
    nested: Any = float
    for _ in spec.shape:
        nested = list[nested]
    parse = msgspec.json.Decoder(nested).decode
    # For one dimension, of which nothing has to be found out, it takes two thirds of the time.
    make = np.fromiter if len(spec.shape) == 1 else np.array

    def read_floats(data: bytes) -> Value:
        try:
            array = make(parse(data), "float64")
        except (msgspec.DecodeError, ValueError, RecursionError):
            return convert(parse_json(data))  # NaN, text, …; or says what is wrong
        if not spec.matches(array.shape) or (abs(array) >= _INEXACT).any():
            return convert(parse_json(data))  # what was an integer must be exact
        return convert(array)

    return read_floats


class JsonCodec:
    """`json`: JSON as Python's `json` reads and writes it.

    All dtypes and shapes but bytes. Arrays are nested lists, rows of structured arrays objects by
    field name (lists in field order are read as well), complex numbers `[real, imaginary]`,
    datetime64 is ISO 8601 text. NaN and infinity stand as the tokens `NaN`, `Infinity`,
    `-Infinity`, as Python's `json` has them. Keys in containers become text. Spaces and escapes
    are not part of the canonical form.
    """

    def check(self, spec: DataSpec) -> None:
        """Every dtype and shape passes."""

    def encoder(self, spec: DataSpec) -> Encoder:
        """JSON text of plain values."""
        convert = converter(spec)
        write_strict = _strict_writer(spec)

        def encode(value: Any) -> bytes:
            value = convert(value)
            try:
                if (text := write_strict(value)) is not None:
                    return text
            except TypeError:
                pass  # lone surrogates: Python's writer escapes them
            try:
                return _write(value).encode()
            except (TypeError, ValueError, RecursionError) as error:
                raise RecordError(f"the value cannot be written as JSON: {error}") from None

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """JSON, converted to `spec`."""
        return json_reader(spec)


def _strict_writer(spec: DataSpec) -> Callable[[Any], bytes | None]:
    """Writes what standard JSON has; None for all else, raises `TypeError` for lone surrogates."""
    if spec.dtype.kind in "biuU":
        return _dump
    if spec.dtype.kind != "f":
        return lambda _: None
    if not spec.shape:
        return lambda number: _dump(number) if math.isfinite(number) else None

    def write_floats(array: np.ndarray[Any, np.dtype[Any]]) -> bytes | None:
        if not np.isfinite(array).all():
            return None  # it would become null
        # Of a float32 it would write the shortest text that is this float32, not its value.
        return _dump(np.asarray(array, "float64"))

    return write_floats


def _dump(value: object) -> bytes:
    return orjson.dumps(value, _default, orjson.OPT_SERIALIZE_NUMPY)


def _default(value: object) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return plain(value, named=True)
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(f"{type(value).__name__} has no JSON form")


_write = json.JSONEncoder(default=_default).encode
