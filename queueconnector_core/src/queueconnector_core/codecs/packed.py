"""The msgpack_numpy encoding, written over `msgpack`; the wire format is msgpack-numpy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgpack
import numpy as np

from queueconnector_core.codecs._buffers import array_reader, parse_descr, value_reader
from queueconnector_core.codecs.arrays import array_encoder_input, framed, is_shape
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.protocols import Decoder, Encoder
from queueconnector_core.record import Value

__all__ = ("MsgpackNumpyCodec", "pack", "unpack")

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
_MALFORMED: Final = (
    *(ValueError, TypeError, KeyError, OverflowError, MemoryError, RecursionError),
    *(msgpack.exceptions.UnpackException, msgpack.exceptions.PackException),
)


class MsgpackNumpyCodec:
    """`msgpack_numpy`: MessagePack, with numpy's values as the msgpack-numpy library has them.

    All dtypes and shapes but bytes. Scalars are MessagePack's own; complex numbers, datetime64
    and arrays are maps with the keys `nd`, `type`, `kind`, `shape`, `data` (octets, not text),
    structured scalars arrays without dimensions. The library reads all of it, and what it writes
    is read. Keys in containers are text or octets. Arrays come back read-only. Kind `O` (pickled
    objects) is never read: it could run any code. MessagePack's time stamps are read as
    nanoseconds since 1970.
    """

    def check(self, spec: DataSpec) -> None:
        """Every dtype and shape passes."""

    def encoder(self, spec: DataSpec) -> Encoder:
        """MessagePack; the head of an array of the last dtype and shape is kept.

        The function keeps a packer: it belongs to one thread.
        """
        if spec.shape or spec.is_structured:
            return _array_encoder(spec)
        convert = converter(spec)
        pack = msgpack.Packer(default=_encode).pack

        def encode(value: Any) -> bytes:
            value = convert(value)
            try:
                return pack(value)  # type: ignore[no-any-return]
            except _MALFORMED as error:
                raise RecordError(f"the value cannot be written as MessagePack: {error}") from None

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """MessagePack, converted to `spec`; the last head of an array is recognised unread."""
        convert = converter(spec)
        arrays = bool(spec.shape or spec.is_structured)
        head = b""
        read: Callable[[bytes], Value]

        def decode(data: bytes) -> Value:
            nonlocal head, read
            if head and data.startswith(head):
                return read(data)
            found = unpack(data)
            if arrays and type(found) is np.ndarray:
                expected = _array_head(found)
                if data.startswith(expected):
                    read = value_reader(spec, found.dtype, found.shape, len(expected))
                    head = expected
            return convert(found)

        return decode


def _array_encoder(spec: DataSpec) -> Encoder:
    as_array = array_encoder_input(spec)
    last: tuple[Any, Any] = (None, None)
    head = b""

    def encode(value: Any) -> bytes:
        nonlocal last, head
        array = as_array(value)
        kind = (array.shape, array.dtype)
        if kind != last:
            head, last = _array_head(array), kind
        return framed(head, array)

    return encode


def _array_head(array: Array) -> bytes:
    """All octets of an array's map before its buffer; they depend on dtype and shape only."""
    structured = array.dtype.names is not None
    fields = {
        b"nd": True,
        b"type": array.dtype.descr if structured else array.dtype.str,
        b"kind": b"V" if structured else b"",
        b"shape": array.shape,
    }
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(fields) + 1)
    for key, value in fields.items():
        packer.pack(key)
        packer.pack(value)
    packer.pack(b"data")
    return b"".join((packer.bytes(), _octets_head(array.nbytes)))


def _octets_head(size: int) -> bytes:
    if size < 2**8:
        return b"\xc4" + size.to_bytes(1, "big")
    if size < 2**16:
        return b"\xc5" + size.to_bytes(2, "big")
    if size < 2**32:
        return b"\xc6" + size.to_bytes(4, "big")
    raise RecordError(f"found an array of {size} octets; MessagePack carries less than 4 GiB")


def _encode(value: object) -> object:
    """What MessagePack does not know, as msgpack-numpy writes it."""
    if isinstance(value, complex):
        return {b"complex": True, b"data": repr(complex(value))}
    if isinstance(value, np.void):
        value = np.array(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        structured = value.dtype.names is not None
        return {
            b"nd": True,
            b"type": value.dtype.descr if structured else value.dtype.str,
            b"kind": b"V" if structured else b"",
            b"shape": value.shape,
            b"data": value.tobytes(),
        }
    if isinstance(value, np.generic):
        return {b"nd": False, b"type": value.dtype.str, b"data": value.tobytes()}
    raise TypeError(f"{type(value).__name__} has no MessagePack form")


def pack(value: Value) -> bytes:
    """Any value with its own dtype and shape; raises `RecordError` for what has no such form."""
    try:
        return msgpack.packb(value, default=_encode)  # type: ignore[no-any-return]
    except _MALFORMED as error:
        raise RecordError(f"the value cannot be written as MessagePack: {error}") from None


def unpack(data: bytes) -> Any:
    """What `pack` or the codec has written, not yet converted; raises `RecordError`."""
    try:
        return msgpack.unpackb(data, object_hook=_decode, ext_hook=_refuse_extension, timestamp=2)
    except _MALFORMED as error:
        raise RecordError(f"found no MessagePack: {error or type(error).__name__}") from None


def _refuse_extension(code: int, _data: bytes) -> object:
    raise ValueError(f"extension type {code} is not known")


def _decode(found: dict[Any, Any]) -> Any:
    """Maps that stand for numpy's values, and all others as they are."""
    if b"nd" in found and b"type" in found and b"data" in found:
        if found.get(b"kind") == b"O":
            raise RecordError("found pickled objects; they are never read: they could run any code")
        dtype = parse_descr(found[b"type"])
        data = found[b"data"]
        shape = found.get(b"shape", ()) if found[b"nd"] is True else ()
        if not isinstance(data, bytes) or not is_shape(shape):
            raise RecordError("found no array: its data are octets, its shape a list of sizes")
        array = array_reader(dtype, tuple(shape))(data)
        return array if found[b"nd"] is True else array[()]
    if b"complex" in found and b"data" in found:
        text = found[b"data"]
        return complex(text.decode() if isinstance(text, bytes) else str(text))
    return found
