"""What one exchange has done so far: plain numbers, read by hosts whenever they like."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

import attrs

from queueconnector_core.errors import RecordError

__all__ = ("Failure", "Statistics")

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
    """Every sink accepted all that came of them; of what a pipe filtered nothing came."""
    filtered: int = 0
    """Of those delivered: left out by a pipe, as it was told."""
    dropped: int = 0
    """Refused by a codec, a pipe or a sink, lost in a source's buffer, or given up by an abort."""
    dead_lettered: int = 0
    """Refused, and kept where the policy of the exchange says."""
    failures: deque[Failure] = attrs.field(factory=lambda: deque(maxlen=KEPT_FAILURES))
    """The latest reasons of records that were not delivered."""
    consecutive_failures: int = 0
    moved_s: float = attrs.field(factory=time.monotonic)
    """When records were last settled, or first came after there were none: monotonic, seconds."""
    settled_ns: int = attrs.field(factory=time.time_ns)
    """When records were last settled: nanoseconds since the Unix epoch."""
    _flown_s: float = 0.0
    _counted_s: float = attrs.field(factory=time.monotonic)
    _replayable: int = 0
    _waits: dict[int, Failure] = attrs.field(factory=dict)

    @property
    def in_flight(self) -> int:
        """Received and not yet settled."""
        return self.received - self.delivered - self.dropped - self.dead_lettered

    @property
    def pulse(self) -> float:
        """Differs from a former one whenever a number here does, or a time that it shows goes on.

        The latter as long as records are in flight, or a far end is away.
        """
        return time.monotonic() if self.in_flight or self._waits else self._counted_s

    @property
    def flight_s(self) -> float:
        """Seconds that records have spent in flight, summed over all of them.

        Divided by the records that were settled in the same time: their mean latency.
        """
        return self._flown_s + self.in_flight * (time.monotonic() - self._counted_s)

    def _fly(self) -> None:
        """Count the time until now, before the number in flight changes."""
        now_s = time.monotonic()
        self._flown_s += self.in_flight * (now_s - self._counted_s)
        self._counted_s = now_s

    def receive(self, records: int, *, replayable: bool) -> None:
        """Book what a source gave; `replayable`: it gives it again unless it is acknowledged."""
        self._fly()
        if not self.in_flight:
            self.moved_s = self._counted_s
        self.received += records
        if replayable:
            self._replayable += records

    def deliver(self, records: int, filtered: int = 0) -> None:
        """Book what every sink has accepted; `filtered` of them had nothing for a sink."""
        self._fly()
        self.delivered += records
        self.filtered += filtered
        if records > filtered:
            self.consecutive_failures = 0

    def fail(self, dropped: Iterable[RecordError], dead_lettered: Iterable[RecordError]) -> None:
        """Book records that were not delivered, for good."""
        self._fly()
        for error in dropped:
            self.dropped += error.records
            self._failed(error)
        for error in dead_lettered:
            self.dead_lettered += error.records
            self._failed(error)

    def _failed(self, error: RecordError) -> None:
        self.consecutive_failures += 1
        self.failures.append(Failure(str(error)))

    def settled(self, records: int, *, replayable: bool) -> None:
        """So many records came to their end, one way or another."""
        self.moved_s = time.monotonic()
        self.settled_ns = time.time_ns()
        if replayable:
            self._replayable = max(0, self._replayable - records)

    def abandon(self, reason: str) -> int:
        """Give up everything in flight; how many records are lost by that.

        What its source gives again counts as never received.
        """
        self._fly()
        again = min(self._replayable, self.in_flight)
        self._replayable = 0
        self.received -= again
        lost = self.in_flight
        if again:
            self.failures.append(Failure(f"{again} records will be read again: {reason}"))
        if lost:
            self.dropped += lost
            self.failures.append(Failure(f"{lost} records given up: {reason}"))
        return lost

    @property
    def degraded(self) -> Failure | None:
        """Why, and since when, the exchange waits for a far end; None while it does not.

        Of several far ends that are away it is the one that has been so for the longest.
        """
        if not self._waits:
            return None
        return min(self._waits.values(), key=lambda wait: wait.time_s)

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
