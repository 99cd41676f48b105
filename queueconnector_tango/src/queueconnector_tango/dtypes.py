"""numpy dtypes and Tango types, in one table, with the values of each as Tango wants them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Value

__all__ = (
    "TANGO_TYPES",
    "StringEncoding",
    "Encode",
    "tango_type",
    "misfit_of",
    "check_attribute",
    "max_dimensions",
    "empty_value",
    "encoder",
    "decode_text",
    "as_latin_1",
)

StringEncoding: TypeAlias = Literal["utf-8", "latin-1"]
"""How text stands in a DevString, which is octets that PyTango takes for Latin-1."""

Encode: TypeAlias = Callable[[Value], Any]

TANGO_TYPES: Final = {
    "bool": "DevBoolean",
    "uint8": "DevUChar",
    "uint16": "DevUShort",
    "uint32": "DevULong",
    "uint64": "DevULong64",
    "int16": "DevShort",
    "int32": "DevLong",
    "int64": "DevLong64",
    "float32": "DevFloat",
    "float64": "DevDouble",
}
"""The Tango type of each numpy number, by the name of its dtype."""


@lru_cache(maxsize=256)  # numpy takes its time to say the name of a dtype
def tango_type(spec: DataSpec) -> str:
    """The Tango type of an attribute of `spec`, whatever its shape.

    Raises `ConfigError` (empty path) when Tango has no such type.
    """
    if spec.is_text:
        return "DevString"
    if spec.is_bytes:
        return "DevEncoded"
    try:
        return TANGO_TYPES[spec.dtype.name]
    except KeyError:
        allowed = ", ".join((*TANGO_TYPES, "str", "bytes"))
        raise ConfigError.at(
            "", f"a Tango attribute cannot carry dtype {spec}; allowed: {allowed}"
        ) from None


def misfit_of(type_: str, shape: tuple[int, ...], spec: DataSpec) -> str:
    """Why values of `spec` cannot be written to an attribute of another device; empty: they can.

    `shape` is the largest size of each dimension of the attribute.
    """
    fits = len(shape) == len(spec.shape) and all(
        size <= largest for size, largest in zip(spec.shape, shape, strict=True)
    )
    if type_ == tango_type(spec) and fits:
        return ""
    words = f"{type_}, " + (f"at most {list(shape)}" if shape else "a scalar")
    carried = f"the exchange carries {spec} ({tango_type(spec)})"
    return f"is {words}; {carried}: dtype and shape must fit"


def check_attribute(spec: DataSpec) -> None:
    """Raise `ConfigError` (empty path) when values of `spec` do not fit one Tango attribute."""
    tango_type(spec)
    if len(spec.shape) > 2:
        raise ConfigError.at(
            "",
            f"found shape {list(spec.shape)}; a Tango attribute has at most 2 dimensions "
            "(TangoArrayScatterAttributeSink flattens more)",
        )
    if any(size < 1 for size in spec.shape):
        raise ConfigError.at(
            "",
            f"found shape {list(spec.shape)}; a Tango attribute needs the largest size of each "
            "dimension, at least 1",
        )


def max_dimensions(spec: DataSpec) -> dict[str, int]:
    """The `max_dim_x` and `max_dim_y` of an attribute: columns first, as Tango counts."""
    return dict(zip(("max_dim_x", "max_dim_y"), reversed(spec.shape), strict=False))


def empty_value(spec: DataSpec) -> Any:
    """What stands in an attribute of quality INVALID; clients see no value."""
    if spec.shape:
        return []
    if spec.is_bytes:
        return ("", b"")
    return "" if spec.is_text else spec.dtype.type(0).item()


def encoder(spec: DataSpec, string_encoding: StringEncoding = "utf-8") -> Encode:
    """A function that turns values of `spec` into what PyTango takes for one attribute.

    It raises `RecordError` for a value of another dtype, one that is larger than `spec.shape`, or
    text that Tango would cut: a bad value in an attribute makes every later read fail.
    """
    if spec.is_bytes:
        return _encode_pair
    if spec.is_text:
        return _text_encoder(spec, string_encoding)
    return _array_checker(spec) if spec.shape else _scalar_encoder(spec.dtype)


def _scalar_encoder(dtype: np.dtype[Any]) -> Encode:
    python = type(dtype.type(0).item())
    bounds = np.iinfo(dtype) if dtype.kind in "iu" else None

    def encode(value: Any) -> Any:
        try:
            plain = python(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise RecordError(f"no {dtype.name}: {error}") from None
        if plain != value and value == value:  # noqa: PLR0124 - NaN differs from itself
            raise RecordError(f"found {value!r}, which is no {dtype.name}")
        if bounds is not None and not bounds.min <= plain <= bounds.max:
            raise RecordError(f"found {value!r}, which is out of range for {dtype.name}")
        return plain

    return encode


def _check_size(spec: DataSpec, shape: tuple[int, ...]) -> None:
    fits = len(shape) == len(spec.shape) and all(
        size <= largest for size, largest in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        raise RecordError(
            f"found shape {list(shape)}, the attribute holds at most {list(spec.shape)}"
        )


def _array_checker(spec: DataSpec) -> Encode:
    native = np.dtype(spec.dtype.name)

    def check(value: Any) -> Any:
        array = np.asarray(value)
        if array.dtype is not native and array.dtype != native:
            raise RecordError(f"found an array of {array.dtype}, the attribute is {native}")
        if array.shape != spec.shape:
            _check_size(spec, array.shape)
        return array

    return check


def _text_encoder(spec: DataSpec, string_encoding: StringEncoding) -> Encode:
    def octets(text: Any) -> Any:
        if isinstance(text, list):
            return [octets(part) for part in text]
        if not isinstance(text, str):
            raise RecordError(f"found {text!r}, the attribute is text")
        if "\0" in text:
            raise RecordError(f"found {text!r}; Tango cuts text at a NUL character")
        try:
            return text.encode(string_encoding)
        except UnicodeEncodeError as error:
            raise RecordError(f"found {text!r}, which is not {string_encoding}: {error}") from None

    def encode(value: Any) -> Any:
        if spec.is_scalar:
            return octets(value)
        array = np.asarray(value)
        _check_size(spec, array.shape)
        return octets(array.tolist())

    return encode


def _encode_pair(value: Any) -> Any:
    label, content = _pair(value)
    try:
        label.encode("latin-1")
    except UnicodeEncodeError:
        raise RecordError(f"the label {label!r} of a DevEncoded value is not Latin-1") from None
    return (label, content)


def _pair(value: Any) -> tuple[str, bytes]:
    match value:
        case (str(label), bytes(content)):
            return label, content
    raise RecordError(f"found {type(value).__name__}, allowed: a pair of label and octets")


def decode_text(value: Any, string_encoding: StringEncoding) -> Any:
    """Text as PyTango gives it (Latin-1), or a sequence of it, read as `string_encoding`.

    Octets that are not UTF-8 stay what they are in Latin-1.
    """
    if isinstance(value, tuple | list):
        return [decode_text(part, string_encoding) for part in value]
    if string_encoding == "latin-1" or not isinstance(value, str):
        return value
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def as_latin_1(text: str) -> str:
    """UTF-8 octets as letters of Latin-1, which is all that PyTango sends."""
    return text.encode("utf-8").decode("latin-1")
