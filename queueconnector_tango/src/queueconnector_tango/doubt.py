"""What is known of a stream of events that may not be whole.

All times but those in nanoseconds are of the monotonic clock, in seconds.
"""

from __future__ import annotations

import time
from typing import Any

import attrs

from queueconnector_core.gaps import OpenGap
from queueconnector_tango._proxy import Reading
from queueconnector_tango.tally import Loss

__all__ = ("Doubt", "Missed", "Proof")


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

    def close(self, loss: Loss | None) -> None:
        """The stream is whole again, after so many events that did not come; None: unknown."""
        text = self.gap.gap.text
        if self.polled:
            text += f"; {self.polled} values were read meanwhile"
        records, is_exact = (None, False) if loss is None else (loss.records, loss.is_exact)
        self.gap.close(records=records, is_exact=is_exact, text=text)


@attrs.define
class Proof:
    """No event has come yet: the attribute is read until one does, but no longer than that."""

    since: float
    within_s: float
    first: Any = None
    """The first event."""
    news: Reading | None = None
    """What was read before it, and should have been an event."""


@attrs.define
class Missed:
    """Tango said that it had to drop events."""

    from_ns: int
    """The time stamp of the latest value that was delivered before."""
    began: float
    latest: float = 0.0
