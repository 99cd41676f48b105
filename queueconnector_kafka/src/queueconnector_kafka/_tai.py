"""Turns datetime64 on the TAI scale into Unix time, exactly, by the leap-second table of pyerfa.

Unix time has no place for an inserted leap second: within it the following second is used.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

__all__ = ("mean_tai_ms", "tai_to_unix_ms")

TICKS_MS: Final[Mapping[str, tuple[int, int]]] = {
    "W": (604_800_000, 1),
    "D": (86_400_000, 1),
    "h": (3_600_000, 1),
    "m": (60_000, 1),
    "s": (1_000, 1),
    **{unit: (1, 1000**power) for power, unit in enumerate(("ms", "us", "ns", "ps", "fs", "as"))},
}
"""The units of datetime64 in milliseconds, as a fraction; years and months have no fixed length."""


def mean_tai_ms(times: np.ndarray[Any, np.dtype[Any]]) -> int:
    """The mean of datetime64 of any unit, in milliseconds since 1970-01-01T00:00:00 TAI.

    It is exact, then cut to whole milliseconds. Raises `ValueError` for NaT, and for years that no
    count of days reaches.
    """
    if np.isnat(times).any():
        raise ValueError("found NaT")
    unit, count = np.datetime_data(times.dtype)
    if unit in {"Y", "M"}:
        days = times.astype("datetime64[D]")
        if (days.astype(times.dtype) != times).any():
            raise ValueError("found a year that is out of range")
        times, unit, count = days, "D", 1
    if unit not in TICKS_MS:
        raise ValueError("found datetime64 without a unit")
    numerator, denominator = TICKS_MS[unit]
    ticks: int = sum(times.astype(np.int64).ravel().tolist())
    mean_ms: int = ticks * count * numerator // (times.size * denominator)
    return mean_ms


def tai_to_unix_ms(tai_ms: int) -> int:
    """Turn milliseconds since 1970-01-01T00:00:00 TAI into milliseconds since the Unix epoch.

    Raises `ValueError` before 1972, when UTC and TAI were not whole seconds apart. After the last
    entry of the table its offset is used.
    """
    starts, offsets = _leap_seconds()
    entry = bisect.bisect_right(starts, tai_ms) - 1
    if entry < 0:
        raise ValueError(f"found {tai_ms} ms on the TAI scale; allowed: from 1972 on")
    return tai_ms - offsets[entry]


@functools.cache
def _leap_seconds() -> tuple[Sequence[int], Sequence[int]]:
    """From when on TAI is ahead of UTC, in ms of TAI, and by how much, in ms."""
    import erfa

    starts: list[int] = []
    offsets: list[int] = []
    for year, month, ahead_s in erfa.leap_seconds.get().tolist():
        if year >= 1972:
            utc_ms = int(np.datetime64(f"{year:04}-{month:02}", "ms").astype(np.int64))
            offsets.append(int(ahead_s) * 1000)
            starts.append(utc_ms + offsets[-1])
    return starts, offsets
