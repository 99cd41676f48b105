"""The next batch of a stream, for pipes that also wait for a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import attrs

from queueconnector_core.record import Batch

__all__ = ("END", "Upcoming")

END: Final = Batch(())
"""Stands for the end of a stream."""


@attrs.define
class Upcoming:
    """The next batch of a stream, waited for in turns: a read that was begun is never cut off."""

    stream: AsyncIterator[Batch]
    reading: asyncio.Future[Batch] | None = None

    async def within(self, timeout_s: float | None) -> Batch | None:
        """The next batch, `END` after the last, or None when there is none in time."""
        self.reading = self.reading or asyncio.ensure_future(anext(self.stream, END))
        await asyncio.wait((self.reading,), timeout=timeout_s)
        if not self.reading.done():
            return None
        done, self.reading = self.reading, None
        return done.result()

    async def cancel(self) -> None:
        """End the read that was begun: before that its stream cannot be closed."""
        if self.reading is not None:
            self.reading.cancel()
            await asyncio.wait((self.reading,))
