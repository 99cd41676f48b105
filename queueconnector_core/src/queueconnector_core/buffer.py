"""The bounded way of records from other threads into the event loop.

For sources whose client library calls back in threads of its own.
"""

from __future__ import annotations

import asyncio
import enum
import threading
import time
from collections import deque
from typing import Generic, TypeVar

import attrs

__all__ = ("Overflow", "Buffer", "Episode", "Taken")

Item = TypeVar("Item")

LOOP_CHECK_S = 0.5
LATELY_S = 2.0
QUIET_S = 1.0
"""What is dropped within so long of the last time belongs to the same episode."""


class Overflow(enum.Enum):
    """What becomes of a record that finds the buffer full."""

    BLOCK = "block"
    """The thread that brings it waits for room."""
    DROP_OLDEST = "drop_oldest"
    """It takes the place of the oldest one."""
    DROP_NEWEST = "drop_newest"
    """It is not taken."""
    LATEST_ONLY = "latest_only"
    """Whatever the size: only the newest record is kept."""
    FAIL = "fail"
    """It is not taken, and neither is any later one: `Buffer.has_failed`."""


@attrs.define
class Episode(Generic[Item]):
    """A time in which a full buffer dropped records."""

    first: Item
    """The record that was dropped first."""
    last: Item
    """The one that was dropped last, so far."""
    dropped: int = 0
    """How many were dropped since it began."""
    is_over: bool = False
    """The reader has caught up: nothing was dropped lately, and half of the buffer is free."""


@attrs.frozen
class Taken(Generic[Item]):
    """What the reader was given."""

    items: list[Item]
    """The oldest first."""
    dropped: int
    """How many were dropped since it took last."""
    episode: Episode[Item] | None
    """The overflow that goes on, or has just ended."""


class Buffer(Generic[Item]):
    """Takes records from any thread to the event loop, with one wake-up for each burst.

    `size` is the number of records that it holds at most, at least 1. Its memory is bounded by
    that, and what the reader took.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, size: int, overflow: Overflow = Overflow.DROP_OLDEST
    ) -> None:
        self._loop = loop
        self._size = 1 if overflow is Overflow.LATEST_ONLY else max(size, 1)
        self._overflow = overflow
        self._items: deque[Item] = deque()
        self._episode: Episode[Item] | None = None
        self._told = 0
        self._dropped_at = 0.0
        self._room = threading.Condition()
        self.held_up_at = float("-inf")
        """When a thread waited last, by the monotonic clock in seconds."""
        self._awake = False
        self._closed = False
        self._failed = False
        self.filled = asyncio.Event()
        """Set while there may be something to take, and after `close`; wait for it in the loop."""

    def put(self, item: Item, *, wait: bool = True) -> bool:
        """Hand over one record, in any thread; False: it was not taken.

        With `Overflow.BLOCK` it waits for room, or until `close`; not so with `wait=False`, which
        the thread of the event loop must say: it is the one that makes room.
        """
        with self._room:
            if self._overflow is Overflow.BLOCK and wait:
                self._wait_for_room()
            if self._closed or self._failed:
                return False
            if len(self._items) >= self._size and not self._has_made_room(item):
                return False
            self._items.append(item)
            self._wake()
            return True

    def _wait_for_room(self) -> None:
        while not self._closed and len(self._items) >= self._size:
            # Whoever forgets to close must not keep the process from ending.
            if not self._room.wait(LOOP_CHECK_S) and self._loop.is_closed():
                self._closed = True
            self.held_up_at = time.monotonic()

    @property
    def holds_up(self) -> bool:
        """Whether a thread waits for room, or has waited lately."""
        return time.monotonic() < self.held_up_at + LATELY_S

    def _has_made_room(self, item: Item) -> bool:
        if self._overflow is Overflow.BLOCK:
            return False
        if self._overflow is Overflow.FAIL:
            self._failed = True
            self._wake()
            return False
        drops_oldest = self._overflow is not Overflow.DROP_NEWEST
        victim = self._items.popleft() if drops_oldest else item
        if self._episode is None:
            self._episode = Episode(victim, victim)
            self._told = 0
        self._episode.last = victim
        self._episode.dropped += 1
        self._dropped_at = time.monotonic()
        return drops_oldest

    def _wake(self) -> None:
        # Called with the lock held: after `close` the loop may be gone.
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self.filled.set)

    def take(self, most: int) -> Taken[Item]:
        """The oldest records, at most `most`, in the event loop; none: the next one wakes."""
        with self._room:
            count = min(most, len(self._items))
            items = [self._items.popleft() for _ in range(count)]
            if not self._items:
                self._awake = False
                if not self._closed:
                    self.filled.clear()
            self._room.notify_all()
            return Taken(items, *self._overflowed())

    def _overflowed(self) -> tuple[int, Episode[Item] | None]:
        episode = self._episode
        if episode is None:
            return 0, None
        dropped, self._told = episode.dropped - self._told, episode.dropped
        is_quiet = time.monotonic() > self._dropped_at + QUIET_S
        if is_quiet and len(self._items) <= self._size // 2:
            episode.is_over = True
            self._episode = None
        return dropped, attrs.evolve(episode)

    def close(self) -> None:
        """Take nothing more, and let go whoever waits for room; what is there can be taken."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        self.filled.set()

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed

    @property
    def has_failed(self) -> bool:
        """True after a record found the buffer full, with `Overflow.FAIL`."""
        return self._failed

    def __len__(self) -> int:
        return len(self._items)
