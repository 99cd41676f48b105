"""Asks brokers about a topic without making it, joining a group, or leaving a trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
from aiokafka import AIOKafkaConsumer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient

from queueconnector_kafka._access import access
from queueconnector_kafka._client import KafkaRecord, common, translated
from queueconnector_kafka._connecting import closed, reach, undisturbed
from queueconnector_kafka._topic_id import describe
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor, TopicOptions

__all__ = ("TopicState", "last_records", "topic_state")

UNKNOWN_TOPIC: Final = errors.UnknownTopicOrPartitionError.errno
NOT_AUTHORISED: Final = errors.TopicAuthorizationFailedError.errno
PATIENCE_MS: Final = 2_000
"""A partition whose newest offsets are marks of transactions gives no record at all."""


@attrs.frozen
class TopicState:
    """What the brokers say about a topic."""

    exists: bool
    authorised: bool = True
    partitions: Sequence[int] = ()
    leaderless: Sequence[int] = ()


async def topic_state(options: TopicOptions) -> TopicState:
    """Ask for the topic; raises `RetryableError` when nobody answers, `FatalError` when refused."""
    given = await access(options)
    await reach(options, given)
    client = AIOKafkaClient(**common(options, given))
    try:
        await undisturbed(client.bootstrap())
        found = await describe(client, options.topic)
    except Exception as error:  # noqa: BLE001 - translated
        raise translated(error, f"cannot ask about {options.where}") from None
    finally:
        await closed(client.close(), options.where, 1.0)
    if found.error in {UNKNOWN_TOPIC, NOT_AUTHORISED}:
        return TopicState(found.error == NOT_AUTHORISED, found.error != NOT_AUTHORISED)
    leaderless = [number for number, leader in found.leaders.items() if leader < 0]
    return TopicState(True, True, sorted(found.leaders), leaderless)


@asynccontextmanager
async def _consumer(options: KafkaConsumerSourceDescriptor) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(
        **common(options, await access(options)),
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=options.isolation_level,
    )
    try:
        await undisturbed(consumer.start())
        yield consumer
    finally:
        await closed(consumer.stop(), options.where, 1.0)


async def last_records(
    options: KafkaConsumerSourceDescriptor, partitions: Sequence[int]
) -> list[KafkaRecord]:
    """The last record of each partition that has any; raises as `topic_state`."""
    places = [TopicPartition(options.topic, number) for number in partitions]
    try:
        async with _consumer(options) as consumer:
            begin, end = await asyncio.gather(
                consumer.beginning_offsets(places), consumer.end_offsets(places)
            )
            wanted = [place for place in places if end[place] > begin[place]]
            return await _last_of(consumer, wanted, end)
    except Exception as error:  # noqa: BLE001 - translated
        raise translated(error, f"cannot read {options.where}") from None


async def _last_of(consumer: Any, places: Sequence[Any], end: Any) -> list[KafkaRecord]:
    if not places:
        return []
    consumer.assign(places)
    for place in places:
        consumer.seek(place, end[place] - 1)
    found: dict[Any, KafkaRecord] = {}
    deadline = asyncio.get_running_loop().time() + PATIENCE_MS / 1000
    while len(found) < len(places) and asyncio.get_running_loop().time() < deadline:
        fetched = await consumer.getmany(timeout_ms=PATIENCE_MS // 4)
        found |= {place: records[-1] for place, records in fetched.items() if records}
    return list(found.values())
