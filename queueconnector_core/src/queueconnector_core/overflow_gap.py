"""Tells the ledger what a buffer that was too small has dropped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from queueconnector_core.buffer import Episode
from queueconnector_core.gaps import GapLedger, GapReason, OpenGap

__all__ = ("OverflowGap",)

Item = TypeVar("Item")


class OverflowGap(Generic[Item]):
    """One gap for each time in which the buffer of a source was too small, not for each batch.

    `time_ns` says when an item was made, in nanoseconds since the Unix epoch, UTC.
    """

    def __init__(
        self, ledger: GapLedger, source: str, text: str, time_ns: Callable[[Item], int]
    ) -> None:
        self._ledger = ledger
        self._source = source
        self._text = text
        self._time_ns = time_ns
        self._going_on: tuple[OpenGap, Episode[Item]] | None = None

    def enter(self, episode: Episode[Item] | None) -> None:
        """What `Buffer.take` told of an overflow, if anything."""
        if episode is None:
            return
        if self._going_on is None:
            began_ns = self._time_ns(episode.first)
            reason = GapReason.BUFFER_OVERFLOW
            gap = self._ledger.open(self._source, reason, began_ns, self._text)
        else:
            gap, _ = self._going_on
        self._going_on = gap, episode
        if episode.is_over:
            self.end()

    def end(self) -> None:
        """Close the gap that goes on, with what is known of it."""
        if self._going_on is not None:
            gap, episode = self._going_on
            self._going_on = None
            gap.close(self._time_ns(episode.last), episode.dropped, is_exact=True)
