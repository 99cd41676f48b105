"""A consumer of one topic by means of librdkafka."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Message,
    TopicPartition,
)

from queueconnector_kafka import _client
from queueconnector_kafka._access import Access
from queueconnector_kafka._client import KafkaRecord
from queueconnector_kafka._clients import RebalanceListener
from queueconnector_kafka._connecting import closed
from queueconnector_kafka._librdkafka.common import common, known
from queueconnector_kafka._librdkafka.polling import Polling
from queueconnector_kafka._positions import Fetched
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("LibrdkafkaConsumer",)

QUEUE_KBYTES: Final = 32 * 1024
"""So much is fetched ahead."""

_LEADERLESS: Final = (
    errors.NotLeaderForPartitionError,
    errors.LeaderNotAvailableError,
    errors.UnknownTopicOrPartitionError,
)

POLL_INTERVAL_MS: Final = 300_000
"""A member whose thread hangs for so long loses its partitions; the group waits so long for it."""


@attrs.define
class _Record:
    """Implements `KafkaRecord`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


def _settings(options: KafkaConsumerSourceDescriptor) -> dict[str, Any]:
    wait_ms = options.fetch_max_wait_ms
    found = common(options) | {
        # Without a group it is a mere name: nobody joins it, and nothing is committed.
        "group.id": options.group_id or "queueconnector",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "enable.partition.eof": options.until == "latest",
        "isolation.level": options.isolation_level,
        "check.crcs": True,
        "fetch.wait.max.ms": wait_ms,
        "fetch.queue.backoff.ms": 10,
        "queued.max.messages.kbytes": QUEUE_KBYTES,
        "receive.message.max.bytes": 1_000_000_000,
        "socket.timeout.ms": max(_client.REQUEST_TIMEOUT_MS, wait_ms + 1_500),
    }
    if options.group_id is not None:
        session_ms = round(options.session_timeout_s * 1000)
        found |= {
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(1, min(3_000, session_ms // 3)),
            "max.poll.interval.ms": max(POLL_INTERVAL_MS, session_ms),
            # That of aiokafka: members with either client share a group.
            "partition.assignment.strategy": "roundrobin",
        }
    if options.group_instance_id is not None:
        found["group.instance.id"] = options.group_instance_id
    return found


class LibrdkafkaConsumer:
    """Implements `ConsumerClient`."""

    def __init__(self, options: KafkaConsumerSourceDescriptor, access: Access) -> None:
        self._options = options
        self.metadata = AIOKafkaClient(**_client.common(options, access))
        self._polling: Polling | None = None

    async def start(self) -> None:
        await self.metadata.bootstrap()
        options, loop = self._options, asyncio.get_running_loop()
        in_group, refresh = options.group_id is not None, self.metadata.force_metadata_update
        self._polling = await asyncio.to_thread(
            lambda: Polling(_settings(options), options.topic, in_group, loop, refresh)
        )

    async def stop(self) -> None:
        what = f"the consumer of {self._options.where}"
        if self._polling is not None:
            await closed(self._polling.end(), what)
            self._polling = None
        await closed(self.metadata.close(), what)

    @property
    def _live(self) -> Polling:
        if self._polling is None:
            raise errors.ConsumerStoppedError
        return self._polling

    async def assign(self, offsets: Mapping[int, int]) -> None:
        await self._live.place(offsets)

    async def seek(self, offsets: Mapping[int, int]) -> None:
        await self._live.place({**self._live.reached, **offsets})

    async def position(self, partition: int) -> int:
        return self._live.reached[partition]

    async def fetch(self, timeout_s: float) -> Fetched:
        return await self._live.next(timeout_s)

    async def held(self) -> Fetched:
        return await self._live.held()

    def values(self, records: Sequence[Message]) -> list[bytes | None]:
        return list(map(Message.value, records))

    def offset(self, record: Message) -> int:
        return record.offset()  # type: ignore[return-value] # None is for what is no record

    def known(self, record: Message) -> KafkaRecord:
        kind, time_ms = record.timestamp()
        return _Record(
            self._options.topic,
            record.partition() or 0,
            self.offset(record),
            -1 if kind == TIMESTAMP_NOT_AVAILABLE else time_ms,
            int(kind == TIMESTAMP_LOG_APPEND_TIME),
            record.key(),
            record.value(),
            tuple(record.headers() or ()),  # type: ignore[arg-type] # what is read is no text
        )

    def behind(self, partition: int, read: int) -> int | None:
        end = self._live.tops.get(partition)
        return None if end is None else max(0, end - max(read, self._live.reached[partition]))

    def answers(self) -> int:
        return self._live.answers

    def answered_ms(self, partition: int) -> int:
        return self._live.answered_ms

    async def beginnings(self, partitions: Sequence[int]) -> Mapping[int, int]:
        return await self.offsets_at(partitions, OFFSET_BEGINNING)

    async def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        return await self.offsets_at(partitions, OFFSET_END)

    async def offsets_at(self, partitions: Sequence[int], time_ms: int) -> Mapping[int, int]:
        places = self._places(dict.fromkeys(partitions, (time_ms,)))
        limit_s, loop = _limit_s(), asyncio.get_running_loop()
        deadline_s = loop.time() + _client.TOPIC_TIMEOUT_S
        while True:
            try:
                return _offsets(
                    await self._live.ask(lambda c: c.offsets_for_times(places, timeout=limit_s))
                )
            except _LEADERLESS:
                # Of a topic that is being made librdkafka knows its leaders a little later.
                if loop.time() > deadline_s:
                    raise
            await asyncio.sleep(_client.RETRY_BACKOFF_MS / 1000)

    async def join(self, listener: RebalanceListener) -> None:
        await self._live.join(listener)

    async def committed(self, partitions: Sequence[int]) -> Mapping[int, tuple[int, str]]:
        places = self._places(dict.fromkeys(partitions, ()))
        limit_s = _limit_s()
        found = await self._live.ask(lambda c: c.committed(places, timeout=limit_s))
        texts = {place.partition: place.metadata or "" for place in found}
        return {number: (offset, texts[number]) for number, offset in _offsets(found).items()}

    async def commit(self, offsets: Mapping[int, tuple[int, str]]) -> None:
        places = self._places(offsets)
        _offsets(await self._live.ask(lambda c: c.commit(offsets=places, asynchronous=False)))

    def _places(self, partitions: Mapping[int, tuple[Any, ...]]) -> list[TopicPartition]:
        topic = self._options.topic
        return [TopicPartition(topic, number, *given) for number, given in partitions.items()]


def _limit_s() -> float:
    return _client.REQUEST_TIMEOUT_MS / 1000


def _offsets(places: Sequence[TopicPartition]) -> dict[int, int]:
    """The offsets of places that have any; raises the first error of one of them."""
    for place in places:
        if place.error is not None:
            raise known(place.error)
    return {place.partition: place.offset for place in places if place.offset >= 0}
