"""The embedded broker serves aiokafka, the client of the product, and the foreign kcat."""

from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import KafkaException

from devservices import kcat
from devservices.embedded import AUTOMATIC_PARTITIONS, EmbeddedBroker

VALUES = [str(number).encode() for number in range(1000)]


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker
    assert not broker.is_running


async def write(broker: EmbeddedBroker, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for value in VALUES:
            await producer.send(topic, value)


@pytest.mark.parametrize("group", [None, "readers"])
async def test_aiokafka_reads_what_it_wrote_in_order(
    broker: EmbeddedBroker, group: str | None
) -> None:
    broker.create_topic("numbers", partitions=1)
    await write(broker, "numbers")
    consumer = AIOKafkaConsumer(
        "numbers",
        bootstrap_servers=broker.bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=5,
    )
    async with consumer:
        read = [(await consumer.getone()).value for _ in VALUES]
    assert read == VALUES


def test_topics_have_the_partitions_asked_for(broker: EmbeddedBroker) -> None:
    broker.create_topic("two", partitions=2)
    assert broker.admin.partitions("two") == 2
    with pytest.raises(KafkaException, match="TOPIC_ALREADY_EXISTS"):
        broker.create_topic("two")


def test_kcat_writes_and_reads_a_topic_made_by_its_use(broker: EmbeddedBroker) -> None:
    kcat.produce(broker.bootstrap, "automatic", b"hello")
    assert kcat.consume(broker.bootstrap, "automatic", 1) == [b"hello"]
    assert broker.admin.partitions("automatic") == AUTOMATIC_PARTITIONS


def test_a_restart_begins_empty(broker: EmbeddedBroker) -> None:
    broker.create_topic("gone")
    broker.kill()
    broker.start()
    assert broker.admin.partitions("gone") == 0
    broker.create_topic("gone")
    assert broker.admin.partitions("gone") == 1


def test_the_address_is_not_known_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="was not started"):
        _ = EmbeddedBroker().bootstrap
