"""Finds records of several sources that belong together; what waits is bounded."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import NamedTuple, Protocol

import attrs

from queueconnector_core.pipes._held import Held

__all__ = ("Offered", "Matcher", "ByKey", "ByTime")


class Offered(NamedTuple):
    """A record that looks for its partners."""

    slot: int
    """Which of the sources it is of."""
    key: Hashable
    record: Held
    """Its place is its time stamp, in nanoseconds."""
    came_s: float
    """When it came, by the clock of the loop."""


class Matcher(Protocol):
    """Keeps records until all their partners are there."""

    def offer(self, new: Offered) -> tuple[list[Held], list[Held]]:
        """The records that are complete with this one, by slot, and those that are given up."""

    def older_than(self, came_s: float) -> list[Held]:
        """Let go of all that came before; they have no partners."""

    def oldest_s(self) -> float:
        """When the oldest came that waits; infinite when there is none."""


class ByKey:
    """Records with the same key belong together; a newer one takes the place of its like."""

    def __init__(self, slots: int, limit: int) -> None:
        self._slots = slots
        self._limit = limit
        self._waiting: OrderedDict[Hashable, _Waiting] = OrderedDict()

    def offer(self, new: Offered) -> tuple[list[Held], list[Held]]:
        """Complete when the key is there for all slots."""
        waiting = self._waiting.setdefault(new.key, _Waiting(new.came_s))
        alone = [waiting.parts[new.slot]] if new.slot in waiting.parts else []
        waiting.parts[new.slot] = new.record
        if len(waiting.parts) == self._slots:
            del self._waiting[new.key]
            return [waiting.parts[slot] for slot in range(self._slots)], alone
        if len(self._waiting) > self._limit:
            alone += self._oldest()
        return [], alone

    def older_than(self, came_s: float) -> list[Held]:
        """Keys are in the order in which their first record came; all of a key go together."""
        alone: list[Held] = []
        while self.oldest_s() < came_s:
            alone += self._oldest()
        return alone

    def oldest_s(self) -> float:
        """When the first record of the first key came."""
        return next((waiting.since_s for waiting in self._waiting.values()), math.inf)

    def _oldest(self) -> list[Held]:
        _, waiting = self._waiting.popitem(last=False)
        return list(waiting.parts.values())


@attrs.define
class _Waiting:
    """The records of one key, by slot, and when the first of them came."""

    since_s: float
    parts: dict[int, Held] = attrs.field(factory=dict)


class ByTime:
    """Records whose time stamps are close belong together; each slot is in their order.

    The earliest of the first ones of all slots is given up when it is too far from the latest:
    whatever comes later is farther still.
    """

    def __init__(self, slots: int, tolerance_ns: int, limit: int) -> None:
        self._tolerance = tolerance_ns
        self._limit = limit
        self._queues: list[deque[Offered]] = [deque() for _ in range(slots)]

    def offer(self, new: Offered) -> tuple[list[Held], list[Held]]:
        """Complete when the first ones of all slots are close."""
        alone: list[Held] = []
        queue = self._queues[new.slot]
        queue.append(new)
        if len(queue) > self._limit:
            alone.append(queue.popleft().record)
        while all(self._queues):
            first = [queue[0].record for queue in self._queues]
            earliest = min(range(len(first)), key=lambda slot: first[slot].place)
            if max(record.place for record in first) - first[earliest].place <= self._tolerance:
                for queue in self._queues:
                    queue.popleft()
                return first, alone
            alone.append(self._queues[earliest].popleft().record)
        return [], alone

    def older_than(self, came_s: float) -> list[Held]:
        """Each slot is in the order in which its records came."""
        alone: list[Held] = []
        for queue in self._queues:
            while queue and queue[0].came_s < came_s:
                alone.append(queue.popleft().record)
        return alone

    def oldest_s(self) -> float:
        """The first of the first ones."""
        return min((queue[0].came_s for queue in self._queues if queue), default=math.inf)
