"""How values stand in Tango attributes, as any device and client has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .table import Row, rows

__all__ = (
    "POINTINGS",
    "POINTING_NAME",
    "attribute_name",
    "from_tango",
    "pointing_rows",
    "tango_rows",
    "to_tango",
    "type_of",
)

TYPES = {
    "str": "DevString",
    "U8": "DevString",
    "bytes": "DevEncoded",
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

POINTING_NAME = "achievedPointing"
POINTINGS = [
    (0.0, 1.5, 88.5),
    (775853423.25, -0.0, float("nan")),
    (float("nan"), 359.999, float("inf")),
    (-0.5, 12.0, 15.0),
]
"""Seconds since 2000 TAI, azimuth, elevation."""


def pointing_rows(row: Row) -> list[Any]:
    """The pointings as rows of a structured dtype."""
    times = ["2000-01-01", "2024-08-01T18:50:23.25", "NaT", "1999-12-31T23:59:59.5"]
    values = [("SKA001", time, *angles[1:]) for time, angles in zip(times, POINTINGS, strict=True)]
    return list(np.array(values, row.dtype))


def type_of(row: Row) -> str:
    """The Tango type of an attribute that has the values of a row."""
    return TYPES[row.name]


def attribute_name(row: Row, *, ascii_only: bool = False) -> str:
    """The attribute of the device with one of everything that has the samples of a row."""
    sizes = "x".join("n" if size < 0 else str(size) for size in row.shape) or "scalar"
    return f"{row.name}_{sizes}" + "_ascii" * ascii_only


def has_type(row: Row) -> bool:
    """Whether Tango has a type for the dtype, whatever the shape."""
    return row.name in TYPES


def tango_rows() -> list[Row]:
    """What one attribute can carry."""
    return rows(
        lambda row: has_type(row) and len(row.shape) <= 2 - 2 * (row.name == "bytes")
    )  # fmt: skip


def to_tango(value: Any) -> Any:
    """A value as a device gives it to PyTango: text in octets of UTF-8."""
    if isinstance(value, np.ndarray):
        return to_tango(value.tolist()) if value.dtype.kind == "U" else value
    if isinstance(value, list):
        return [to_tango(part) for part in value]
    return value.encode() if isinstance(value, str) else value


def from_tango(dtype: np.dtype[Any], dimensions: int, value: Any) -> Any:
    """A value as a client gets it from PyTango; its text is octets, shown as Latin-1."""
    if dtype.kind != "U":
        return value
    if not dimensions:
        return _text(value)
    if isinstance(value, tuple | list):
        value = np.array([_texts(part) for part in value], "U")
        return value.reshape((0,) * dimensions) if not value.size else value
    return value


def _texts(part: Any) -> Any:
    return [_text(text) for text in part] if isinstance(part, tuple | list) else _text(part)


def _text(value: str) -> str:
    return value.encode("latin-1").decode("utf-8")
