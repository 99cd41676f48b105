"""Where reading begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from queueconnector_core.provenance import time_of

__all__ = ("starting_offsets",)


async def starting_offsets(aiokafka: Any, places: Sequence[Any], start: str) -> Mapping[Any, int]:
    """The offset in each of the places that `start` means: latest, earliest, or a time.

    A time means the first record that is not older; where there is none, the end. Raises errors of
    aiokafka.
    """
    if not places:
        return {}
    if start == "earliest":
        return await aiokafka.beginning_offsets(places)  # type: ignore[no-any-return]
    ends: dict[Any, int] = await aiokafka.end_offsets(places)
    since_ns = time_of(start)
    if since_ns is None:
        return ends
    # Up to the next millisecond, Kafka's unit: what is older than asked for is not wanted.
    since_ms = -(-since_ns // 1_000_000)
    found = await aiokafka.offsets_for_times(dict.fromkeys(places, since_ms))
    return ends | {place: at.offset for place, at in found.items() if at is not None}
