"""How far partitions were read, and how far what was read was delivered."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from queueconnector_core.record import Acknowledgement

__all__ = ("Fetched", "Positions", "Progress")

Fetched = Mapping[int, Sequence[Any]]
"""What one fetch brought, by partition: records as the client has them."""


class Progress:
    """One partition: what is read, what is under way, what was committed."""

    __slots__ = ("_under_way", "committed", "position", "whole_ns")

    def __init__(self, position: int, whole_ns: int | None = None) -> None:
        self.position = position
        """The offset of the next record to read."""
        self.whole_ns = time.time_ns() if whole_ns is None else whole_ns
        """A time when nothing was missing: nanoseconds since the Unix epoch, UTC."""
        self.committed: int | None = None
        """What the group's next reader would begin with; None: not known to be anything."""
        self._under_way: OrderedDict[int, None] = OrderedDict()

    @property
    def delivered(self) -> int:
        """Every record before this offset was delivered: this is what may be committed."""
        return next(iter(self._under_way), self.position)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    def take(self, first: int, after: int) -> None:
        """Records from offset `first` on, up to the one before `after`, are under way now."""
        self._under_way[first] = None
        self.position = after

    def settle(self, first: int) -> None:
        """Those that begin at `first` were delivered; others before them may not be."""
        self._under_way.pop(first, None)


class Positions(dict[int, Progress]):
    """The progress of each partition that is read; `settled` waits for what is under way."""

    def __init__(self, offset: Callable[[Any], int]) -> None:
        """`offset` tells that of a record."""
        super().__init__()
        self._offset = offset
        self._news = asyncio.Event()

    def take(self, fetched: Fetched) -> None:
        """What was fetched is read, and counts as delivered: nobody asks for it again."""
        for partition, records in fetched.items():
            self[partition].position = self._offset(records[-1]) + 1

    def take_to_deliver(self, fetched: Fetched) -> Acknowledgement:
        """What was fetched is under way until the acknowledgement is released.

        A release counts for the partitions as they are now: when one has gone to another reader
        meanwhile, and was taken out of here, it changes nothing.
        """
        taken: list[tuple[Progress, int]] = []
        for partition, records in fetched.items():
            progress, first = self[partition], self._offset(records[0])
            progress.take(first, self._offset(records[-1]) + 1)
            taken.append((progress, first))

        def delivered() -> None:
            for progress, first in taken:
                progress.settle(first)
            self._news.set()

        return Acknowledgement(delivered)

    def clear(self) -> None:
        """Forget all; nobody needs to wait for them any more."""
        super().clear()
        self._news.set()

    async def settled(self, limit_s: float) -> bool:
        """Wait until nothing is under way, for at most `limit_s` seconds; whether it is so."""
        try:
            async with asyncio.timeout(limit_s):
                while not all(progress.is_settled for progress in self.values()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True
