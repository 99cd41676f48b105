"""Where reading begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from queueconnector_core.provenance import time_of
from queueconnector_kafka._clients import ConsumerClient

__all__ = ("starting_offsets",)


async def starting_offsets(
    client: ConsumerClient, partitions: Sequence[int], start: str
) -> Mapping[int, int]:
    """The offset in each of the partitions that `start` means: latest, earliest, or a time.

    A time means the first record that is not older; where there is none, the end. Raises errors of
    aiokafka.
    """
    if not partitions:
        return {}
    if start == "earliest":
        return await client.beginnings(partitions)
    ends = await client.ends(partitions)
    since_ns = time_of(start)
    if since_ns is None:
        return ends
    # Up to the next millisecond, Kafka's unit: what is older than asked for is not wanted.
    since_ms = -(-since_ns // 1_000_000)
    return {**ends, **await client.offsets_at(partitions, since_ms)}
