"""Follows a configuration source as core does, and keeps what it told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from queueconnector_core.config.protocol import (
    ConfigEvent,
    ConfigSource,
    ConfigUpdate,
    Synced,
    Unavailable,
)

TIMEOUT_S = 10.0


class Following:
    """All events of a source so far, and the documents that they add up to."""

    def __init__(self, source: ConfigSource) -> None:
        self.source = source
        self.events: list[ConfigEvent] = []
        self.documents: dict[str | None, str] = {}
        self.versions: dict[str | None, str] = {}
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for event in self.source.follow():
            async with self._news:
                self.events.append(event)
                if isinstance(event, ConfigUpdate):
                    self.versions[event.key] = event.version
                    if event.text is None:
                        del self.documents[event.key]
                    else:
                        self.documents[event.key] = event.text
                self._news.notify_all()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until an event makes it true."""
        try:
            async with asyncio.timeout(TIMEOUT_S), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"no {what} in {self.events}") from None

    async def until_documents(self, expected: dict[str | None, str]) -> None:
        """Wait until exactly these documents are told."""
        await self.until(lambda: self.documents == expected, f"documents {expected}")

    async def until_synced(self, times: int = 1) -> None:
        """Wait until `Synced` was told so often."""
        await self.until(lambda: self.events.count(Synced()) >= times, f"Synced, {times} times")

    async def until_unavailable(self) -> Unavailable:
        """Wait until the last event says that the source cannot be read, and return that."""
        await self.until(
            lambda: self.events and isinstance(self.events[-1], Unavailable), "Unavailable"
        )
        last = self.events[-1]
        assert isinstance(last, Unavailable)
        return last

    async def until_the_end(self) -> None:
        """Wait until the source has nothing more to tell."""
        async with asyncio.timeout(TIMEOUT_S):
            await self._task

    async def close(self) -> None:
        """Stop to follow, then stop the source."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.source.stop()
