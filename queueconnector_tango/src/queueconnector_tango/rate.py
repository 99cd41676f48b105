"""How often events came in the last minute, to estimate how many did not come since."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ("Rate",)

MARK_S: Final = 4.0
MARKS: Final = 16
LEAST_S: Final = 0.3
"""Over less time two events tell no rate."""


class Rate:
    """Counts of events at several times; all times are of the monotonic clock, in seconds."""

    def __init__(self, now: float) -> None:
        self._marks: deque[tuple[float, int]] = deque([(now, 0)], maxlen=MARKS)

    def note(self, now: float, events: int) -> None:
        """So many events came until now; kept every few seconds."""
        if now - self._marks[-1][0] > MARK_S:
            self._marks.append((now, events))

    def begin(self, now: float, events: int) -> None:
        """Forget what was before: the stream begins anew."""
        self._marks.clear()
        self._marks.append((now, events))

    @property
    def noted_at(self) -> float:
        """When events were counted last."""
        return self._marks[-1][0]

    def per_second(self, latest: float, events: int) -> float | None:
        """Events in a second until the latest one; None: too few came."""
        began, count = self._marks[0]
        came = events - count
        return came / max(latest - began, LEAST_S) if came > 1 else None
