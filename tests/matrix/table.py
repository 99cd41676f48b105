"""The dtypes, shapes and sample values of the compatibility matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np

__all__ = ("DTYPES", "SHAPES", "Row", "rows")

SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3), (2, 2, 2), (-1,), (-1, 3), (0,))

_TEXT = ["", "Hello", "Grüße", "望遠鏡", "🔭 sky", "a\nb\tc", "'q' \"r\"", "12", "None"]
_ASCII = [text for text in _TEXT if text.isascii()]
_TIMES = ["1970-01-01", "2024-06-17T14:32:06.200", "1969-12-31T23:59:59.999999999", "NaT"]
_TIMES += ["2262-04-11T23:47:16.854775807", "1677-09-21T00:12:43.145224193"]
_OBJECTS: list[Any] = [
    {"type": "visibility_receive", "state": "new", "time": 1733391923.5413702, "scan": None},
    {"type": "Grüße 望遠鏡", "state": "", "time": math.nan, "scan": -(2**53), "list": [1, [2.5]]},
    {"type": "", "state": "🔭", "time": -math.inf, "scan": 0, "deep": {"a": [True, None, {}]}},
]
_FIELDS = [["antenna_name", "U8"], ["xel", "float64"], ["gains", "float64", [3]]]
_POINTING = [["antenna_name", "U8"], ["ts", "datetime64[ns]"], ["az", "float64"], ["el", "float64"]]


def _integers(name: str) -> list[int]:
    limits = np.iinfo(name)
    low, high = int(limits.min), int(limits.max)
    return [low, high, 0, 1, 100, high - 1, low + 3]


def _floats(name: str) -> list[float]:
    limits = np.finfo(name)
    special = [math.nan, math.inf, -math.inf, -0.0, float(limits.max), float(limits.tiny)]
    return [1.5, float(np.dtype(name).type(0.1)), *special]


def _complex(part: str) -> list[complex]:
    numbers = _floats(part)
    return [complex(real, imag) for real, imag in zip(numbers, reversed(numbers), strict=True)]


def _records() -> list[tuple[Any, ...]]:
    numbers = _floats("float64")
    return [
        (text, number, [number, 1.0, -2.5])
        for text, number in zip(_TEXT, numbers, strict=False)
    ]  # fmt: skip


def _pointings() -> list[tuple[Any, ...]]:
    names = ["SKA001", "SKA036", "MKT001", "", "SKA100", "SKA004"]
    angles = [1.5, -0.0, math.nan, 180.25, math.inf, 12.0]
    return [
        (name, np.datetime64(time, "ns"), angle, 90 - angle)
        for name, time, angle in zip(names, _TIMES, angles, strict=True)
    ]


DTYPES: dict[str, tuple[Any, list[Any]]] = {
    "bytes": ("bytes", [("", b""), ("", b"\0\xff{}"), ("", "Grüße".encode()), ("", bytes(300))]),
    "object": ("object", _OBJECTS),
    "str": ("str", _TEXT),
    "U8": ("U8", _TEXT),
    "bool": ("bool", [True, True, False, False, True, False, False]),
    **{
        name: (name, _integers(name))
        for name in (
            *("int8", "int16", "int32", "int64"),
            *("uint8", "uint16", "uint32", "uint64"),
        )
    },
    **{name: (name, _floats(name)) for name in ("float32", "float64")},
    "complex64": ("complex64", _complex("float32")),
    "complex128": ("complex128", _complex("float64")),
    "datetime64[ns]": ("datetime64[ns]", [np.datetime64(time, "ns") for time in _TIMES]),
    "structured": (_FIELDS, _records()),
    "pointing": (_POINTING, _pointings()),
}
"""Name on the page, literal of the configuration, and values that show what may go wrong."""


def _numpy(literal: Any) -> np.dtype[Any]:
    if isinstance(literal, list):
        return np.dtype([tuple(map(_fixed, field)) for field in literal])
    words: dict[str, str] = {"bytes": "S", "object": "O", "str": "U"}
    return np.dtype(words.get(literal) or str(literal))


def _fixed(part: Any) -> Any:
    return tuple(part) if isinstance(part, list) else part


@attrs.frozen
class Row:
    """One dtype and shape, with values that go in and must come out."""

    name: str
    shape: tuple[int, ...]

    @property
    def literal(self) -> Any:
        """The dtype as a configuration writes it."""
        return DTYPES[self.name][0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype as numpy knows it; `U` without a length for text of any length."""
        return _numpy(self.literal)

    @property
    def is_ascii(self) -> bool:
        """Whether all values are in ASCII."""
        return self.name not in {"str", "U8", "structured", "object"}

    def samples(self, *, ascii_only: bool = False, label: str = "") -> list[Any]:
        """Values of this dtype and shape; text in ASCII only, octets under `label`."""
        pool = DTYPES[self.name][1]
        if self.name in {"str", "U8"} and ascii_only:
            pool = _ASCII
        if self.name == "bytes":
            return [(label, octets) for _, octets in pool]
        if self.shape:
            return list(self._arrays(pool))
        if isinstance(self.literal, list):
            return list(np.array(pool, self.dtype))
        return pool

    def _arrays(self, pool: list[Any]) -> Iterator[Any]:
        whole = np.array(pool, self.dtype)
        for turn, size in enumerate((2, 5, 0) if -1 in self.shape else (0, 0, 0)):
            shape = tuple(size if wide < 0 else wide for wide in self.shape)
            yield np.resize(np.roll(whole, -3 * turn), shape)


def rows(wanted: Callable[[Row], bool] = lambda _: True) -> list[Row]:
    """Every dtype in every shape, as far as wanted."""
    every = (Row(name, shape) for name in DTYPES for shape in SHAPES)
    return [row for row in every if wanted(row)]
