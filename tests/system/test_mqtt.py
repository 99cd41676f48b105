"""A third party's plugin in the device: Tango and Kafka to MQTT, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from devservices.kafka import KafkaBroker
from devservices.mosquitto import MosquittoServer
from devservices.process import wait_until
from examples.mqtt.tests.around import Around
from tests.tango.conftest import Publisher

from .conftest import Connector
from .test_provenance import BEGAN_S, QUALITIES, Seen, local

ATTRIBUTE = "DevDouble_scalar"


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    """A device that pushes what it is told."""
    with Publisher() as publisher:
        yield publisher


@pytest.fixture
def broker(mosquitto: MosquittoServer) -> dict[str, Any]:
    return {"host": mosquitto.host, "port": mosquitto.port}


def test_value_time_and_quality_go_from_tango_to_mqtt_and_back(
    publisher: Publisher,
    start_connector: Callable[..., Connector],
    broker: dict[str, Any],
    topics: Iterator[str],
) -> None:
    topic = next(topics)
    connector = start_connector()
    to_mqtt = {"type": "MqttSink", "topic": topic, "headers": "provenance"} | broker
    from_mqtt = {"type": "MqttSource", "topic_filter": topic} | broker
    connector.stream(
        {"dtype": "float64", "source": publisher.options(ATTRIBUTE), "sink": to_mqtt},
        {"dtype": "float64", "source": from_mqtt, "sink": local("came_back")},
    )

    def push(value: float, quality: str, time_us: int) -> None:
        order = {
            "name": ATTRIBUTE,
            "values": [value],
            "quality": quality,
            "time": BEGAN_S + time_us / 1e6,
        }  # fmt: skip
        publisher.proxy().Publish(json.dumps(order).encode())

    def is_back() -> bool:
        return Seen.of(connector.proxy(), "came_back") == Seen.of(publisher.proxy(), ATTRIBUTE)

    def first() -> bool:
        # Tango confirms a subscription before ZeroMQ has passed it on to the device.
        push(0.0, "VALID", 100_123)
        try:
            wait_until(is_back, 2, "the first value")
        except TimeoutError:
            return False
        return True

    wait_until(first, 30, "the first value")
    for number, quality in enumerate(QUALITIES, 1):
        push(number / 4, quality, 100_123 + 111_111 * number)
        wait_until(is_back, 15, f"{number / 4} {quality}")


def test_kafka_and_mqtt_exchange_keys_headers_and_values(
    start_connector: Callable[..., Connector],
    kafka_broker: KafkaBroker,
    mosquitto: MosquittoServer,
    broker: dict[str, Any],
    topics: Iterator[str],
) -> None:
    here, there, level = next(topics), next(topics), next(topics)
    for topic in (here, there):
        kafka_broker.create_topic(topic)
    kafka = {"servers": kafka_broker.bootstrap, "encoding": "json"}
    connector = start_connector()
    connector.stream(
        {
            "dtype": "int64",
            "shape": [3],
            "source": {"type": "KafkaConsumerSource", "topic": here} | kafka,
            "sink": {"type": "MqttSink", "topic": f"{level}/{{key}}/out", "headers": "record"}
            | broker,
        },
        {
            "dtype": "int64",
            "shape": [3],
            "source": {"type": "MqttSource", "topic_filter": f"{level}/+/out", "key_level": 1}
            | broker,
            "sink": {
                "type": "KafkaProducerSink", "topic": there, "key": "record",
                "headers": "provenance",
            } | kafka,
        },
    )  # fmt: skip
    sent = {b"ska001": [1, 2, 3], b"ska002": [-(2**62), 0, 2**62]}
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap})
    with Around(mosquitto.port, f"{level}/#") as around:
        for key, value in sent.items():
            producer.produce(here, json.dumps(value), key, headers=[("trace", key)])
        assert producer.flush(20) == 0
        seen = {message.topic: message for message in around.take(2)}

    for key, value in sent.items():
        message = seen[f"{level}/{key.decode()}/out"]
        assert json.loads(message.payload) == value
        assert message.properties == (("trace", key.decode()),)
    assert consumed(kafka_broker, there, 2) == {
        key: (value, f"mqtt://127.0.0.1:{mosquitto.port}/{level}/{key.decode()}/out")
        for key, value in sent.items()
    }


def consumed(broker: KafkaBroker, topic: str, count: int) -> dict[bytes, tuple[list[int], str]]:
    """Values and sources by key, as a client that is not ours finds them."""
    options = {
        "bootstrap.servers": broker.bootstrap,
        "group.id": "mqtt",
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(options)
    try:
        consumer.subscribe([topic])
        found: dict[bytes, tuple[list[int], str]] = {}
        for message in consumer.consume(count, timeout=30):
            headers: dict[str, bytes] = dict(message.headers() or [])  # type: ignore[arg-type]
            key, value = message.key(), message.value()
            assert isinstance(key, bytes)
            assert value is not None
            found[key] = json.loads(value), headers["ce_source"].decode()
        return found
    finally:
        consumer.close()
