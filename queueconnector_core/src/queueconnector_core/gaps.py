"""The gap ledger: what an exchange knows that it never received, and what it had to give up.

A source that cannot prove that it gives everything says so here: one entry for each loss window,
with its limits in time, how many records it cost as far as that is known, and why.
"""

from __future__ import annotations

import enum
import time
from collections import deque
from collections.abc import Callable, Iterator

import attrs

__all__ = ("GapReason", "Gap", "GapLedger", "OpenGap", "KEPT_GAPS")

KEPT_GAPS = 1_000
"""So many closed gaps are kept, the latest; the counters go on."""


class GapReason(enum.Enum):
    """Why records are missing."""

    DEVICE_AWAY = "device away"
    """The Tango device did not answer, or was started anew."""
    EVENT_TIMEOUT = "event time-out"
    """Tango's event channel was silent although the device answered."""
    EVENTS_MISSED = "events missed"
    """Tango's event counter jumped: a high-water mark was reached."""
    BUFFER_OVERFLOW = "buffer overflow"
    """The exchange was slower than a source that cannot be slowed."""
    NOT_READING = "not reading"
    """A source for which the far end keeps nothing was not connected meanwhile."""
    RETENTION = "retention"
    """The broker had deleted records before they were read."""
    TOPIC_RECREATED = "topic made anew"
    """The topic was deleted and made again: what the old one held is gone."""
    GIVEN_UP = "given up"
    """Received, and dropped by an abort, a fault or a stop that took too long."""


@attrs.frozen
class Gap:
    """One window of time in which records were lost, or may have been."""

    source: str
    """What was read, such as `sys/tg_test/1/double_scalar` or `pointings[3]`."""
    reason: GapReason
    from_ns: int
    """The latest time at which nothing was missing: nanoseconds since the Unix epoch, UTC."""
    to_ns: int | None
    """The first time at which nothing was missing any more; None: it is still so."""
    records: int | None = None
    """How many records are missing; None: nobody can know."""
    is_exact: bool = False
    """Whether `records` was counted; else it is an estimate."""
    text: str = ""
    """What else is known, for people."""

    def as_json(self) -> dict[str, object]:
        """What a JSON document says of it."""
        return attrs.asdict(self) | {"reason": self.reason.value}


class OpenGap:
    """A gap whose end is not known yet; `close` it once."""

    def __init__(self, ledger: GapLedger, gap: Gap) -> None:
        self._ledger = ledger
        self.gap = gap

    def close(
        self,
        to_ns: int | None = None,
        records: int | None = None,
        *,
        is_exact: bool = False,
        text: str | None = None,
    ) -> None:
        """The stream is whole again, since `to_ns` (left out: now); only the first call counts.

        With `records` = 0 and `is_exact` nothing was lost after all: no entry remains.
        """
        self._ledger.settle(
            self,
            attrs.evolve(
                self.gap,
                to_ns=time.time_ns() if to_ns is None else to_ns,
                records=records,
                is_exact=is_exact,
                text=self.gap.text if text is None else text,
            ),
        )


def _tell_nobody(_: Gap) -> None:
    """Nobody listens."""


class GapLedger:
    """The gaps of one exchange, in bounded memory.

    It is written in the event loop, and read there or by whoever copies with `entries`.
    """

    def __init__(self) -> None:
        self.total = 0
        """How many gaps there were, those still open included."""
        self.records_lost = 0
        """The sum of what closed gaps cost, where that is known."""
        self.uncounted = 0
        """How many closed gaps nobody could count."""
        self.on_closed: Callable[[Gap], None] = _tell_nobody
        """Called with each gap whose end is known."""
        self._closed: deque[Gap] = deque(maxlen=KEPT_GAPS)
        self._open: list[OpenGap] = []

    def add(self, gap: Gap) -> None:
        """Enter a gap whose end is known."""
        self.total += 1
        self._enter(gap)

    def open(
        self, source: str, reason: GapReason, from_ns: int | None = None, text: str = ""
    ) -> OpenGap:
        """Enter a gap that goes on, since `from_ns` (left out: now); see `OpenGap.close`."""
        self.total += 1
        began_ns = time.time_ns() if from_ns is None else from_ns
        opened = OpenGap(self, Gap(source, reason, began_ns, None, text=text))
        self._open.append(opened)
        return opened

    def settle(self, opened: OpenGap, gap: Gap) -> None:
        """Enter what became of an open gap; see `OpenGap.close`."""
        if opened not in self._open:
            return
        self._open.remove(opened)
        if gap.is_exact and gap.records == 0:
            self.total -= 1
        else:
            self._enter(gap)

    @property
    def still_open(self) -> int:
        """How many gaps go on."""
        return len(self._open)

    def entries(self) -> list[Gap]:
        """The gaps that are kept, oldest first; those that go on come last."""
        return [*self._closed, *(opened.gap for opened in self._open)]

    def __iter__(self) -> Iterator[Gap]:
        return iter(self.entries())

    def _enter(self, gap: Gap) -> None:
        self._closed.append(gap)
        if gap.records is None:
            self.uncounted += 1
        else:
            self.records_lost += gap.records
        self.on_closed(gap)
