"""Recognises what is told twice: by an event, a renewed subscription, a poll, the history."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from queueconnector_tango._events import Reading

__all__ = ("Repeats", "is_news", "is_within", "SETTLING_S")

SETTLING_S = 1.0
"""So long after a subscription was renewed, or a value was polled, events may repeat values."""


class Repeats:
    """Recognises what Tango delivers twice around a (renewed) subscription, or after a poll.

    Then it reads the attribute by itself, while events of the same values may be on their way.
    Such a delivery is older than the last record, or of its very time stamp and value.
    """

    def __init__(self) -> None:
        self._last: Reading | None = None
        self._settled_at: float | None = None
        self._renewed = True

    def renew(self) -> None:
        """A new subscription begins, or the old one was interrupted."""
        self._renewed = True

    def is_repeat(self, reading: Reading, *, polled: bool = False) -> bool:
        """Whether this was delivered before; to be asked about every reading, in order.

        One that was `polled` may have got a fresh time stamp although nothing has changed.
        """
        if self._renewed or polled:
            self._renewed = False
            self._settled_at = time.monotonic() + SETTLING_S
        last = self._last
        if last is not None and polled and not is_news(reading, last):
            return True
        if last is not None and self._settled_at is not None:
            if time.monotonic() > self._settled_at:
                self._settled_at = None
            elif _is_not_newer(reading, last):
                return True
        self._last = reading
        return False


def is_news(polled: Reading, last: Reading) -> bool:
    """Whether a polled reading tells a change that came after the last one that is known."""
    return polled.timestamp_ns >= last.timestamp_ns and not _same(polled, last)


def _is_not_newer(reading: Reading, last: Reading) -> bool:
    if reading.timestamp_ns != last.timestamp_ns:
        return reading.timestamp_ns < last.timestamp_ns
    return _same(reading, last)


def _same(one: Reading, other: Reading) -> bool:
    return one.quality is other.quality and _equal(one.value, other.value)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other)  # noqa: PLR0124 - NaN
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        floats = one.dtype.kind == "f"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=floats)
    return bool(np.all(one == other))


def is_within(value: Any, former: Any, absolute: float, percent: float) -> bool:
    """Whether the change is too small for the attribute's own criteria of an event."""
    if not absolute and not percent:
        return False
    try:
        change = np.abs(np.subtract(value, former, dtype="float64"))
        limit = np.abs(np.asarray(former, "float64")) * percent / 100
    except (TypeError, ValueError):
        return False
    small = [change <= bound for bound in (absolute, limit) if np.any(bound)]
    return bool(np.all(small))
