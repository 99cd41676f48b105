"""A consumer of one topic: all that the source asks of aiokafka."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition, errors

from queueconnector_core.errors import RetryableError
from queueconnector_core.gaps import GapLedger
from queueconnector_core.record import Acknowledgement
from queueconnector_kafka._access import Access
from queueconnector_kafka._client import common, partitions_of, translated
from queueconnector_kafka._connecting import closed, reach, undisturbed
from queueconnector_kafka._continuity import Continuity, Interrupted
from queueconnector_kafka._group import Membership, group_settings
from queueconnector_kafka._offsets import starting_offsets
from queueconnector_kafka._positions import Fetched, Positions, Progress
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("MAX_FETCH_RECORDS", "Consumer")

logger = logging.getLogger(__name__)

FETCH_POLL_S: Final = 1.0
MAX_FETCH_RECORDS: Final = 1_000
"""So many records are decoded at a stretch, before others get their turn."""

SILENCE_S: Final = 10.0
"""A consumer that heard nothing from any broker for so long has lost its brokers."""


class Consumer:
    """Reads a topic, each partition at its own position: all of them, or its share of a group's.

    Without a group the partitions are assigned here and not by aiokafka's subscription: that one
    drops all positions, and goes on at the end, when a restarting broker does not know its topics
    for a moment.
    """

    def __init__(
        self,
        options: KafkaConsumerSourceDescriptor,
        access: Access,
        gaps: GapLedger,
        before: Interrupted | None = None,
    ) -> None:
        """`gaps` is told what is lost; `before` is where a former consumer was interrupted."""
        self._topic = options.topic
        self._options = options
        self._access = access
        self._before = Interrupted({}) if before is None else before
        self._ends = self._before.ends
        in_group = options.group_id is not None
        self._aiokafka = AIOKafkaConsumer(
            **common(options, access) | (group_settings(options) if in_group else {}),
            fetch_max_wait_ms=options.fetch_max_wait_ms,
            # The fetching task wakes up by events; this is no more than a safety net.
            consumer_timeout_ms=1_000,
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level=options.isolation_level,
        )
        # aiokafka gives a consumer's metadata away, but no way to ask for fresh ones.
        self._client = self._aiokafka._client  # noqa: SLF001
        self.positions = Positions()
        """The partitions that are read at present."""
        self._group = Membership(self._aiokafka, options, self.positions) if in_group else None
        self._continuity = Continuity(self._client, self._topic, gaps)
        self._open = False
        self._waiting: asyncio.Timeout | None = None
        self._heard = _Heard()

    @property
    def is_open(self) -> bool:
        """Whether there may be more to fetch."""
        return self._open

    def interrupted(self) -> Interrupted:
        """What the next consumer needs to go on where this one is."""
        for partition, progress in self.positions.items():
            progress.whole_ns = self._whole_ns(partition)
        moving = {} if self._group is None else self._group.given_up
        return Interrupted(moving | self.positions, self._continuity.topic_id, self._ends)

    async def start(self) -> None:
        """Fix the positions: those of `resume`, of the group, or where the options say.

        Raises `RetryableError` or `FatalError`.
        """
        try:
            await reach(self._options, self._access)
            await undisturbed(self._begin())
        except BaseException as error:
            await self.stop()
            if isinstance(error, Exception):
                raise translated(error, f"cannot read {self._options.where}") from None
            raise

    async def _begin(self) -> None:
        await self._aiokafka.start()
        partitions = await partitions_of(self._client, self._options)
        resume = await self._continuity.resumed(self._before)
        if self._options.until == "latest" and not self._ends:
            ends = await self._aiokafka.end_offsets([self._place(n) for n in partitions])
            self._ends = {place.partition: offset for place, offset in ends.items()}
        if self._group is not None:
            await self._group.join(partitions, resume)
        else:
            self._assign(await self._all(partitions, resume))
        self._heard.now()
        self._open = True

    async def _all(self, partitions: list[int], resume: dict[int, Progress]) -> dict[int, Progress]:
        """The positions of all partitions, where there is no group."""
        if resume:
            # After an interruption a partition that is new was made since, and is read as a whole.
            return {number: resume.get(number) or Progress(0) for number in partitions}
        places = [self._place(number) for number in partitions]
        begin = await starting_offsets(self._aiokafka, places, self._options.start)
        return {number: Progress(begin[self._place(number)]) for number in partitions}

    def _place(self, partition: int) -> Any:
        return TopicPartition(self._topic, partition)

    def _assign(self, added: Mapping[int, Progress]) -> None:
        self.positions.update(added)
        self._aiokafka.assign([self._place(partition) for partition in self.positions])
        self._seek(self.positions)

    def _seek(self, partitions: Mapping[int, Progress]) -> None:
        for partition, progress in partitions.items():
            self._aiokafka.seek(self._place(partition), progress.position)

    async def fetch(self) -> Fetched:
        """The next records by partition, at most `MAX_FETCH_RECORDS`.

        None when there were none for a second or two, or after `end`. Raises `RetryableError`,
        also when no broker answered for `SILENCE_S`, and `FatalError`.
        """
        if not self._open:
            return {}
        try:
            # aiokafka waits without a limit while a group rebalances.
            async with asyncio.timeout(2 * FETCH_POLL_S) as self._waiting:
                await self._look_around()
                found = await self._next()
        except TimeoutError:
            found = {}
        except (errors.ConsumerStoppedError, errors.NoOffsetForPartitionError):
            # The group has given us a partition, and its position is not fixed yet.
            return {}
        except errors.KafkaError as error:
            raise translated(error, f"cannot read {self._options.where}") from None
        finally:
            self._waiting = None
        if self._group is not None and self._group.error is not None:
            raise self._group.error
        if found:
            self._heard.now()
        elif self._open:
            self._check_silence()
        return found

    async def _look_around(self) -> None:
        """What is to be known before the next records are asked for."""
        if await self._continuity.is_another():
            self._begin_anew()
        if self._group is None:
            self._watch_partitions()
        elif not self.positions and await self._client.force_metadata_update():
            # There is nothing to fetch: this answer has to prove that the brokers are there.
            self._heard.now()
        if self._options.until == "latest" and await self._is_at_end():
            self._open = False

    async def _is_at_end(self) -> bool:
        if self._group is not None and not self._group.is_settled:
            return False
        for number in list(self.positions):
            # Not that of the last record: behind it there may be marks of transactions.
            if await self._aiokafka.position(self._place(number)) < self._ends.get(number, 0):
                return False
        return True

    async def _next(self) -> Fetched:
        if not self._open:
            return {}
        try:
            found = await self._aiokafka.getmany(
                timeout_ms=round(1000 * FETCH_POLL_S), max_records=MAX_FETCH_RECORDS
            )
        except errors.OffsetOutOfRangeError as error:
            await self._return_to_range(error.args[0])
            return {}
        return self._ours(found)

    async def fetched(self) -> Fetched:
        """All records that aiokafka holds at this moment; it does not wait, nor yield."""
        try:
            return self._ours(await self._aiokafka.getmany(timeout_ms=0))
        except errors.KafkaError:
            return {}

    def _ours(self, found: Mapping[Any, Any]) -> Fetched:
        """Without what aiokafka fetched for a group before the position was fixed."""
        return {
            place.partition: records
            for place, records in found.items()
            if place.partition in self.positions
        }

    def taken(self, fetched: Fetched) -> tuple[Acknowledgement, ...]:
        """What was fetched is on its way to the sinks now; what its batch has to carry."""
        if self._group is not None:
            return (self.positions.take_to_deliver(fetched),)
        self.positions.take(fetched)
        return ()

    def _watch_partitions(self) -> None:
        """Read new partitions from their beginning: all they hold was written since `start`."""
        known = self._aiokafka.partitions_for_topic(self._topic) or set()
        new = known - self.positions.keys()
        if new:
            logger.info("%s has new partitions: %s", self._options.where, sorted(new))
            self._assign({number: Progress(0) for number in new})

    def _whole_ns(self, partition: int) -> int:
        """When nothing was missing of it yet: the time of its latest answer."""
        answered_ms = self._aiokafka.last_poll_timestamp(self._place(partition)) or 0
        return max(self.positions[partition].whole_ns, 1_000_000 * answered_ms)

    async def _return_to_range(self, wanted: Mapping[Any, int]) -> None:
        """Go on with the oldest record where the wanted one is gone, or the topic began anew."""
        if await self._continuity.is_another(at_once=True):
            self._begin_anew()
            return
        first = await self._aiokafka.beginning_offsets(list(wanted))
        for place, offset in wanted.items():
            number = place.partition
            if number not in self.positions or await self._aiokafka.position(place) != offset:
                # aiokafka also tells of what was asked for before the last seek.
                continue
            logger.warning(
                "%s[%d]@%d is not there any more; going on at @%d",
                *(self._topic, number, offset, first[place]),
            )
            whole_ns = self._whole_ns(number)
            if offset < first[place]:
                self._continuity.removed(number, offset, first[place], whole_ns)
                self.positions[number].position = first[place]
            else:
                # A log that is shorter than what was read of it: of a broker without topic ids.
                self._continuity.made_anew(whole_ns)
                self.positions[number] = Progress(first[place])
            self._seek({number: self.positions[number]})

    def _begin_anew(self) -> None:
        """Read the whole topic, which is another one than that of before."""
        logger.warning("%s was made anew; reading all of it", self._options.where)
        self._continuity.made_anew(max(map(self._whole_ns, self.positions), default=None))
        fresh = {number: Progress(0) for number in self.positions}
        if self._group is not None:
            self._group.begin_anew()
            self.positions.update(fresh)
            self._seek(fresh)
            return
        known = self._aiokafka.partitions_for_topic(self._topic) or self.positions.keys()
        self.positions.clear()
        self._assign({number: Progress(0) for number in known})

    def silent_s(self) -> float:
        """Seconds since a broker last answered; 0 while nobody waits for records."""
        return self._silence_s() if self._waiting is not None else 0.0

    def lag(self) -> int | None:
        """Records between what was read and the ends that came with the latest records."""
        behind = [self._behind(number) for number in self.positions]
        known = [records for records in behind if records is not None]
        return sum(known) if known else None

    def _behind(self, partition: int) -> int | None:
        # Not where the last record was: behind it there may be marks of transactions.
        subscription = self._aiokafka._subscription.subscription  # noqa: SLF001
        assignment = subscription and subscription.assignment
        state = assignment and assignment.state_value(self._place(partition))
        if not state or state.highwater is None or not state.has_valid_position:
            return None
        # The last stable offset is -1 where transactions do not matter.
        is_stable = state.lso is not None and state.lso >= 0
        end: int = state.lso if is_stable else state.highwater
        read: int = max(state.position, self.positions[partition].position)
        return max(0, end - read)

    def _silence_s(self) -> float:
        answers = (self._aiokafka.last_poll_timestamp(self._place(n)) for n in self.positions)
        return self._heard.silent_s(max((answer or 0 for answer in answers), default=0))

    def _check_silence(self) -> None:
        silent_s = self._silence_s()
        if silent_s > SILENCE_S:
            servers = ", ".join(self._options.bootstrap)
            raise RetryableError(
                f"no answer from the Kafka brokers at {servers} for {silent_s:.0f} s"
            )

    def end(self) -> None:
        """Fetch nothing more: a waiting `fetch` returns. The connection stays."""
        self._open = False
        if self._waiting is not None:
            self._waiting.reschedule(0)

    async def stop(self) -> None:
        """Commit what was delivered, and disconnect; a waiting `fetch` returns."""
        self.end()
        if self._group is not None:
            await self._group.leave()
        await closed(self._aiokafka.stop(), f"the consumer of {self._options.where}")
        # aiokafka's own stop breaks off when a fetch is just waiting to be tried again.
        fetcher, coordinator = self._aiokafka._fetcher, self._aiokafka._coordinator  # noqa: SLF001
        left = [*fetcher._pending_tasks] if fetcher else []  # noqa: SLF001
        names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
        left += filter(None, (getattr(coordinator, name, None) for name in names))
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await closed(self._client.close(), f"the connections of {self._options.where}")


class _Heard:
    """When a broker last answered."""

    def __init__(self) -> None:
        self._answer = 0
        self._at = time.monotonic()

    def now(self) -> None:
        self._at = time.monotonic()

    def silent_s(self, answer: int) -> float:
        """Seconds since `answer`, aiokafka's mark of the latest answer, changed."""
        if answer != self._answer:
            self._answer = answer
            self.now()
        return time.monotonic() - self._at
