"""What a source has received and the exchange has not taken yet: bounded, in order."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from queueconnector_core.buffer import Buffer, Episode, Overflow
from queueconnector_mqtt._messages import Message

__all__ = ("Inbox", "Received", "Taken")

MAX_UNACKNOWLEDGED: Final = 65_535
"""MQTT numbers unacknowledged messages with 16 bits: there are never more."""


class Received(NamedTuple):
    """A message, and when it came."""

    number: int
    arrived_ns: int
    message: Message


class Taken(NamedTuple):
    """What the reader was given, in the order in which it came."""

    items: list[Received]
    dropped: int
    episode: Episode[Received] | None


class Inbox:
    """Messages in two buffers, told apart by who bounds them.

    Those of quality 1 are bounded by the broker, which waits for acknowledgements; those of quality
    0 by `size`, and some are dropped when more come.
    """

    def __init__(self, size: int, overflow: Overflow) -> None:
        loop = asyncio.get_running_loop()
        self.arrived = asyncio.Event()
        """Set while there may be something to take, and when the reader should look up."""
        self._plain: Buffer[Received] = Buffer(loop, size, overflow)
        self._acknowledged: Buffer[Received] = Buffer(
            loop, MAX_UNACKNOWLEDGED, Overflow.DROP_NEWEST
        )
        self._number = 0
        self.is_closed = False

    def put(self, message: Message) -> None:
        """Take a message, unless it is closed."""
        if self.is_closed:
            return
        self._number += 1
        buffer = self._acknowledged if message.qos else self._plain
        buffer.put(Received(self._number, time.time_ns(), message), wait=False)
        self.arrived.set()

    def take(self, most: int) -> Taken:
        """The oldest messages, at most so many of each quality."""
        plain, kept = self._plain.take(most), self._acknowledged.take(most)
        if not len(self._plain) and not len(self._acknowledged) and not self.is_closed:
            self.arrived.clear()
        # Sorting what comes in two ordered runs costs next to nothing.
        return Taken(sorted(plain.items + kept.items), plain.dropped, plain.episode)

    def forget_unacknowledged(self) -> None:
        """Leave out what the broker will send again."""
        self._acknowledged.take(MAX_UNACKNOWLEDGED)

    def close(self) -> None:
        """Take nothing more; what is there can be taken."""
        self.is_closed = True
        self.arrived.set()
