"""The records of a kill test, and the proof of what became of them.

Record `n` has the key `n % KEYS`; its value names both, so that each delivered one can be placed.
Records travel in lanes, within which order is promised: a key, a partition, or a whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import attrs
import numpy as np
import numpy.typing as npt

KEYS = 50

Numbers: TypeAlias = npt.NDArray[np.int64]
Lanes: TypeAlias = Mapping[int, Numbers]
"""The numbers of the records of each lane, in the order in which they were delivered."""


def key_of(number: int) -> bytes:
    return b"key-%02d" % (number % KEYS)


def value_of(number: int) -> bytes:
    return b"%s:%d" % (key_of(number), number)


def number_in(value: bytes) -> int:
    """The number of a record; its key must be the right one."""
    key, _, number = value.partition(b":")
    found = int(number)
    assert key == key_of(found), value
    return found


@attrs.frozen
class Balance:
    """What was delivered of the records `0` to `sent - 1`."""

    sent: int
    delivered: int
    lost: int
    out_of_order: int
    """Steps within a lane that are neither to the next record nor back."""
    rewinds: int
    """The most that one lane has."""

    @property
    def duplicates(self) -> int:
        return self.delivered - self.sent + self.lost

    def assert_at_least_once(self, stops: int, at_risk: int) -> None:
        """Nothing lost, in order but for rewinds, and these no more and no longer than allowed."""
        assert self.lost == 0, self
        assert self.out_of_order == 0, self
        assert self.rewinds <= stops, self
        assert self.duplicates <= at_risk, (self, at_risk)

    def assert_exactly_once(self) -> None:
        assert (self.lost, self.out_of_order, self.duplicates) == (0, 0, 0), self


def balance_of(lanes: Lanes, sent: int, lane_of: Callable[[int], int]) -> Balance:
    """Compare what was delivered with what was sent."""
    of_key = np.array([lane_of(key) for key in range(KEYS)])
    all_lanes = of_key[np.arange(sent) % KEYS]
    lost = out_of_order = rewinds = 0
    for lane in np.unique(all_lanes):
        expected = np.flatnonzero(all_lanes == lane)
        numbers = lanes.get(int(lane), np.array([], "int64"))
        places = np.searchsorted(expected, numbers)
        steps = np.diff(places, prepend=-1)
        lost += len(np.setdiff1d(expected, numbers))
        out_of_order += int((steps > 1).sum())
        rewinds = max(rewinds, int((steps < 1).sum()))
    return Balance(sent, sum(map(len, lanes.values())), lost, out_of_order, rewinds)
