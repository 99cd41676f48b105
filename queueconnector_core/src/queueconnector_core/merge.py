"""Merges several streams of batches into one, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from queueconnector_core.record import Batch

__all__ = ("merge",)

QUEUED_BATCHES = 4
"""So many batches may wait between the sources and the first pipe."""


async def merge(streams: Sequence[AsyncIterator[Batch]]) -> AsyncIterator[Batch]:
    """Batches of all streams as they come, each stream in its own order; ends when all ended.

    An error of one stream ends the others and is raised.
    """
    queue: asyncio.Queue[Batch | None] = asyncio.Queue(QUEUED_BATCHES)

    async def forward(stream: AsyncIterator[Batch]) -> None:
        async for batch in stream:
            await queue.put(batch)

    async def forward_all() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for stream in streams:
                    tasks.create_task(forward(stream))
        finally:
            # A full queue is being emptied by the reader below, or nobody reads any more.
            await queue.put(None)

    forwarding = asyncio.create_task(forward_all())
    try:
        while (batch := await queue.get()) is not None:
            yield batch
        try:
            await forwarding
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
    finally:
        forwarding.cancel()
        if not forwarding.done():
            await asyncio.wait((forwarding,))
