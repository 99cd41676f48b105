"""How far a file was read and delivered, kept in a small file over restarts."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from pathlib import Path

import attrs
import msgspec

from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.record import Acknowledgement
from queueconnector_memory.reading import Place

__all__ = ("SAVE_EVERY_S", "Checkpoint")

logger = logging.getLogger(__name__)

SAVE_EVERY_S = 0.1
"""What was delivered in so many seconds comes again after a crash, beside what was in flight."""


@attrs.define(eq=False)
class _Part:
    """Some lines that are on their way to the sinks."""

    after: Place
    is_delivered: bool = False


class Checkpoint:
    """Keeps the place up to which everything was delivered, in whatever order that happened.

    It is written by a task of its own, at most every `SAVE_EVERY_S` seconds and once by `close`.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._under_way: deque[_Part] = deque()
        self._reached: Place | None = None
        self._saved: Place | None = None
        self._saving: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def load(self) -> Place | None:
        """The place that was kept; None where there is none yet.

        Raises `FatalError` for a file that is no checkpoint, `RetryableError` when it cannot be
        read.
        """
        self._saved = self._reached = await asyncio.to_thread(self._load)
        return self._saved

    def expect(self, after: Place) -> Acknowledgement:
        """What to give along with the lines before `after`."""
        part = _Part(after)
        self._under_way.append(part)
        return Acknowledgement(lambda: self._delivered(part))

    async def close(self) -> None:
        """Write what was reached; what is delivered later is not kept. Idempotent."""
        self._closing.set()
        if self._saving is not None:
            await asyncio.wait((self._saving,))
        await self._save()

    def _delivered(self, part: _Part) -> None:
        part.is_delivered = True
        while self._under_way and self._under_way[0].is_delivered:
            self._reached = self._under_way.popleft().after
        if self._saving is None and not self._closing.is_set():
            self._saving = asyncio.create_task(self._save_for_ever())

    async def _save_for_ever(self) -> None:
        while not self._closing.is_set():
            await self._save()
            try:
                async with asyncio.timeout(SAVE_EVERY_S):
                    await self._closing.wait()
            except TimeoutError:
                continue

    async def _save(self) -> None:
        place = self._reached
        if place is None or place == self._saved:
            return
        try:
            await asyncio.to_thread(self._replace, place)
        except OSError as error:
            logger.warning("cannot write the checkpoint %s: %s", self._path, error.strerror)
        else:
            self._saved = place

    def _load(self) -> Place | None:
        try:
            octets = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RetryableError(f"cannot read {self._path}: {error.strerror}") from error
        try:
            return msgspec.json.decode(octets, type=Place)
        except ValueError as error:
            raise FatalError(
                f"{self._path} is no checkpoint: {error}; remove it to read from the beginning"
            ) from None

    def _replace(self, place: Place) -> None:
        """Put the new text in the place of the old one at once, so that no crash leaves half."""
        unfinished = self._path.with_name(f".{self._path.name}.new")
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(place) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)
