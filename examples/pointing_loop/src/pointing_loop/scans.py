"""Scans: stretches of time over which pointings are collected and offsets estimated."""

import math
from dataclasses import dataclass

__all__ = ("Scans",)

SETTLE_FRACTION = 0.3


@dataclass(frozen=True, slots=True)
class Scans:
    """Scans of equal length, counted from 1; times are TAI seconds since 2000."""

    start_s: float
    length_s: float

    def index(self, tai_s: float) -> int:
        """Return the scan that an instant belongs to; below 1 before the first."""
        return math.floor((tai_s - self.start_s) / self.length_s) + 1

    def end(self, index: int) -> float:
        """Return when a scan ends."""
        return self.start_s + index * self.length_s

    def settled(self, index: int) -> float:
        """Return from when on a scan counts: by then the dishes apply the offsets of the last."""
        return self.end(index - 1) + SETTLE_FRACTION * self.length_s
