"""A consumer of one topic: all that the source asks of aiokafka."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition, errors

from queueconnector_core.errors import RetryableError
from queueconnector_core.record import Acknowledgement
from queueconnector_kafka._client import common, partitions_of, translated
from queueconnector_kafka._connecting import closed, reach, undisturbed
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
        resume: Mapping[int, Progress] | None = None,
    ) -> None:
        """`resume` is the `progress` of a former consumer that lost its brokers."""
        self._topic = options.topic
        self._options = options
        self._resume = dict(resume or {})
        in_group = options.group_id is not None
        self._aiokafka = AIOKafkaConsumer(
            **common(options) | (group_settings(options) if in_group else {}),
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
        self._group = (
            Membership(self._aiokafka, options, self.positions, self._resume) if in_group else None
        )
        self._open = False
        self._waiting: asyncio.Timeout | None = None
        self._heard = _Heard()

    @property
    def progress(self) -> dict[int, Progress]:
        """What the next consumer needs to go on where this one was."""
        return self._resume | self.positions

    async def start(self) -> None:
        """Fix the positions: those of `resume`, of the group, or where the options say.

        Raises `RetryableError` or `FatalError`.
        """
        try:
            await reach(self._options)
            await undisturbed(self._begin())
        except BaseException as error:
            await self.stop()
            if isinstance(error, Exception):
                raise translated(error, f"cannot read {self._options.where}") from None
            raise

    async def _begin(self) -> None:
        await self._aiokafka.start()
        partitions = await partitions_of(self._client, self._options)
        if self._group is not None:
            await self._group.join(partitions)
        else:
            await self._take_all(partitions)
        self._heard.now()
        self._open = True

    async def _take_all(self, partitions: list[int]) -> None:
        places = [self._place(number) for number in partitions if number not in self._resume]
        if self._resume:
            # After an interruption a partition that is new was made since, and is read as a whole.
            begin: Mapping[Any, int] = dict.fromkeys(places, 0)
        else:
            begin = await starting_offsets(self._aiokafka, places, self._options.start)
        self._assign(
            {
                number: self._resume.get(number) or Progress(begin[self._place(number)])
                for number in partitions
            }
        )

    def _place(self, partition: int) -> Any:
        return TopicPartition(self._topic, partition)

    def _assign(self, added: Mapping[int, Progress]) -> None:
        self.positions.update(added)
        self._aiokafka.assign([self._place(partition) for partition in self.positions])
        for partition, progress in self.positions.items():
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
                found = await self._next()
        except TimeoutError:
            found = {}
        except errors.OffsetOutOfRangeError as error:
            await self._return_to_range(error.args[0])
            return {}
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

    async def _next(self) -> Fetched:
        if self._group is None:
            self._watch_partitions()
        elif not self.positions and await self._client.force_metadata_update():
            # There is nothing to fetch: this answer has to prove that the brokers are there.
            self._heard.now()
        found = await self._aiokafka.getmany(
            timeout_ms=round(1000 * FETCH_POLL_S), max_records=MAX_FETCH_RECORDS
        )
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

    async def _return_to_range(self, wanted: Mapping[Any, int]) -> None:
        """Go on with the oldest record where the wanted one is gone, or the topic began anew."""
        try:
            first = await self._aiokafka.beginning_offsets(list(wanted))
        except errors.KafkaError as error:
            raise translated(error, f"cannot read {self._options.where}") from None
        for place, offset in wanted.items():
            if place.partition not in self.positions:
                continue
            logger.warning(
                "%s[%d]@%d is not there any more (deleted by retention, or the topic was made "
                "anew); going on at @%d",
                *(place.topic, place.partition, offset, first[place]),
            )
            self.positions[place.partition].position = first[place]
            self._aiokafka.seek(place, first[place])

    def silent_s(self) -> float:
        """Seconds since a broker last answered; 0 while nobody waits for records."""
        return self._silence_s() if self._waiting is not None else 0.0

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
