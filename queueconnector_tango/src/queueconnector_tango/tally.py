"""How many events were lost, exactly: the numbers that the server gave them against what came."""

from __future__ import annotations

import attrs

__all__ = ("Tally", "Loss")


@attrs.frozen
class Loss:
    """How many events did not come."""

    records: int
    is_exact: bool


class Tally:
    """Compares two counts that differ by a constant as long as nothing is lost.

    The one counts what came. The other is the number of the latest event (see `_census`), or how
    many the server has pushed, which is as good in a quiet moment only: else some are on their way.
    `came`, `suspect` and `number` belong to Tango's thread of events, the rest to the event loop.
    """

    def __init__(self) -> None:
        self.came = 0
        """How many events with a number came, errors that the device sent included."""
        self.is_due = True
        """Whether the number of the next event is wanted."""
        self._numbered: int | None = None
        self._looked: int | None = None
        self._told: int | None = None
        self._is_firm = False

    def suspect(self) -> None:
        """Events may have been lost: the next one that comes will show how many."""
        self._looked = None
        self._is_firm = self.is_due = True

    def number(self, number: int) -> None:
        """The latest event that came had this number."""
        self._numbered = number - self.came
        if self._told is None or not self._is_firm:
            self._told = self._numbered
        self._is_firm = True
        self.is_due = False

    def look(self, pushed: int | None, before: int, after: int) -> None:
        """The server has pushed so many; so many had come before that, and a moment after it."""
        self._looked = None if pushed is None or before != after else pushed - after

    def learn(self) -> None:
        """Nothing is lost, as far as is known: the difference is what was seen."""
        if self._told is None:
            self._told = self._looked

    @property
    def is_known(self) -> bool:
        """Whether it is known what the counts differ by while nothing is lost."""
        return self._told is not None

    @property
    def is_ready(self) -> bool:
        """Whether `take` knows."""
        return self._told is not None and self._latest is not None

    @property
    def _latest(self) -> int | None:
        return self._looked if self.is_due else self._numbered

    def take(self) -> Loss | None:
        """What was lost since the last time, until the latest event; None: nobody knows."""
        return self._take(self._latest)

    def take_tail(self) -> Loss | None:
        """What was lost since the last time, until `look`, without any event after it."""
        return self._take(self._looked)

    def _take(self, difference: int | None) -> Loss | None:
        # Tango's thread goes on meanwhile: what it adds is told the next time.
        if difference is None or self._told is None:
            return None
        lost = difference - self._told
        self._told = difference
        return Loss(max(lost, 0), is_exact=True)

    def accept(self) -> None:
        """What was lost is told otherwise: count from here."""
        self._told = self._latest

    def forget(self) -> None:
        """The server was started anew: its numbers too."""
        self._numbered = self._looked = self._told = None
        self._is_firm = False
        self.is_due = True
