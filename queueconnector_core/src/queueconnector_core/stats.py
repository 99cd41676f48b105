"""What one exchange has done so far: plain numbers, read by hosts whenever they like."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

import attrs

from queueconnector_core.errors import FatalError, RecordError

__all__ = ("Failure", "Statistics", "MAX_CONSECUTIVE_FAILURES")

MAX_CONSECUTIVE_FAILURES = 100
"""So many records dropped without a single success between them put the group in FAULT."""

KEPT_FAILURES = 20


@attrs.frozen
class Failure:
    """Something that went wrong, and when (seconds since the Unix epoch)."""

    text: str
    time_s: float = attrs.field(factory=time.time)


@attrs.define
class Statistics:
    """The balance of one exchange, counted in records of its sources.

    At any time received = delivered + dropped + dead_lettered + in_flight.
    """

    received: int = 0
    delivered: int = 0
    """Accepted by every sink."""
    dropped: int = 0
    """Refused by a codec, a pipe or a sink, lost in a source's buffer, or given up by an abort."""
    dead_lettered: int = 0
    failures: deque[Failure] = attrs.field(factory=lambda: deque(maxlen=KEPT_FAILURES))
    """The latest reasons of dropped records."""
    consecutive_failures: int = 0
    _waits: dict[int, Failure] = attrs.field(factory=dict)

    @property
    def in_flight(self) -> int:
        """Received and not yet settled."""
        return self.received - self.delivered - self.dropped - self.dead_lettered

    def settle(self, delivered: int, errors: Iterable[RecordError]) -> None:
        """Book a batch that every sink has seen.

        Raises `FatalError` after `MAX_CONSECUTIVE_FAILURES` records without a success.
        """
        self.delivered += delivered
        for error in errors:
            self.dropped += error.records
            self.consecutive_failures += 1
            self.failures.append(Failure(str(error)))
        if delivered:
            # Nobody knows where among the failures of the batch the success stood.
            self.consecutive_failures = 0
        if self.consecutive_failures >= MAX_CONSECUTIVE_FAILURES:
            last = self.failures[-1].text
            raise FatalError(f"{self.consecutive_failures} records in a row failed; last: {last}")

    def abandon(self, reason: str) -> None:
        """Book everything in flight as dropped."""
        lost = self.in_flight
        if lost:
            self.dropped += lost
            self.failures.append(Failure(f"{lost} records given up: {reason}"))

    @property
    def degraded(self) -> Failure | None:
        """Why, and since when, the exchange waits for a far end; None while it does not.

        Of several far ends that are away it is the one that has been so for the longest.
        """
        return min(self._waits.values(), key=lambda wait: wait.time_s, default=None)

    def waiting(self, component: object, reason: str) -> None:
        """The far end of a component is away; keeps since when."""
        known = self._waits.get(id(component))
        self._waits[id(component)] = Failure(reason, known.time_s if known else time.time())

    def recovered(self, component: object) -> None:
        """The far end of a component is there again."""
        self._waits.pop(id(component), None)

    def not_waiting(self) -> None:
        """The exchange rests: it waits for nobody."""
        self._waits.clear()
