"""The membership of a consumer in a group: which partitions it owns, and what it commits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from aiokafka import errors

from queueconnector_core.errors import FatalError
from queueconnector_core.provenance import time_of, time_text
from queueconnector_kafka._client import translated
from queueconnector_kafka._clients import ConsumerClient
from queueconnector_kafka._offsets import starting_offsets
from queueconnector_kafka._positions import Positions, Progress
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("Membership",)

logger = logging.getLogger(__name__)

COMMIT_TIMEOUT_S: Final = 3.0
"""A commit that takes longer is given up; the next one commits at least as much."""

LAST_DELIVERIES_S: Final = 5.0
"""A rebalance waits at most so long for what is under way; the whole group waits with it."""


class Membership:
    """Joins a group, commits what was delivered, and gives partitions up in order.

    The partitions that this member owns at a time, with fixed positions, are those in `positions`.
    """

    def __init__(
        self,
        client: ConsumerClient,
        options: KafkaConsumerSourceDescriptor,
        positions: Positions,
    ) -> None:
        self._client = client
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
        limit_s = 2 * self._options.session_timeout_s + 5
        try:
            async with asyncio.timeout(limit_s):
                await self._client.join(self)
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

    async def on_revoked(self) -> None:
        """Called by the client, which gives no records meanwhile; the group waits for the end."""
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

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        """Called by the client when the group has rebalanced."""
        try:
            # Without heartbeats meanwhile.
            async with asyncio.timeout(self._options.session_timeout_s / 2):
                await self._go_on(partitions)
            await self.commit()
        except Exception as error:  # noqa: BLE001 - a client would only log it
            self._fail(error, "cannot find where to read")
        self._assigned.set()

    async def _go_on(self, partitions: Sequence[int]) -> None:
        """Fix the positions of the partitions that are ours now.

        What was ours before goes on where it was, and still waits for what is under way, so that
        a rebalance that moves nothing repeats nothing.
        """
        before = self.given_up
        found = await self._client.committed(partitions)
        committed = {n: at for n, at in found.items() if self._is_of_this_topic(at[1])}
        fresh = [n for n in partitions if n not in committed and n not in before]
        old = [n for n in fresh if n in self._partitions and not self._anew_ns]
        # What was made since we joined, a partition or the topic, is read as a whole.
        begin = dict.fromkeys(fresh, 0)
        begin |= await starting_offsets(self._client, old, self._options.start)
        for number in partitions:
            offset, text = committed.get(number, (None, ""))
            progress = before.get(number)
            if progress is None and offset is not None:
                progress = Progress(offset, time_of(text))
            elif progress is None:
                progress = Progress(begin[number])
            progress.committed = offset
            progress.position = max(progress.position, offset or 0)
            self._positions[number] = progress
        await self._client.seek({n: self._positions[n].position for n in partitions})
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
            now = time_text(time.time_ns())
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await self._client.commit({n: (offset, now) for n, offset in due.items()})
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
