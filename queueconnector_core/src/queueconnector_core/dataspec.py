"""The dtype and shape of what flows through an exchange, and the words a configuration uses."""

from __future__ import annotations

import contextlib
import difflib
import re
from typing import Any, Final

import attrs
import numpy as np

from queueconnector_core.errors import ConfigError

__all__ = ("DataSpec", "parse_dtype", "dtype_literal")

BYTES: Final = np.dtype("S")
STR: Final = np.dtype("U")
OBJECT: Final = np.dtype("O")

_NUMBERS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128"),
)
LITERALS: Final[dict[str, np.dtype[Any]]] = {
    **{name: np.dtype(name) for name in _NUMBERS},
    "bool_": np.dtype("bool"),
    "int": np.dtype("int64"),
    "float": np.dtype("float64"),
    "datetime64": np.dtype("datetime64[ns]"),
    "complex": np.dtype("complex128"),
    **dict.fromkeys(("str", "str_", "string", "DevString"), STR),
    **dict.fromkeys(("bytes", "DevEncoded"), BYTES),
    **dict.fromkeys(("object", "object_"), OBJECT),
    "DevBoolean": np.dtype("bool"),
    "DevUChar": np.dtype("uint8"),
    "DevUShort": np.dtype("uint16"),
    "DevULong": np.dtype("uint32"),
    "DevULong64": np.dtype("uint64"),
    "DevShort": np.dtype("int16"),
    "DevLong": np.dtype("int32"),
    "DevLong64": np.dtype("int64"),
    "DevFloat": np.dtype("float32"),
    "DevDouble": np.dtype("float64"),
}
"""Every word for a dtype: Python's, numpy's and Tango's."""

# "a", an old spelling of "S", would only warn; the rest is no word of numpy's for one scalar.
_NUMPY_WORD: Final = re.compile(r"[<>=|]?[b-zA-Z?][\w\[\]]*", re.ASCII)
_WIDEST: Final = {"f": 8, "c": 16}
"""Octets of the widest floats that are the same on every machine."""
_MAX_DIMENSION: Final = 2**31 - 1

DROPPED: Final = {
    "dict": 'use "object"',
    "list": 'use "object"',
    "json": 'use "object" with encoding "json"',
    "bytearray": 'use "bytes"',
}
"""Words of older releases of the SKA LMC Queue Connector (changelog 2.0.0), with the way out."""


def parse_dtype(literal: object) -> np.dtype[Any]:
    """The numpy dtype that a configuration names.

    `literal` is a word (`"float64"`, `"DevDouble"`, `"datetime64[ns]"`, `"U8"`) or a list of
    structured fields `[name, dtype]` or `[name, dtype, shape]`. Text without a length is dtype
    `U`, (encoding, octets) pairs are dtype `S`, containers dtype `O`.

    `datetime64` without a unit counts nanoseconds.

    Raises `ConfigError` with the path of the field that is wrong.
    """
    if isinstance(literal, str):
        return _parse_word(literal)
    if isinstance(literal, list | tuple) and literal:
        return _parse_fields(literal)
    raise ConfigError.at("", f"found {literal!r}; allowed: a dtype name or a list of fields")


def _parse_word(word: str) -> np.dtype[Any]:
    if word in LITERALS:
        return LITERALS[word]
    if word in DROPPED:
        raise ConfigError.at("", f"dtype {word!r} is no longer supported: {DROPPED[word]}")
    dtype = None
    if _NUMPY_WORD.fullmatch(word):
        with contextlib.suppress(TypeError, ValueError):
            dtype = np.dtype(word)
    if dtype == np.dtype("M8"):
        return LITERALS["datetime64"]
    widest = _WIDEST.get(dtype.kind, 2**31) if dtype is not None else 0
    if dtype is None or dtype.kind not in "biufcMU" or dtype.itemsize > widest:
        near = difflib.get_close_matches(word, LITERALS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        allowed = ", ".join((*_NUMBERS, "str", "bytes", "object", "datetime64[unit]"))
        raise ConfigError.at("", f"unknown dtype {word!r}{hint} (allowed: {allowed}, fields)")
    return dtype


def _parse_fields(fields: list[Any] | tuple[Any, ...]) -> np.dtype[Any]:
    problems: list[ConfigError] = []
    parsed: list[tuple[Any, ...]] = []
    for index, field in enumerate(fields):
        try:
            parsed.append(_parse_field(field))
        except ConfigError as error:
            problems.append(error.under(f"[{index}]"))
    if problems:
        raise ConfigError(problem for error in problems for problem in error.problems)
    try:
        return np.dtype(parsed)
    except (TypeError, ValueError) as error:
        raise ConfigError.at("", f"not a structured dtype: {error}") from None


def _parse_field(field: object) -> tuple[Any, ...]:
    if not isinstance(field, list | tuple) or len(field) not in (2, 3):
        raise ConfigError.at(
            "", f"found {field!r}; a field is [name, dtype] or [name, dtype, shape]"
        )
    name, literal, *shape = field
    if not isinstance(name, str) or not name:
        raise ConfigError.at("[0]", f"found {name!r}; a field name is text")
    try:
        dtype = parse_dtype(literal)
    except ConfigError as error:
        raise error.under("[1]") from None
    if dtype in (BYTES, OBJECT, STR):
        raise ConfigError.at(
            "[1]", f'found {literal!r}; a field has a fixed size (text: a length, such as "U8")'
        )
    return (name, dtype, *(parse_shape(part, dynamic=False) for part in shape))


def parse_shape(literal: object, *, dynamic: bool = True) -> tuple[int, ...]:
    """Check the sizes of dimensions; at most one may be negative (dynamic), where `dynamic`."""
    sizes = [literal] if isinstance(literal, int) and not dynamic else literal
    if not isinstance(sizes, list | tuple):
        raise ConfigError.at("", f"found {literal!r}; a shape is a list of integers")
    for index, size in enumerate(sizes):
        if isinstance(size, bool) or not isinstance(size, int):
            raise ConfigError.at(f"[{index}]", f"found {size!r}; a dimension is an integer")
        if size > _MAX_DIMENSION:
            raise ConfigError.at(f"[{index}]", f"found {size}; allowed: up to {_MAX_DIMENSION}")
    negative = [index for index, size in enumerate(sizes) if size < 0]
    if len(negative) > (1 if dynamic else 0):
        raise ConfigError.at(
            f"[{negative[-1]}]",
            "at most one dimension may be negative (dynamic)"
            if dynamic
            else "the shape of a field has no negative dimension",
        )
    return tuple(-1 if size < 0 else size for size in sizes)


def dtype_literal(dtype: np.dtype[Any]) -> str | list[list[Any]]:
    """The canonical word, or list of fields, for `dtype`: the inverse of `parse_dtype`."""
    if dtype.names is not None:
        return [_field_literal(name, dtype.fields[name][0]) for name in dtype.names]  # type: ignore[index]
    words = {BYTES: "bytes", STR: "str", OBJECT: "object"}
    if dtype in words:
        return words[dtype]
    if not dtype.isnative:
        return dtype.str
    return dtype.name if dtype.kind != "U" else dtype.str.lstrip("<>")


def _field_literal(name: str, dtype: np.dtype[Any]) -> list[Any]:
    if dtype.subdtype is None:
        return [name, dtype_literal(dtype)]
    base, shape = dtype.subdtype
    return [name, dtype_literal(base), list(shape)]


@attrs.frozen
class DataSpec:
    """The dtype and shape that every record has at one point of an exchange.

    `dtype` is a numpy dtype; `U` without length is text, `S` without length is an
    (encoding, octets) pair, `O` is a container of plain Python values. `shape` is `()` for a
    scalar; at most one dimension is -1: any size.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()

    @classmethod
    def of(cls, dtype: object, shape: object = ()) -> DataSpec:
        """Build from the words of a configuration; raises `ConfigError` (`dtype`, `shape`)."""
        problems: list[ConfigError] = []
        parsed: list[Any] = []
        for path, parse, literal in (("dtype", parse_dtype, dtype), ("shape", parse_shape, shape)):
            try:
                parsed.append(parse(literal))
            except ConfigError as error:
                problems.append(error.under(path))
        if problems:
            raise ConfigError(problem for error in problems for problem in error.problems)
        spec = cls(*parsed)
        if spec.shape and spec.dtype in (BYTES, OBJECT):
            raise ConfigError.at(
                "shape", f"found {list(spec.shape)}; dtype {spec} is always a scalar: use []"
            )
        return spec

    @property
    def is_scalar(self) -> bool:
        """True when the shape is `()`."""
        return not self.shape

    @property
    def is_bytes(self) -> bool:
        """True for (encoding, octets) pairs."""
        return self.dtype.kind == "S"

    @property
    def is_text(self) -> bool:
        """True for text of any length."""
        return self.dtype.kind == "U"

    @property
    def is_object(self) -> bool:
        """True for containers of plain Python values."""
        return self.dtype.kind == "O"

    @property
    def is_structured(self) -> bool:
        """True for records with named fields."""
        return self.dtype.names is not None

    @property
    def is_dynamic(self) -> bool:
        """True when one dimension may have any size."""
        return -1 in self.shape

    def matches(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of `shape` fits: sizes are equal, or any where this one is dynamic."""
        return len(shape) == len(self.shape) and all(
            mine in (-1, size) for mine, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        literal = dtype_literal(self.dtype)
        word = literal if isinstance(literal, str) else str(literal)
        return word if self.is_scalar else f"{word}{list(self.shape)}"
