"""What is known of a stream of events that may not be whole.

All times but those in nanoseconds are of the monotonic clock, in seconds.
"""

from __future__ import annotations

import time

import attrs

from queueconnector_core.gaps import OpenGap
from queueconnector_tango.tally import Loss

__all__ = ("Doubt", "Missed")


@attrs.define
class Doubt:
    """Events may be missing, from `began` on."""

    gap: OpenGap
    began: float
    last_arrival: float
    """When an event came last, before."""
    rate: float | None
    """Events in a second, before; None: too few came."""
    renewal: bool
    """The subscription is to be renewed before anything is proven."""
    is_countable: bool
    """The server numbers its events on, so that those that did not come can be counted."""
    renewed_at: float | None = None
    read_at: float = 0.0
    news_at: float | None = None
    polled: int = 0
    """Records that events should have told."""

    def estimate(self) -> Loss | None:
        """What was lost by now if events went on as before; None: no rate is known."""
        if self.rate is None:
            return None
        expected = round(self.rate * (time.monotonic() - self.last_arrival))
        return Loss(max(expected - self.polled, 0), False)


@attrs.define
class Missed:
    """Tango said that it had to drop events."""

    from_ns: int
    """The time stamp of the latest value that was delivered before."""
    began: float
    latest: float = 0.0
