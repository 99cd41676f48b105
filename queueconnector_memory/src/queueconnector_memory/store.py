"""Where the in-memory sinks of this process keep their records, by key."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from queueconnector_core.record import Batch, Record

__all__ = ("records", "reset", "wait_for")

_batches: defaultdict[str, list[Batch]] = defaultdict(list)
_counts: defaultdict[str, int] = defaultdict(int)
_waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)


def add(key: str, batch: Batch) -> None:
    """Append the records of a batch."""
    _batches[key].append(batch)
    _counts[key] += len(batch)
    for added in _waiting[key]:
        added.set()


def count(key: str) -> int:
    """How many records are kept under `key`."""
    return _counts[key]


def records(key: str) -> list[Record]:
    """The records written under `key` so far, in order."""
    return [record for batch in _batches[key] for record in batch.records()]


async def wait_for(key: str, number: int, timeout_s: float = 10) -> list[Record]:
    """The records under `key` as soon as there are `number`.

    Raises `TimeoutError` when they are not there within `timeout_s` seconds.
    """
    # An event belongs to the loop that waits for it; the store outlives loops.
    added = asyncio.Event()
    _waiting[key].add(added)
    try:
        async with asyncio.timeout(timeout_s):
            while count(key) < number:
                added.clear()
                await added.wait()
    finally:
        _waiting[key].discard(added)
    return records(key)


def reset(key: str | None = None) -> None:
    """Forget the records under `key`, or all; who waits for records goes on waiting."""
    keys = list(_batches) if key is None else [key]
    for name in keys:
        _batches.pop(name, None)
        _counts.pop(name, None)
