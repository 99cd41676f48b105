"""What is known of a stream of events that may not be whole.

All times but those in nanoseconds are of the monotonic clock, in seconds.
"""

from __future__ import annotations

import time
from typing import Any, Final

import attrs

from queueconnector_core.gaps import OpenGap
from queueconnector_tango._events import Reading
from queueconnector_tango.tally import Loss

__all__ = ("Doubt", "Missed", "Proof")

MISSED_S: Final = 1.0
"""What is missed within so long of the last time is the same gap."""

EPISODE_S: Final = 60.0
"""While events are missed all the time, one gap is no longer than that."""

COUNTED_S: Final = 300.0
"""A server counts no events of an attribute for which nobody has confirmed a subscription for ten
minutes."""

COUNTING_S: Final = 5.0
"""So long the number of an event is waited for, or a quiet moment, to count what was missed."""


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

    @property
    def numbers_go_on(self) -> bool:
        """Whether the server has not begun to number its events anew."""
        return self.is_countable and time.monotonic() < self.began + COUNTED_S

    @property
    def has_waited(self) -> bool:
        """Whether what was lost has not been known for long."""
        return self.renewed_at is not None and time.monotonic() > self.renewed_at + COUNTING_S

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

    @property
    def is_over(self) -> bool:
        """Whether it is to be told: nothing was missed for a moment, or it goes on for long."""
        now = time.monotonic()
        return now > self.latest + MISSED_S or now > self.began + EPISODE_S

    @property
    def has_waited(self) -> bool:
        """Whether what was lost has not been known for long."""
        return time.monotonic() > self.latest + COUNTING_S

    def estimate(self, rate: float | None) -> Loss | None:
        """What was lost if events went on at this rate; None: no rate is known."""
        if rate is None:
            return None
        return Loss(max(round(rate * (self.latest - self.began)), 1), is_exact=False)
