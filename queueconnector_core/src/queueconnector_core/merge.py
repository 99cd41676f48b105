"""Merges several streams of batches into one, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from queueconnector_core.record import Batch

__all__ = ("merge", "close")

QUEUED_BATCHES = 4
"""So many batches may wait between the sources and the first pipe."""


async def merge(streams: Sequence[AsyncIterator[Batch]]) -> AsyncIterator[Batch]:
    """Batches of all streams as they come, each stream in its own order; ends when all ended.

    An error of one stream is raised after the batches that came before it, and ends the others.
    Every stream is closed when this one ends or is closed.
    """
    arrived: asyncio.Queue[Batch | asyncio.Task[None]] = asyncio.Queue()
    room = asyncio.Semaphore(QUEUED_BATCHES)

    async def forward(stream: AsyncIterator[Batch]) -> None:
        try:
            async for batch in stream:
                await room.acquire()
                arrived.put_nowait(batch)
        finally:
            await close(stream)

    forwarding = [asyncio.create_task(forward(stream)) for stream in streams]
    for task in forwarding:
        # However a stream ends, that stands in the queue behind its last batch, and needs no room.
        task.add_done_callback(arrived.put_nowait)
    try:
        running = len(forwarding)
        while running:
            item = await arrived.get()
            if isinstance(item, asyncio.Task):
                item.result()
                running -= 1
            else:
                room.release()
                yield item
    finally:
        for task in forwarding:
            task.cancel()
        await asyncio.wait(forwarding)


async def close(stream: AsyncIterator[object]) -> None:
    """Close a stream now rather than when it is collected; an iterator need not be closable."""
    if isinstance(stream, AsyncGenerator):
        await stream.aclose()
