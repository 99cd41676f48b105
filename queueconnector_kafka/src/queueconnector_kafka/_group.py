"""The membership of a consumer in a group: which partitions it owns, and what it commits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition, errors

from queueconnector_core.errors import FatalError
from queueconnector_core.provenance import time_of, time_text
from queueconnector_kafka._client import translated
from queueconnector_kafka._offsets import starting_offsets
from queueconnector_kafka._positions import Positions, Progress
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("Membership", "group_settings")

logger = logging.getLogger(__name__)

COMMIT_TIMEOUT_S: Final = 3.0
"""A commit that takes longer is given up; the next one commits at least as much."""

LAST_DELIVERIES_S: Final = 5.0
"""A rebalance waits at most so long for what is under way; the whole group waits with it."""

NEVER_MS: Final = 2**31 - 1


def group_settings(options: KafkaConsumerSourceDescriptor) -> dict[str, Any]:
    """The settings of a consumer of aiokafka that is a member of a group."""
    session_ms = round(options.session_timeout_s * 1000)
    return {
        "group_id": options.group_id,
        "group_instance_id": options.group_instance_id,
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": min(3_000, session_ms // 3),
        # Who waits for a slow sink is not stuck. aiokafka answers the heartbeats and rebalances of
        # the group in tasks of its own, so that this limit is nothing but a reason to leave it.
        "max_poll_interval_ms": NEVER_MS,
    }


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Joins a group, commits what was delivered, and gives partitions up in order.

    The partitions that this member owns at a time, with fixed positions, are those in `positions`.
    """

    def __init__(
        self,
        aiokafka: AIOKafkaConsumer,
        options: KafkaConsumerSourceDescriptor,
        positions: Positions,
    ) -> None:
        self._aiokafka = aiokafka
        self._options = options
        self._positions = positions
        self.given_up: dict[int, Progress] = {}
        """What was ours before the rebalance that goes on now."""
        self._partitions: frozenset[int] = frozenset()
        self._assigned = asyncio.Event()
        self._committing = asyncio.Lock()
        self._anew_ns = 0
        self._keeper: asyncio.Task[None] | None = None
        self.error: Exception | None = None
        """Why it cannot go on: `RetryableError` or `FatalError`."""

    @property
    def is_settled(self) -> bool:
        """Whether it is known which partitions are ours."""
        return self._assigned.is_set()

    async def join(self, partitions: Collection[int], resume: Mapping[int, Progress]) -> None:
        """Wait until the group has said which partitions are ours, and their positions are fixed.

        `partitions` are those of the topic at present; `resume` goes on where it is, if it is still
        ours. Raises errors of aiokafka, those of `error`, and `TimeoutError` when the group does
        not settle.
        """
        self.given_up = dict(resume)
        self._partitions = frozenset(partitions)
        # aiokafka tells what goes wrong in the group to those who wait for an assignment.
        assignment = self._aiokafka._subscription.wait_for_assignment()  # noqa: SLF001
        self._aiokafka.subscribe([self._options.topic], listener=self)
        limit_s = 2 * self._options.session_timeout_s + 5
        try:
            async with asyncio.timeout(limit_s):
                await assignment
                await self._assigned.wait()
        except TimeoutError:
            group = self._options.group_id
            raise TimeoutError(f"group {group!r} gave no partitions for {limit_s:g} s") from None
        if self.error is not None:
            raise self.error
        self._keeper = asyncio.create_task(self._keep_committing())

    def begin_anew(self) -> None:
        """The topic is another one, read as a whole; what was committed was of the old one."""
        self._anew_ns = time.time_ns()
        for number in self.given_up:
            self.given_up[number] = Progress(0)

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """Called by aiokafka, which gives no records meanwhile; the group waits for the end."""
        limit_s = min(self._options.session_timeout_s / 2, LAST_DELIVERIES_S)
        if not await self._positions.settled(limit_s):
            logger.warning(
                "%s: the group %r rebalances, and not all records were delivered within %g s; "
                "they may be delivered once more by others",
                *(self._options.where, self._options.group_id, limit_s),
            )
        await self.commit()
        self.given_up |= self._positions
        self._positions.clear()
        self._assigned.clear()

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """Called by aiokafka when the group has rebalanced."""
        try:
            # Without heartbeats meanwhile.
            async with asyncio.timeout(self._options.session_timeout_s / 2):
                await self._go_on(assigned)
            await self.commit()
        except Exception as error:  # noqa: BLE001 - aiokafka would only log it
            self._fail(error, "cannot find where to read")
        self._assigned.set()

    async def _go_on(self, assigned: Collection[Any]) -> None:
        """Fix the positions of the partitions that are ours now.

        What was ours before goes on where it was, and still waits for what is under way, so that
        a rebalance that moves nothing repeats nothing.
        """
        before = self.given_up
        # One request for all; aiokafka's own method makes one for each.
        coordinator = self._aiokafka._coordinator  # noqa: SLF001
        found = await coordinator.fetch_committed_offsets(list(assigned))
        committed = {p: at for p, at in found.items() if self._is_of_this_topic(at.metadata)}
        fresh = [
            place for place in assigned if place not in committed and place.partition not in before
        ]
        old = [p for p in fresh if p.partition in self._partitions and not self._anew_ns]
        # What was made since we joined, a partition or the topic, is read as a whole.
        begin = dict.fromkeys(fresh, 0)
        begin |= await starting_offsets(self._aiokafka, old, self._options.start)
        for place in assigned:
            known = committed.get(place)
            progress = before.get(place.partition)
            if progress is None and known is not None:
                progress = Progress(known.offset, time_of(known.metadata or ""))
            elif progress is None:
                progress = Progress(begin[place])
            progress.committed = None if known is None else known.offset
            progress.position = max(progress.position, progress.committed or 0)
            self._aiokafka.seek(place, progress.position)
            self._positions[place.partition] = progress
        self.given_up = {}

    def _is_of_this_topic(self, committed: str) -> bool:
        """Whether a commit with that time in it is not from before the topic was made anew."""
        return not self._anew_ns or (time_of(committed) or 0) >= self._anew_ns

    async def _keep_committing(self) -> None:
        while True:
            await asyncio.sleep(self._options.commit_interval_s)
            await self.commit()

    async def commit(self) -> None:
        """Commit what was delivered of the partitions that are ours; it never goes back.

        A commit that fails because the group rebalances, or the coordinator is away, is made up for
        by a later one; others are kept as `error`.
        """
        # Behind the lock no commit is under way: aiokafka would repeat it for partitions that have
        # gone to another member meanwhile.
        async with self._committing:
            due = {
                number: progress.delivered
                for number, progress in self._positions.items()
                if progress.committed is None or progress.delivered > progress.committed
            }
            if not due:
                return
            progresses = dict(self._positions)
            # The time tells a later reader until when nothing was missing.
            topic, now = self._options.topic, time_text(time.time_ns())
            offsets = {TopicPartition(topic, n): (offset, now) for n, offset in due.items()}
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await self._aiokafka.commit(offsets)
            except (errors.KafkaError, TimeoutError) as error:
                self._not_committed(error)
                return
            for number, offset in due.items():
                # Of a topic that was made anew meanwhile nothing is committed yet.
                progresses[number].committed = offset

    def _not_committed(self, error: Exception) -> None:
        self._fail(error, "cannot commit", only=FatalError)
        logger.info("%s: not committed yet: %r", self._options.where, error)

    def _fail(self, error: Exception, doing: str, only: type[Exception] = Exception) -> None:
        told = translated(error, f"{doing} in group {self._options.group_id!r}")
        if isinstance(told, only):
            self.error = told

    async def leave(self) -> None:
        """Commit for the last time; wait for nothing more."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
            await self.commit()
        self._positions.clear()
