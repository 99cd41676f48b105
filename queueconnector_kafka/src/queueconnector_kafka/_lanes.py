"""Where messages with a key go."""

from __future__ import annotations

import functools

from aiokafka.partitioner import murmur2

__all__ = ("lane_of",)


@functools.lru_cache(maxsize=4096)
def lane_of(key: bytes) -> int:
    """The number that Kafka's default partitioner takes, modulo the partitions, for a key."""
    return int(murmur2(key)) & 0x7FFFFFFF
