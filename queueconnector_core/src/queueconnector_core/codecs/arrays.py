"""Encodings of whole arrays: numpy's `.npy` format, and the bare buffer."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np

from queueconnector_core.codecs._buffers import parse_descr, value_reader
from queueconnector_core.codecs._literal import parse_literal
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.protocols import Decoder, Encoder
from queueconnector_core.record import Value

__all__ = ("CarrayCodec", "NpyCodec")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_MAGIC: Final = b"\x93NUMPY"
_ALIGN: Final = 64
_MAX_HEADER: Final = 2**18
_GROWTH_DIGITS: Final = 21


def array_encoder_input(spec: DataSpec) -> Callable[[object], Array]:
    """A function that makes an array of any value of `spec`, without dimensions for a scalar."""
    convert: Callable[[object], Any] = converter(spec)
    if spec.shape:
        return convert
    text = spec.is_text

    def as_array(value: object) -> Array:
        value = convert(value)
        if text and isinstance(value, str) and value.endswith("\0"):
            raise RecordError("found text that ends in U+0000; arrays of text cannot keep it")
        dtype = None if text and not spec.dtype.itemsize else spec.dtype
        return np.array(value, dtype)

    return as_array


def framed(head: bytes, array: Array) -> bytes:
    """`head`, and the buffer of `array` in C order."""
    parts: Any = (head, array)  # an array is a buffer; types say so from Python 3.12 on only
    try:
        return b"".join(parts)
    except TypeError:  # dates, and arrays in another order, have no buffer that could be joined
        return b"".join((head, array.tobytes()))


class NpyCodec:
    """`npy`: numpy's file format, as `np.save` writes it and `np.load` reads it.

    All dtypes and shapes but bytes and object; scalars are arrays without dimensions. Versions 1 to
    3 are read, in C and Fortran order. Arrays come back read-only and share the message's memory.
    Pickled objects are never read, and the size in the header must be that of the message.
    """

    def check(self, spec: DataSpec) -> None:
        """Raise `ConfigError` for containers."""
        if spec.is_object or spec.is_bytes:
            raise ConfigError.at("", f"npy carries arrays and scalars, not dtype {spec}")

    def encoder(self, spec: DataSpec) -> Encoder:
        """Header and buffer; the header of the last dtype and shape is kept."""
        as_array = array_encoder_input(spec)
        last: tuple[Any, Any] = (None, None)
        header = b""

        def encode(value: Any) -> bytes:
            nonlocal last, header
            array = as_array(value)
            kind = (array.shape, array.dtype)
            if kind != last:
                header, last = npy_header(array.dtype, array.shape), kind
            return framed(header, array)

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """The array, converted to `spec`; the last header is recognised without reading it."""
        header = b""
        read: Callable[[bytes], Value]

        def decode(data: bytes) -> Value:
            nonlocal header, read
            if not header or not data.startswith(header):
                length, dtype, shape, fortran = _read_npy_header(data)
                read = value_reader(spec, dtype, shape, length, "F" if fortran else "C")
                header = data[:length]
            return read(data)

        return decode


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The octets that `np.save` writes before the buffer of a C-ordered array."""
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    if shape:
        text += " " * (_GROWTH_DIGITS - len(repr(shape[0])))
    for version, charset, size in ((1, "latin-1", "<H"), (2, "latin-1", "<I"), (3, "utf-8", "<I")):
        try:
            body = text.encode(charset)
            before = len(_MAGIC) + 2 + struct.calcsize(size)
            body += b" " * (_ALIGN - (before + len(body) + 1) % _ALIGN) + b"\n"
            return _MAGIC + bytes([version, 0]) + struct.pack(size, len(body)) + body
        except (struct.error, UnicodeEncodeError):
            continue
    raise RecordError(f"found field names that no header can carry: {dtype}")


def _read_npy_header(data: bytes) -> tuple[int, np.dtype[Any], tuple[int, ...], bool]:
    """Length of the header, dtype, shape, and whether the order is Fortran's."""
    version = data[6:8]
    if data[:6] != _MAGIC or version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise RecordError(f"found no .npy message of version 1, 2 or 3: {data[:8]!r}")
    start = 10 if version == b"\1\0" else 12
    length = int.from_bytes(data[8:start], "little")
    if length > min(_MAX_HEADER, len(data) - start):
        raise RecordError(f"found a header of {length} octets; allowed: {_MAX_HEADER}, all present")
    try:
        text = data[start : start + length].decode("utf-8" if version == b"\3\0" else "latin-1")
        header = parse_literal(text)
    except ValueError as error:
        raise RecordError(f"found no .npy header: {error}") from None
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise RecordError("found no .npy header: it has descr, fortran_order and shape")
    shape, fortran = header["shape"], header["fortran_order"]
    if not is_shape(shape) or not isinstance(fortran, bool):
        raise RecordError("found no .npy header: shape is a tuple of sizes, fortran_order a bool")
    return start + length, parse_descr(header["descr"]), tuple(shape), fortran


def is_shape(shape: object) -> bool:
    """Whether a header gave sizes of dimensions that numpy can have."""
    return (
        isinstance(shape, tuple | list)
        and len(shape) <= 32
        and all(type(size) is int and 0 <= size < 2**62 for size in shape)
    )


class CarrayCodec:
    """`carray`: the bare buffer in row-major order, without dtype and shape.

    Dtypes of fixed size (bool, numbers, datetime64, `U8`, structured) in the byte order of the
    configuration, all shapes; a dynamic dimension follows from the count of octets. Any other
    count is a `RecordError`. Arrays come back read-only and share the message's memory.
    """

    def check(self, spec: DataSpec) -> None:
        """Raise `ConfigError` for dtypes without a fixed size."""
        if spec.is_object or not spec.dtype.itemsize:
            raise ConfigError.at("", f"carray carries dtypes of a fixed size, not {spec}")
        if spec.is_dynamic and 0 in spec.shape:
            raise ConfigError.at("", f"carray cannot tell the dynamic size of {spec}: it is empty")

    def encoder(self, spec: DataSpec) -> Encoder:
        """The buffer."""
        as_array = array_encoder_input(spec)

        def encode(value: Any) -> bytes:
            return as_array(value).tobytes()

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """The array of the configured dtype and shape, or its scalar."""
        row = spec.dtype.itemsize
        for size in spec.shape:
            row *= abs(size)  # a dynamic dimension counts as one
        length = -1
        read: Callable[[bytes], Value]

        def decode(data: bytes) -> Value:
            nonlocal length, read
            if len(data) != length:
                rows = len(data) // row if row else 0
                shape = tuple(rows if size < 0 else size for size in spec.shape)
                read = value_reader(spec, spec.dtype, shape)
                length = len(data)
            return read(data)

        return decode
