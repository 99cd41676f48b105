"""The thread that polls a consumer of librdkafka, and what it brings to the event loop."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import attrs
from aiokafka import errors
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from queueconnector_kafka._clients import MAX_FETCH_RECORDS, RebalanceListener
from queueconnector_kafka._librdkafka.common import known
from queueconnector_kafka._librdkafka.worker import Worker
from queueconnector_kafka._positions import Fetched

__all__ = ("Polling",)

POLL_S: Final = 0.1
"""What is to be done in the thread of a poll waits at most so long."""

SLOW_S: Final = 1.0
"""After so long without a taker, partitions are paused, and polls serve the group alone."""

HELD_RECORDS: Final = 100_000
"""More than is fetched ahead."""


Result = TypeVar("Result")


@attrs.frozen
class _Haul:
    """What one poll brought, by partition."""

    records: Fetched
    ends: Mapping[int, int]
    """Where a partition ends, behind its records and marks of transactions."""
    tops: Mapping[int, int]
    """Where the brokers said that a partition ends, when its records came."""


class Polling:
    """Polls in a thread of its own, and has one haul ready for the loop, not more.

    While nobody takes it the thread goes on to poll, with all partitions paused: librdkafka tells
    of a group's rebalances in polls, and the group waits meanwhile. Partitions begin anew, all of
    them, at every change of a position; that is rare, and leaves nothing of what was fetched
    before.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        topic: str,
        in_group: bool,
        loop: asyncio.AbstractEventLoop,
        refresh: Callable[[], object],
    ) -> None:
        """It takes some time; `refresh` is called in the loop when metadata have become old."""
        self._topic = topic
        self._in_group = in_group
        self._loop = loop
        self._refresh = refresh
        self._listener: RebalanceListener | None = None
        self._news = asyncio.Event()
        self._hauls: deque[_Haul] = deque()
        self._epoch = 0
        """Counts the times that all partitions began anew."""
        self._gone: dict[int, int] = {}
        self._error: KafkaError | None = None
        self._caught_s = 0.0
        self._is_paused = False
        self._is_rebalancing = False
        self._has_joined = False
        self._is_ending = False
        self.reached: dict[int, int] = {}
        """The offset of the next record, by partition that is read."""
        self.tops: dict[int, int] = {}
        """Where partitions end, as the brokers told with the latest records."""
        self.answers = 0
        """How many answers have come from brokers."""
        self.answered_ms = 0
        """When the last one came: milliseconds since the Unix epoch."""
        callbacks = {"stats_cb": self._on_statistics, "error_cb": self._on_error}
        self._consumer = Consumer({**settings, **callbacks})
        self._worker = Worker(f"reading {topic}", self._turn)

    # -- called in the loop -----------------------------------------------------------------------

    async def ask(self, question: Callable[[Consumer], Result]) -> Result:
        """The answer of brokers; raises `KafkaError`."""
        try:
            return await self._worker.call(lambda: question(self._consumer))
        except KafkaException as error:
            raise known(error.args[0]) from None

    async def place(self, offsets: Mapping[int, int]) -> None:
        """Read these partitions, from these offsets on, and no others."""
        self.reached = dict(offsets)
        self.tops.clear()
        if not self._is_rebalancing:
            await self._worker.call(self._place)

    async def next(self, timeout_s: float) -> Fetched:
        """The next records, or none after the time-out; raises `KafkaError`."""
        if not self._hauls:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wait()
            except TimeoutError:
                return {}
        return self._taken()

    async def _wait(self) -> None:
        """Until something happens, or it is known why nothing will."""
        if self._error is not None:
            raise known(self._error)
        if self._gone:
            # Behind what was reached there may have been marks of transactions.
            gone = {n: max(at, self.reached.get(n, 0)) for n, at in self._gone.items()}
            self.reached.update(gone)
            raise errors.OffsetOutOfRangeError(gone)
        self._news.clear()
        if not self._hauls:
            await self._news.wait()

    def _taken(self) -> Fetched:
        try:
            haul = self._hauls.popleft()
        except IndexError:
            return {}
        for partition, records in haul.records.items():
            self.reached[partition] = records[-1].offset() + 1
        self.reached.update(haul.ends)
        self.tops.update(haul.tops)
        self._worker.wake()
        return haul.records

    async def held(self) -> Fetched:
        """All records that are here; no more come."""
        found: defaultdict[int, list[Message]] = defaultdict(list)
        await self._worker.call(self._catch_all)
        while self._hauls:
            for partition, records in self._taken().items():
                found[partition] += records
        return found

    async def join(self, listener: RebalanceListener) -> None:
        """Subscribe, and wait until the group has given partitions to this member for once."""
        self._listener = listener
        await self._worker.call(self._subscribe)
        while not self._has_joined:
            await self._wait()

    async def end(self) -> None:
        """Leave the group, without a commit, and disconnect."""
        self._is_ending = True
        await self._worker.end(self._consumer.close)

    # -- run in the thread ------------------------------------------------------------------------

    def _turn(self) -> float:
        """Poll, or wait for somebody to take what is there; how long to wait then, in seconds."""
        try:
            if not self._hauls:
                self._resume()
                # A poll cannot be interrupted, and before there is something to read, all wait.
                reads = bool(self.reached) or self._listener is not None
                self._poll(POLL_S if reads else 0.0)
                return 0.0 if reads else POLL_S
            waits_s = time.monotonic() - self._caught_s
            if waits_s < SLOW_S:
                return SLOW_S - waits_s
            self._is_paused = True
            self._consumer.pause(self._consumer.assignment())
            self._poll(0.0)
        except KafkaException as error:
            self._fail(error.args[0])
        except Exception as error:  # noqa: BLE001 - who reads is told, and the thread lives
            self._fail(KafkaError(KafkaError._FAIL, repr(error)))  # noqa: SLF001
        return POLL_S

    def _resume(self) -> None:
        # A partition that is taken away while it is paused would still be so when it is given back.
        if self._is_paused:
            self._is_paused = False
            self._consumer.resume(self._consumer.assignment())

    def _poll(self, limit_s: float) -> None:
        # A call for many waits until it has them: one for the first, then those that are there.
        first = self._consumer.poll(limit_s)
        if first is None:
            return
        epoch = self._epoch
        messages = [first, *self._consumer.consume(MAX_FETCH_RECORDS - 1, 0)]
        if epoch == self._epoch:
            self._catch(messages)
        else:
            # The group has rebalanced between the two.
            self._place()

    def _catch_all(self) -> None:
        self._catch(self._consumer.consume(HELD_RECORDS, 0))

    def _catch(self, messages: list[Message]) -> None:
        told = [message for message in messages if message.error() is not None]
        ends: dict[int, int] = {}
        if told:
            messages = [message for message in messages if message.error() is None]
            for message in told:
                self._hear(message, ends)
        if messages or ends:
            self._caught_s = time.monotonic()
            records = _by_partition(messages)
            tops = {number: self._top(number) for number in (*records, *ends)}
            self._hauls.append(_Haul(records, ends, tops))
        self._tell(self._news.set)

    def _top(self, partition: int) -> int:
        place = TopicPartition(self._topic, partition)
        found: tuple[int, int] = self._consumer.get_watermark_offsets(place, cached=True)
        return found[1]

    def _hear(self, message: Message, ends: dict[int, int]) -> None:
        """What librdkafka has to tell stands among the records."""
        error = message.error()
        if error is None:
            return
        of_offset = {KafkaError._PARTITION_EOF: ends, KafkaError._AUTO_OFFSET_RESET: self._gone}  # noqa: SLF001
        partition, offset = message.partition(), message.offset()
        if error.code() in of_offset and partition is not None and offset is not None:
            of_offset[error.code()][partition] = offset
        else:
            self._on_error(error)

    def _on_error(self, error: KafkaError) -> None:
        """Most errors librdkafka gets over by itself, and those that aiokafka does not know too."""
        told = known(error)
        if isinstance(told, errors.GroupAuthorizationFailedError) and not self._in_group:
            return
        if error.fatal() or not (told.retriable or isinstance(told, errors.UnknownError)):
            self._fail(error)
        elif told.invalid_metadata:
            self._tell(self._refresh)

    def _fail(self, error: KafkaError) -> None:
        self._error = error
        self._tell(self._news.set)

    def _on_statistics(self, text: str) -> None:
        found = json.loads(text)
        answers = sum(broker["rx"] for broker in found["brokers"].values())
        if answers != self.answers:
            self.answers, self.answered_ms = answers, 1_000 * int(found["time"])

    def _tell(self, function: Callable[[], object]) -> None:
        if not self._is_ending:
            self._loop.call_soon_threadsafe(function)

    def _place(self) -> None:
        """Read on at the positions that were reached; forget what was fetched."""
        self._forget()
        self._gone.clear()
        self._consumer.assign([TopicPartition(self._topic, *at) for at in self.reached.items()])

    def _forget(self) -> None:
        self._resume()
        self._epoch += 1
        self._hauls.clear()

    def _subscribe(self) -> None:
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke
        )

    def _on_assign(self, _: Consumer, places: list[TopicPartition]) -> None:
        if self._listener is not None and not self._is_ending:
            self._follow(self._listener.on_assigned([place.partition for place in places]))
            self._place()
            self._has_joined = True
            self._tell(self._news.set)

    def _on_revoke(self, consumer: Consumer, _: list[TopicPartition]) -> None:
        if self._listener is not None and not self._is_ending:
            self._forget()
            self._follow(self._listener.on_revoked())
            consumer.unassign()

    def _follow(self, following: Coroutine[Any, Any, None]) -> None:
        """Let the loop follow what the group does; the group waits for it."""

        async def follow() -> None:
            self._is_rebalancing = True
            self.reached.clear()
            try:
                await following
            finally:
                self._is_rebalancing = False

        followed = asyncio.run_coroutine_threadsafe(follow(), self._loop)
        # It has questions for the brokers, and librdkafka takes them from this thread alone.
        self._worker.serve_until(followed)
        followed.result()


def _by_partition(messages: list[Message]) -> Fetched:
    partitions = {message.partition() for message in messages}
    if len(partitions) == 1:
        return {number: messages for number in partitions if number is not None}
    found: defaultdict[int, list[Message]] = defaultdict(list)
    for message in messages:
        found[message.partition() or 0].append(message)
    return found
