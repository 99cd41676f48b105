"""What the tests of the Kafka ends share: a harness around one real broker."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import attrs
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.protocols import Source
from queueconnector_core.record import Batch, Value
from queueconnector_core.registry import Registry
from queueconnector_kafka.descriptors import (
    KafkaConsumerSourceDescriptor,
    KafkaProducerSinkDescriptor,
)
from queueconnector_kafka.sink import KafkaProducerSink
from queueconnector_kafka.source import KafkaConsumerSource
from tests.kafka.clients import Client, chosen


@attrs.frozen
class Harness:
    """Builds ends for one broker, and looks at its topics with a client that is not ours."""

    broker: KafkaBroker
    registry: Registry
    client: Client = attrs.field(factory=chosen)

    @property
    def servers(self) -> tuple[str]:
        return (self.broker.bootstrap,)

    def topic(self, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Make a topic that nobody else uses."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        admin.create_topics([NewTopic(name, partitions, 1, config=dict(config or {}))])[
            name
        ].result()
        self._await_partitions(name, partitions)
        return name

    def remove_records(self, topic: str, before: int, partition: int = 0) -> None:
        """Delete the records of a partition up to the one before an offset, as retention does."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        place = TopicPartition(topic, partition, before)
        admin.delete_records([place])[place].result()

    def make_anew(self, topic: str, partitions: int = 1) -> None:
        """Delete a topic and make it again with the same name."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        admin.delete_topics([topic])[topic].result()

        with contextlib.suppress(KafkaException):  # a client that asked for it has made it already
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()
        self._await_partitions(topic, partitions)

    def grow(self, topic: str, partitions: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result()
        self._await_partitions(topic, partitions)

    def _await_partitions(self, topic: str, partitions: int) -> None:
        wait_until(
            lambda: self.broker.admin.partitions(topic) == partitions, 20, "leaders of partitions"
        )

    def source(
        self, topic: str, dtype: object = "str", shape: Sequence[int] = (), **options: Any
    ) -> KafkaConsumerSource:
        given: dict[str, Any] = {"client": self.client} | options
        descriptor = KafkaConsumerSourceDescriptor(self.servers, topic, **given)
        return KafkaConsumerSource(descriptor, self._context(dtype, shape))

    def sink(
        self, topic: str, dtype: object = "str", shape: Sequence[int] = (), **options: Any
    ) -> KafkaProducerSink:
        given: dict[str, Any] = {"client": self.client} | options
        descriptor = KafkaProducerSinkDescriptor(self.servers, topic, **given)
        return KafkaProducerSink(descriptor, self._context(dtype, shape))

    def _context(self, dtype: object, shape: Sequence[int]) -> BuildContext:
        return BuildContext(DataSpec.of(dtype, list(shape)), self.registry, name="test[0]")

    def produce(
        self,
        topic: str,
        *values: bytes | None,
        partition: int = 0,
        key: bytes | None = None,
        timestamp_ms: int = 0,
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        """Write messages with librdkafka, and wait until the broker has them."""
        failed: list[object] = []
        producer = Producer(
            {
                "bootstrap.servers": self.broker.bootstrap,
                "queue.buffering.max.messages": 1_000_000,
                "message.max.bytes": 10_000_000,
            }
        )
        for value in values:
            producer.produce(
                topic,
                value,
                key=key,
                partition=partition,
                timestamp=timestamp_ms,
                headers=headers or [],
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        assert not failed

    def committed(self, group: str, topic: str, partition: int = 0) -> int | None:
        """What the group has committed of a partition; None: nothing."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": group})
        try:
            (place,) = consumer.committed([TopicPartition(topic, partition)], timeout=20)
            return place.offset if place.offset >= 0 else None
        finally:
            consumer.close()

    def members(self, group: str) -> int:
        """How many members a group has."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        return len(admin.describe_consumer_groups([group])[group].result().members)

    def contents(self, topic: str, partition: int = 0) -> list[bytes]:
        """All values of a partition, read with librdkafka."""
        return [message.value() or b"" for message in self.messages(topic, partition)]

    def messages(self, topic: str, partition: int = 0) -> list[Message]:
        """All messages of a partition, read with librdkafka."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.broker.bootstrap,
                "group.id": "test",
                "enable.auto.commit": False,
            }
        )
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            consumer.assign([TopicPartition(topic, partition, 0)])
            found: list[Message] = []
            while len(found) < end:
                messages = consumer.consume(min(end - len(found), 10_000), timeout=20)
                assert messages, f"{len(found)} of {end} records came"
                found += messages
            return found
        finally:
            consumer.close()


@pytest.fixture(scope="session")
def registry() -> Registry:
    return discover().registry


@pytest.fixture(scope="session")
def kafka(kafka_broker: KafkaBroker, registry: Registry) -> Harness:
    """A harness around the broker that all tests share."""
    return Harness(kafka_broker, registry)


@pytest.fixture(scope="session")
def coordinator(kafka: Harness) -> None:
    """The first group of a broker waits until a topic for all groups' offsets is made."""
    topic = kafka.topic()

    def answers() -> bool:
        try:
            kafka.committed("first", topic)
        except KafkaException as error:
            if error.args[0].retriable() or error.args[0].code() == KafkaError.NOT_COORDINATOR:
                return False
            raise
        return True

    wait_until(answers, 60, "a coordinator of groups")


class Reader:
    """Reads a source in a task of its own and keeps everything."""

    def __init__(self, source: Source) -> None:
        self.batches: list[Batch] = []
        self._changed = asyncio.Condition()
        self.task = asyncio.create_task(self._read(source))

    async def _read(self, source: Source) -> None:
        async for batch in source.read():
            async with self._changed:
                self.batches.append(batch)
                self._changed.notify_all()

    @property
    def values(self) -> list[Value]:
        return [value for batch in self.batches for value in batch.values]

    @property
    def failures(self) -> list[str]:
        return [str(failure) for batch in self.batches for failure in batch.failures]

    async def until(self, records: int, timeout_s: float = 30.0) -> list[Value]:
        """Wait until so many records, failures included, have come; give all values so far."""

        def enough() -> bool:
            return sum(batch.source_records for batch in self.batches) >= records

        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(enough)
        return self.values

    async def end(self, timeout_s: float = 10.0) -> list[Value]:
        """Wait until the source has ended; give all values."""
        async with asyncio.timeout(timeout_s):
            await self.task
        return self.values


@pytest.fixture(scope="session")
def reading() -> type[Reader]:
    """`reading(source)` begins to read a started source."""
    return Reader


@pytest.fixture
async def clean(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """After the test no task is left, and neither asyncio nor aiokafka complained."""
    yield
    # A cancelled task needs a turn of the loop to end.
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in left if "fixture" not in repr(task)], left
    complaints = [
        record.getMessage()
        for record in (*caplog.get_records("call"), *caplog.get_records("teardown"))
        if record.levelno >= logging.ERROR
    ]
    assert not complaints


@pytest.fixture(scope="module")
def fragile(request: pytest.FixtureRequest, registry: Registry) -> Iterator[Harness]:
    """A harness around a broker that may be killed and frozen."""
    request.getfixturevalue("kafka_broker")  # where Kafka cannot run this says so
    with KafkaBroker() as broker:
        yield Harness(broker, registry)
