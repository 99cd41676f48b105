"""Pointings of dishes, [seconds since 2000-01-01T00:00:00 TAI, azimuth, elevation], as rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Value

__all__ = ("FIELDS", "antenna_of", "check", "row_maker")

FIELDS: Final = ("antenna_name", "ts", "az", "el")
"""What a row may have, in any order."""

EPOCH: Final = np.datetime64("2000-01-01T00:00:00", "ns")
"""The instant, on the TAI scale, that pointings count their seconds from."""

_ANTENNA: Final = re.compile(r"(?:ska|mkt)\d[a-z0-9]*", re.IGNORECASE)


def antenna_of(device_name: str) -> str:
    """The antenna that a device name speaks of (`mid-dish/dish-manager/ska001` → `SKA001`).

    It is the first word of domain, family or member that begins with ska or mkt and a digit; empty
    when there is none.
    """
    device = "/".join(device_name.partition("#")[0].split("/")[-3:])
    words = re.split(r"[^A-Za-z0-9]+", device)
    return next((word.upper() for word in words if _ANTENNA.fullmatch(word)), "")


def check(spec: DataSpec, antenna: str) -> None:
    """Raise `ConfigError` unless a pointing of `antenna` can be turned into a row of `spec`."""
    if not spec.is_structured or not spec.is_scalar:
        raise ConfigError.at(
            "",
            f"found {spec}; a pointing is a scalar of structured dtype with fields from "
            f"{', '.join(FIELDS)}",
        )
    for name in spec.dtype.names or ():
        _check_field(name, spec.dtype[name], antenna)


def _check_field(name: str, dtype: np.dtype[Any], antenna: str) -> None:
    allowed = {
        "antenna_name": (dtype.kind == "U", "text with a length, such as U8"),
        "ts": (dtype.kind == "M" or dtype == np.float64, "datetime64[unit] (TAI) or float64 (s)"),
        "az": (dtype == np.float64, "float64"),
        "el": (dtype == np.float64, "float64"),
    }
    if name not in allowed:
        raise ConfigError.at(
            "", f"found field {name!r}; a pointing has the fields {', '.join(FIELDS)}"
        )
    fits, words = allowed[name]
    if not fits:
        raise ConfigError.at("", f"found field {name!r} of {dtype}; allowed: {words}")
    if name == "antenna_name":
        _check_antenna(dtype, antenna)


def _check_antenna(dtype: np.dtype[Any], antenna: str) -> None:
    if not antenna:
        raise ConfigError.at(
            "antenna_name",
            "is required: no word of device_name begins with ska or mkt and a digit",
        )
    if len(antenna) > dtype.itemsize // 4:
        raise ConfigError.at(
            "antenna_name",
            f"found {antenna!r}, {len(antenna)} letters; field antenna_name holds "
            f"{dtype.itemsize // 4}",
        )


def row_maker(spec: DataSpec, antenna: str) -> Callable[[Any], Value]:
    """A function that turns [seconds, azimuth, elevation] into one structured row.

    Seconds that are not finite become `NaT` in a datetime64 field. The function raises
    `RecordError` for anything but three numbers.
    """
    names = spec.dtype.names or ()
    as_time = "ts" in names and spec.dtype["ts"].kind == "M"

    def make(value: Any) -> Value:
        numbers = np.asarray(value)
        if numbers.shape != (3,) or numbers.dtype.kind not in "fiu":
            raise RecordError(f"found {value!r}; a pointing is [seconds, azimuth, elevation]")
        seconds, azimuth, elevation = numbers.tolist()
        fields = {
            "antenna_name": antenna,
            "ts": _instant(seconds) if as_time else seconds,
            "az": azimuth,
            "el": elevation,
        }
        return np.array([tuple(fields[name] for name in names)], dtype=spec.dtype)[0]  # type: ignore[no-any-return]

    return make


def _instant(seconds: float) -> np.datetime64:
    """Exact to the nanosecond: whole seconds and fraction apart, as a float cannot hold both."""
    if not math.isfinite(seconds):
        return np.datetime64("NaT", "ns")
    whole = math.floor(seconds)
    return EPOCH + np.timedelta64(whole * 1_000_000_000 + round((seconds - whole) * 1e9), "ns")
