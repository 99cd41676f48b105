"""The dtype and shape of what flows through an exchange, and the words a configuration uses."""

from __future__ import annotations

import difflib
import functools
import math
import re
from typing import Any, Final

import attrs
import numpy as np

from queueconnector_core.errors import ConfigError

__all__ = ("DataSpec", "parse_dtype", "check_dtype", "dtype_literal")

BYTES: Final = np.dtype("S")
STR: Final = np.dtype("U")
OBJECT: Final = np.dtype("O")
UNSIZED: Final = (BYTES, STR, OBJECT)
"""The dtypes whose values have no fixed size."""

_NUMBERS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128"),
)
LITERALS: Final[dict[str, np.dtype[Any]]] = {
    **{name: np.dtype(name) for name in _NUMBERS},
    "bool_": np.dtype("bool"),
    "int": np.dtype("int64"),
    "float": np.dtype("float64"),
    **dict.fromkeys(("datetime64", "M8"), np.dtype("datetime64[ns]")),
    "complex": np.dtype("complex128"),
    **dict.fromkeys(("str", "str_", "string", "U", "<U0", "DevString"), STR),
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
"""The words for dtypes that have names: Python's, numpy's and Tango's."""

NUMPY_WORD: Final = (
    r"u?(?:byte|short|int|intc|intp|long|longlong)|int_|half|float16|single|double|csingle|cdouble"
    r"|[<>=|]?(?:[?bBhHiIlLqQpPefdFD]|b1|[iu][1248]|f[248]|c8|c16)"
    r"|[<>=|]?U[1-9][0-9]{0,7}"
    r"|(?:[<>=|]?M8|datetime64)\[(?:[1-9][0-9]{0,8})?(?:[YMWDhms]|[munpfa]s)\]"
)
"""The other words of numpy, as a regular expression of Python and of JSON Schema.

They are numbers that are the same on every machine (no long double), text of a given length, and
dates with their unit.
"""
MAX_DIMENSION: Final = 2**31 - 1
MAX_DIMENSIONS: Final = 32
MAX_OCTETS: Final = 2**30
"""The largest array, in memory; a dynamic dimension counts as one."""
_ASSUMED: Final = 4
"""Octets of an item of any length."""

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
    try:
        dtype: np.dtype[Any] = np.dtype(_read(literal))
    except (TypeError, ValueError) as error:
        raise ConfigError.at("", f"not a structured dtype: {error}") from None
    return dtype


def check_dtype(literal: object) -> None:
    """Raise `ConfigError` unless `literal` is spelt as `parse_dtype` asks.

    The same can be said in a JSON schema. What cannot (two fields of one name, a size that numpy
    refuses) is left to `parse_dtype`.
    """
    _read(literal)


def _read(literal: object) -> Any:
    """What numpy makes a dtype of: a dtype, or a list of fields."""
    if isinstance(literal, str):
        return _read_word(literal)
    if isinstance(literal, list | tuple) and literal:
        return _read_fields(literal)
    raise ConfigError.at("", f"found {literal!r}; allowed: a dtype name or a list of fields")


def _read_word(word: str) -> np.dtype[Any]:
    if word in LITERALS:
        return LITERALS[word]
    if re.fullmatch(NUMPY_WORD, word):
        return np.dtype(word)
    if word in DROPPED:
        raise ConfigError.at("", f"dtype {word!r} is no longer supported: {DROPPED[word]}")
    near = difflib.get_close_matches(word, LITERALS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    allowed = ", ".join((*_NUMBERS, "str", "bytes", "object", "datetime64[unit]"))
    raise ConfigError.at("", f"unknown dtype {word!r}{hint} (allowed: {allowed}, fields)")


def _read_fields(fields: list[Any] | tuple[Any, ...]) -> list[tuple[Any, ...]]:
    problems: list[ConfigError] = []
    read: list[tuple[Any, ...]] = []
    for index, field in enumerate(fields):
        try:
            read.append(_read_field(field))
        except ConfigError as error:
            problems.append(error.under(f"[{index}]"))
    if problems:
        raise ConfigError(problem for error in problems for problem in error.problems)
    return read


def _read_field(field: object) -> tuple[Any, ...]:
    if not isinstance(field, list | tuple) or len(field) not in (2, 3):
        raise ConfigError.at(
            "", f"found {field!r}; a field is [name, dtype] or [name, dtype, shape]"
        )
    name, literal, *shape = field
    if not isinstance(name, str) or not name:
        raise ConfigError.at("[0]", f"found {name!r}; a field name is text")
    try:
        dtype = _read(literal)
    except ConfigError as error:
        raise error.under("[1]") from None
    if isinstance(dtype, np.dtype) and dtype in UNSIZED:
        raise ConfigError.at(
            "[1]", f'found {literal!r}; a field has a fixed size (text: a length, such as "U8")'
        )
    try:
        return (name, dtype, *(parse_shape(part, dynamic=False) for part in shape))
    except ConfigError as error:
        raise error.under("[2]") from None


def whole(value: object) -> object:
    """A number without a fraction as an integer, as in JSON (2.0 is 2); else what was given."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def parse_shape(literal: object, *, dynamic: bool = True) -> tuple[int, ...]:
    """Check the sizes of dimensions; at most one may be negative (dynamic), where `dynamic`."""
    listed = [literal] if isinstance(literal, int | float) and not dynamic else literal
    if not isinstance(listed, list | tuple):
        raise ConfigError.at("", f"found {literal!r}; a shape is a list of integers")
    sizes: list[Any] = [whole(size) for size in listed]
    for index, size in enumerate(sizes):
        if isinstance(size, bool) or not isinstance(size, int):
            raise ConfigError.at(f"[{index}]", f"found {size!r}; a dimension is an integer")
        if size > MAX_DIMENSION:
            raise ConfigError.at(f"[{index}]", f"found {size}; allowed: up to {MAX_DIMENSION}")
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


def _check_size(spec: DataSpec) -> None:
    """Refuse what could only be a mistake, before somebody allocates it."""
    if len(spec.shape) > MAX_DIMENSIONS:
        raise ConfigError.at(
            "shape", f"found {len(spec.shape)} dimensions; allowed: at most {MAX_DIMENSIONS}"
        )
    octets = (spec.dtype.itemsize or _ASSUMED) * math.prod(max(size, 1) for size in spec.shape)
    if octets > MAX_OCTETS:
        raise ConfigError.at(
            "shape", f"found {spec}, {octets} octets a value; allowed: at most {MAX_OCTETS}"
        )


# numpy writes a dtype in Python, which takes longer than all the rest of a plan.
_written = functools.lru_cache(maxsize=1_000)(repr)


@attrs.frozen
class DataSpec:
    """The dtype and shape that every record has at one point of an exchange.

    `dtype` is a numpy dtype; `U` without length is text, `S` without length is an
    (encoding, octets) pair, `O` is a container of plain Python values. `shape` is `()` for a
    scalar; at most one dimension is -1: any size.
    """

    dtype: np.dtype[Any] = attrs.field(repr=_written)
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
        _check_size(spec)
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
