"""Rates and latency of every exchange: now, and over the last hour in bounded memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, Final

import attrs
import numpy as np

from queueconnector_core.exchange import Exchange

__all__ = ("History", "Rates", "POINTS", "STEP_S")

STEP_S: Final = 5
"""Seconds between two points of the history."""
POINTS: Final = 720
"""An hour."""

_COLUMNS: Final = ("received_hz", "delivered_hz", "latency_s")


@attrs.frozen
class Rates:
    """What an exchange does, averaged over a short time; NaN where nothing can be said."""

    received_hz: float = math.nan
    delivered_hz: float = math.nan
    latency_s: float = math.nan
    """How long a record is on its way from source to sink, in the mean."""


@attrs.frozen
class _Count:
    time_s: float
    received: int
    delivered: int
    settled: int
    flight_s: float

    @classmethod
    def of(cls, exchange: Exchange) -> _Count:
        counts = exchange.statistics
        settled = counts.delivered + counts.dropped + counts.dead_lettered
        now_s = time.monotonic()
        return cls(now_s, counts.received, counts.delivered, settled, counts.flight_s)

    def since(self, before: _Count) -> Rates:
        elapsed_s = self.time_s - before.time_s
        if elapsed_s <= 0:
            return Rates()
        settled = self.settled - before.settled
        return Rates(
            max(0, self.received - before.received) / elapsed_s,
            (self.delivered - before.delivered) / elapsed_s,
            (self.flight_s - before.flight_s) / settled if settled > 0 else math.nan,
        )


def _no_points() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full((POINTS, len(_COLUMNS)), np.nan, np.float32)


class _Track:
    """The history of one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.now = Rates()
        self.points = _no_points()
        self._second = self._step = _Count.of(exchange)

    def sample(self) -> None:
        count = _Count.of(self.exchange)
        self.now, self._second = count.since(self._second), count

    def enter(self, index: int) -> None:
        rates = self._second.since(self._step)
        self._step = self._second
        self.points[index] = (rates.received_hz, rates.delivered_hz, rates.latency_s)


class History:
    """`sample` is called once a second, in the event loop."""

    def __init__(self) -> None:
        self._times_s = np.full(POINTS, np.nan)
        self._tracks: dict[str, _Track] = {}
        self._samples = 0

    def sample(self, exchanges: Iterable[Exchange]) -> None:
        """Look at the counters; every `STEP_S` times, enter a point.

        An exchange that is gone is forgotten, and one that was replaced begins anew.
        """
        self._tracks = {each.name: self._track(each) for each in exchanges}
        for track in self._tracks.values():
            track.sample()
        self._samples += 1
        if self._samples % STEP_S == 0:
            index = (self._samples // STEP_S - 1) % POINTS
            self._times_s[index] = time.time()
            for track in self._tracks.values():
                track.enter(index)

    def _track(self, exchange: Exchange) -> _Track:
        known = self._tracks.get(exchange.name)
        return known if known and known.exchange is exchange else _Track(exchange)

    def rates(self, name: str) -> Rates:
        """What an exchange does now."""
        return self._tracks[name].now if name in self._tracks else Rates()

    def report(self, name: str | None = None) -> dict[str, Any]:
        """The points of one exchange, or of all together, oldest first; JSON values.

        Of all together the rates are summed, and the latency is the largest. An exchange that has
        just come has none yet.
        """
        if name is None:
            points = self._together()
        else:
            points = self._tracks[name].points if name in self._tracks else _no_points()
        entered = ~np.isnan(self._times_s)
        order = np.argsort(self._times_s[entered])
        columns = points[entered][order].astype(float).T
        # msgspec writes NaN as null.
        told = dict(zip(_COLUMNS, np.round(columns, 6).tolist(), strict=True))
        times_s = np.round(self._times_s[entered][order], 3).tolist()
        return {"exchange": name, "step_s": STEP_S, "time_s": times_s, **told}

    def _together(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        together = np.zeros((POINTS, len(_COLUMNS)), np.float32)
        together[:, 2] = np.nan
        for track in self._tracks.values():
            together[:, :2] += np.nan_to_num(track.points[:, :2])
            together[:, 2] = np.fmax(together[:, 2], track.points[:, 2])
        return together
