"""How many events were lost, exactly: the server's own counter against what came.

Tango's counter of the client (`ApiUtil.query_event_system`) is no help: PyTango 10.3 keeps the
interpreter locked while that waits for Tango, which stops the process while a server hangs.
"""

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

    Events are on their way while both are looked at, so that the difference is known as a range,
    which looking again makes narrower; a quiet moment makes it exact.
    """

    def __init__(self) -> None:
        self.came = 0
        """How many events came, errors that the device sent included."""
        self._known: tuple[int, int] | None = None
        self._fresh: tuple[int, int] | None = None

    def look(self, pushed: int | None, before: int, after: int) -> None:
        """The server has pushed so many; so many had come before that, and a moment after it."""
        self._fresh = None if pushed is None else (pushed - after, pushed - before)

    def learn(self) -> None:
        """Nothing is lost, as far as is known: the difference is what was seen."""
        if self._fresh is None or self._known is None:
            self._known = self._fresh or self._known
            return
        low = max(self._known[0], self._fresh[0])
        high = min(self._known[1], self._fresh[1])
        if low <= high:
            self._known = (low, high)

    @property
    def is_exact(self) -> bool:
        """Whether the difference is known exactly."""
        return self._known is not None and self._known[0] == self._known[1]

    def loss(self) -> Loss | None:
        """What was lost until `look`; None: the server does not tell, or began to count anew."""
        if self._known is None or self._fresh is None:
            return None
        least = max(self._fresh[0] - self._known[1], 0)
        most = self._fresh[1] - self._known[0]
        return Loss(max(most, 0), least == max(most, 0))

    def accept(self) -> None:
        """What was lost is told: count from here."""
        self._known = self._fresh or self._known

    def forget(self) -> None:
        """The server was started anew: its counter too."""
        self._known = self._fresh = None
