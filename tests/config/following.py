"""Follows a configuration source as core does, and keeps what it told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar, cast

from queueconnector_core.config.protocol import (
    ConfigEvent,
    ConfigSource,
    ConfigUpdate,
    Synced,
    Unavailable,
)

T = TypeVar("T")


class Following:
    """Follows a source in a task of its own and keeps all that it tells."""

    def __init__(self, source: ConfigSource) -> None:
        self.events: list[ConfigEvent] = []
        self._changed = asyncio.Condition()
        self._iterator = cast("AsyncGenerator[ConfigEvent, None]", source.follow())
        self.task = asyncio.create_task(self._follow(), name="following")

    async def _follow(self) -> None:
        async for event in self._iterator:
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    @property
    def updates(self) -> list[ConfigUpdate]:
        return [event for event in self.events if isinstance(event, ConfigUpdate)]

    @property
    def outages(self) -> list[Unavailable]:
        return [event for event in self.events if isinstance(event, Unavailable)]

    @property
    def synced(self) -> int:
        """How often everything was told."""
        return sum(isinstance(event, Synced) for event in self.events)

    @property
    def documents(self) -> dict[str | None, str]:
        """What is there, as far as it was told."""
        found = {update.key: update.text for update in self.updates}
        return {key: text for key, text in found.items() if text is not None}

    def version(self, key: str | None) -> str:
        """The newest version of a document."""
        return next(update.version for update in reversed(self.updates) if update.key == key)

    async def until(self, condition: Callable[[], T], timeout_s: float = 20.0) -> T:
        """Wait until what was told fulfils a condition."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                return await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"waited in vain; told were {self.events}") from None

    async def until_synced(self, times: int = 1) -> None:
        await self.until(lambda: self.synced >= times)

    async def until_documents(self, documents: dict[str | None, str]) -> None:
        await self.until(lambda: self.documents == documents)

    async def close(self) -> None:
        """Close it wherever it waits, as core does."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self._iterator.aclose()
