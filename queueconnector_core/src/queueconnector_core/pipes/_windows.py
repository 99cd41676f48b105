"""Windows over records that are in order of their number, their arrival, or their time stamp.

A window covers `[end - span, end)`, and ends lie `step` apart. A record is held until the last of
its windows has closed; that one stands for it in the balance and carries its acknowledgement.
"""

from __future__ import annotations

import abc
import asyncio
import math
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from operator import attrgetter, le
from typing import Final

import attrs

from queueconnector_core.columns import valid_places
from queueconnector_core.errors import RecordError
from queueconnector_core.pipes._held import Held, given_up, held_of, made_of
from queueconnector_core.pipes._reducers import Reducer
from queueconnector_core.pipes._upcoming import END, Upcoming
from queueconnector_core.record import Batch

__all__ = ("Axis", "NumberAxis", "ArrivalAxis", "EventAxis", "Windows", "SECOND_NS")

SECOND_NS: Final = 1_000_000_000
_by_place = attrgetter("place")


class Axis(abc.ABC):
    """What orders records: it places them, and says how far everything has come."""

    reached: int = 0
    """Windows that end here, or before, close."""

    @abc.abstractmethod
    def places(self, batch: Batch, now_ns: int) -> tuple[list[int], dict[int, RecordError]]:
        """The place of each record, and those that have none."""

    def wait_s(self, end: int, now_ns: int) -> float | None:
        """Seconds until a window with this end closes although nothing comes; None: never."""
        return None

    def passed(self, now_ns: int) -> None:  # noqa: B027 - nothing to most axes
        """So much time has passed, whether anything came or not."""


class NumberAxis(Axis):
    """Records one after the other, from 0."""

    def places(self, batch: Batch, now_ns: int) -> tuple[list[int], dict[int, RecordError]]:
        """Their numbers."""
        first, self.reached = self.reached, self.reached + len(batch)
        return list(range(first, self.reached)), {}


class ArrivalAxis(Axis):
    """The time at which records come, by a clock that never jumps, in nanoseconds."""

    def places(self, batch: Batch, now_ns: int) -> tuple[list[int], dict[int, RecordError]]:
        """The present time for all."""
        return [now_ns] * len(batch), {}

    def wait_s(self, end: int, now_ns: int) -> float | None:
        """Until the end itself."""
        return max(0, end - now_ns) / SECOND_NS

    def passed(self, now_ns: int) -> None:
        """The axis is this clock."""
        self.reached = now_ns


class EventAxis(Axis):
    """The time stamps of records; it has come to the latest, less the allowed lateness.

    When nothing comes for `patience_ns`, everything that is held is let go.
    """

    def __init__(self, lateness_ns: int, patience_ns: int) -> None:
        self._lateness = lateness_ns
        self._patience = patience_ns
        self._latest: int | None = None
        self._came_ns = 0

    def places(self, batch: Batch, now_ns: int) -> tuple[list[int], dict[int, RecordError]]:
        """Their time stamps."""
        self._came_ns = now_ns
        known = batch.metadata or ()
        stamps = [metadata.timestamp_ns for metadata in known] or [None] * len(batch)
        failed = {
            place: RecordError("it has no time stamp, so that it belongs to no window")
            for place, stamp in enumerate(stamps)
            if stamp is None
        }
        found = [stamp or 0 for stamp in stamps]
        latest = [stamp for stamp in stamps if stamp is not None]
        if self._latest is not None:
            latest.append(self._latest)
        if latest:
            self._latest = max(latest)
            self.reached = max(self.reached, self._latest - self._lateness)
        return found, failed

    def wait_s(self, end: int, now_ns: int) -> float | None:
        """Until the patience is over."""
        return max(0, self._came_ns + self._patience - now_ns) / SECOND_NS

    def passed(self, now_ns: int) -> None:
        """After enough silence the latest windows are complete."""
        if self._latest is not None and now_ns >= self._came_ns + self._patience:
            self.reached = max(self.reached, self._latest + self._patience)


@attrs.define
class Windows:
    """Windows with the records that are held for them."""

    axis: Axis
    span: int
    step: int
    reducer: Reducer
    max_records: int
    starts_with_record: bool = False
    """Whether windows are counted from the first record, after a time without any."""
    _held: list[Held] = attrs.field(factory=list)
    _origin: int = 0
    _closed: int | None = None
    """The end of the window that was closed last."""

    async def over(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """A batch for each window as it closes; those left at the end run empty."""
        clock = asyncio.get_running_loop().time
        upcoming = Upcoming(batches)
        try:
            while True:
                now_ns = int(clock() * SECOND_NS)
                batch = await upcoming.within(self._wait_s(now_ns))
                if batch is END:
                    break
                now_ns = int(clock() * SECOND_NS)
                self.axis.passed(now_ns)
                for made in self._due(self.axis.reached):
                    yield made
                if batch is not None:
                    for made in self._put(batch, now_ns):
                        yield made
            for made in self._due(math.inf):
                yield made
        finally:
            await upcoming.cancel()

    def _wait_s(self, now_ns: int) -> float | None:
        return self.axis.wait_s(self._next_end(), now_ns) if self._held else None

    def _put(self, batch: Batch, now_ns: int) -> Iterator[Batch]:
        """Hold the records of a batch; gives what cannot be held, and the windows that close."""
        there = valid_places(batch)
        if there is not None:
            batch = batch.keeping(there)
        if not batch.values:
            yield batch
            return
        if self.starts_with_record and not self._held:
            self._origin, self._closed = now_ns, None
        places, failed = self.axis.places(batch, now_ns)
        failed |= self._late(places, failed)
        if failed:
            batch = batch.without(failed)
            places = [at for place, at in enumerate(places) if place not in failed]
        passing, held = held_of(batch, places)
        if passing is not None:
            yield passing
        self._hold(held)
        yield from self._due(self.axis.reached)
        if len(self._held) > self.max_records:
            excess = self._held[self.max_records :]
            del self._held[self.max_records :]
            yield given_up(excess, f"the windows hold max_records = {self.max_records} already")

    def _late(
        self, places: Sequence[int], failed: Mapping[int, RecordError]
    ) -> dict[int, RecordError]:
        closed = self._closed
        if closed is None or isinstance(self.axis, NumberAxis):
            return {}
        return {
            place: RecordError("it came too late: its windows are closed")
            for place, at in enumerate(places)
            if place not in failed and self._last_end(at) <= closed
        }

    def _hold(self, held: list[Held]) -> None:
        if not held:
            return
        in_order = not self._held or self._held[-1].place <= held[0].place
        if in_order and all(map(le, places := [each.place for each in held], places[1:])):
            self._held += held
        else:
            for record in held:
                insort(self._held, record, key=_by_place)

    def _due(self, reached: float) -> Iterator[Batch]:
        while self._held and (end := self._next_end()) <= reached:
            yield self._close(end)

    def _close(self, end: int) -> Batch:
        held = self._held
        self._closed = end
        window = held[: bisect_left(held, end, key=_by_place)]
        leaving = held[: bisect_left(held, end + self.step - self.span, key=_by_place)]
        del held[: len(leaving)]
        value = self.reducer.reduce([record.value for record in window])
        return made_of(value, window[-1].metadata, leaving)

    def _next_end(self) -> int:
        first = self._first_end(self._held[0].place)
        return first if self._closed is None else max(first, self._closed + self.step)

    def _first_end(self, place: int) -> int:
        """The end of the first window with this place."""
        return ((place - self._origin) // self.step + 1) * self.step + self._origin

    def _last_end(self, place: int) -> int:
        """The end of the last window with this place."""
        return (place + self.span - self._origin) // self.step * self.step + self._origin
