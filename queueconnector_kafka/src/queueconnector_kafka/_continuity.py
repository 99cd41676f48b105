"""Notices when records were deleted before they were read, and tells the gap ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs

from queueconnector_core.gaps import Gap, GapLedger, GapReason
from queueconnector_kafka._client import Metadata
from queueconnector_kafka._positions import Progress
from queueconnector_kafka._topic_id import topic_id_of

__all__ = ("Continuity", "Interrupted")


@attrs.frozen
class Interrupted:
    """What a consumer that lost its brokers leaves to the next one of the same run."""

    positions: Mapping[int, Progress]
    topic_id: bytes | None = None
    ends: Mapping[int, int] = attrs.field(factory=dict)
    """Where reading ends, by partition."""


class Continuity:
    """Whether the topic is still the one that was read, and what of it is gone."""

    def __init__(self, metadata: Metadata, topic: str, gaps: GapLedger) -> None:
        self._metadata = metadata
        self._topic = topic
        self._gaps = gaps
        self._is_due = False
        self.topic_id: bytes | None = None
        """Of the topic that is read; None: the brokers do not tell."""
        # aiokafka asks for metadata at times, and at once when a partition is not there.
        metadata.cluster.add_listener(self._on_metadata)

    def _on_metadata(self, cluster: Any) -> None:
        self._is_due = True

    async def resumed(self, interrupted: Interrupted) -> dict[int, Progress]:
        """The positions to go on with: those of before, or the beginning of a topic made anew."""
        self.topic_id = interrupted.topic_id
        before = dict(interrupted.positions)
        if not await self.is_another(at_once=True):
            return before
        self.made_anew(max((each.whole_ns for each in before.values()), default=None))
        return {number: Progress(0) for number in before}

    async def is_another(self, *, at_once: bool = False) -> bool:
        """Whether the topic was made anew since it was asked last.

        Without `at_once` the brokers are asked only after news of their metadata.
        """
        if not (self._is_due or at_once):
            return False
        self._is_due = False
        before, found = self.topic_id, await topic_id_of(self._metadata, self._topic)
        self.topic_id = found or before
        return before is not None and found is not None and found != before

    def made_anew(self, whole_ns: int | None) -> None:
        """Tell that the topic was made anew; whole until `whole_ns`. What is lost nobody knows."""
        now_ns = time.time_ns()
        text = "what the old topic held and was not read is gone; the new one is read as a whole"
        began_ns = now_ns if whole_ns is None else whole_ns
        self._gaps.add(Gap(self._topic, GapReason.TOPIC_RECREATED, began_ns, now_ns, text=text))

    def removed(self, partition: int, wanted: int, first: int, whole_ns: int) -> None:
        """Tell that the records from offset `wanted` up to the one before `first` were deleted."""
        self._gaps.add(
            Gap(
                f"{self._topic}[{partition}]",
                GapReason.RETENTION,
                whole_ns,
                time.time_ns(),
                records=first - wanted,
                is_exact=True,
                text=f"offsets {wanted} to {first - 1}",
            )
        )
