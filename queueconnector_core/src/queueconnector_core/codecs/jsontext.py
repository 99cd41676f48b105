"""The JSON encoding."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np

from queueconnector_core.codecs._plain import plain
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.protocols import Decoder, Encoder
from queueconnector_core.record import Value

__all__ = ("JsonCodec", "parse_json")

_parse_strict = msgspec.json.Decoder().decode
_write_strict = msgspec.json.Encoder().encode


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
        floats = spec.dtype.kind == "f"
        finite = _finite_array if spec.shape else math.isfinite
        direct = spec.dtype.kind in "biuU"

        def encode(value: Any) -> bytes:
            value = convert(value)
            strict = direct or (floats and finite(value))
            try:
                if strict:
                    return _write_strict(value.tolist() if spec.shape else value)
            except (UnicodeEncodeError, ValueError):
                pass  # lone surrogates: Python's writer escapes them
            try:
                return json.dumps(value, default=_default).encode()
            except (TypeError, ValueError, RecursionError) as error:
                raise RecordError(f"the value cannot be written as JSON: {error}") from None

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """JSON, converted to `spec`."""
        convert = converter(spec)

        def decode(data: bytes) -> Value:
            return convert(parse_json(data))

        return decode


def _finite_array(array: np.ndarray[Any, np.dtype[Any]]) -> bool:
    return bool(np.isfinite(array).all())


def _default(value: object) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return plain(value, named=True)
    if isinstance(value, complex):
        return [value.real, value.imag]
    raise TypeError(f"{type(value).__name__} has no JSON form")
