"""What is known of a value is the same after each hop: time, quality, origin.

The chain: a Tango device -> topic A -> an attribute, and topic A -> topic B -> an attribute.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import attrs
import pytest
import tango
from confluent_kafka import Consumer, Message, TopicPartition

from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.plan import read_plan
from queueconnector_core.provenance import time_text
from tests.tango.conftest import Publisher

from .conftest import Connector

ATTRIBUTE = "DevDouble_scalar"
QUALITIES = ("VALID", "INVALID", "ALARM", "CHANGING", "WARNING")
BEGAN_S = 1718634689
FIRST_US = 200_123


@attrs.frozen
class Seen:
    """One reading of an attribute."""

    value: float | str | None
    time_us: int
    quality: str

    @classmethod
    def of(cls, proxy: tango.DeviceProxy, name: str) -> Seen:
        """What a plain proxy reads; NaN, which equals nothing, as text."""
        found = proxy.read_attribute(name)
        value = found.value
        if value is not None and math.isnan(value):
            value = "NaN"
        time_us = found.time.tv_sec * 1_000_000 + found.time.tv_usec
        return cls(value, time_us, found.quality.name.removeprefix("ATTR_"))


class Chain:
    """A device that pushes, the connector with all hops, and what others see of them."""

    def __init__(
        self, publisher: Publisher, connector: Connector, broker: KafkaBroker, topics: Iterator[str]
    ) -> None:
        self._publisher, self._connector, self._broker = publisher, connector, broker
        self.first, self.second = next(topics), next(topics)
        for topic in (self.first, self.second):
            broker.create_topic(topic)
        self.to_kafka = self._exchange(publisher.options(ATTRIBUTE), self._to(self.first))
        connector.stream(
            self.to_kafka,
            self._exchange(self._from(self.first), local("one_hop")),
            self._exchange(self._from(self.first), self._to(self.second)),
            self._exchange(self._from(self.second), local("two_hops")),
        )
        # Tango confirms a subscription before ZeroMQ has passed it on to the device.
        wait_until(lambda: self._has_passed(0.0, "VALID", FIRST_US), 30, "the first value")

    @staticmethod
    def _exchange(source: dict[str, Any], sink: dict[str, Any]) -> dict[str, Any]:
        return {"dtype": "float64", "source": source, "sink": sink}

    def _end(self, kind: str, topic: str) -> dict[str, Any]:
        return {
            "type": kind,
            "servers": self._broker.bootstrap,
            "topic": topic,
            "encoding": "json",
        }

    def _from(self, topic: str) -> dict[str, Any]:
        return self._end("KafkaConsumerSource", topic)

    def _to(self, topic: str) -> dict[str, Any]:
        return self._end("KafkaProducerSink", topic) | {"headers": "provenance"}

    def _has_passed(self, value: float, quality: str, time_us: int) -> bool:
        self._push(value, quality, time_us)
        try:
            wait_until(lambda: set(self.seen()) == {self.pushed()}, 2, "it on both ends")
        except TimeoutError:
            return False
        return True

    def push(self, value: float, quality: str, time_us: int) -> None:
        """Push a value once, and wait until it stands at both ends as at the device."""
        self._push(value, quality, time_us)
        wait_until(lambda: set(self.seen()) == {self.pushed()}, 15, f"{value} {quality}")

    def _push(self, value: float, quality: str, time_us: int) -> None:
        order = {
            "name": ATTRIBUTE,
            "values": [value],
            "quality": quality,
            "time": BEGAN_S + time_us / 1e6,
        }
        self._publisher.proxy().Publish(json.dumps(order).encode())

    def pushed(self) -> Seen:
        """What the device itself says."""
        return Seen.of(self._publisher.proxy(), ATTRIBUTE)

    def seen(self) -> list[Seen]:
        """What stands at the ends."""
        return [Seen.of(self._connector.proxy(), name) for name in ("one_hop", "two_hops")]

    def messages(self, topic: str) -> list[Message]:
        """All messages of a topic, for a client that is not ours."""
        options = {"bootstrap.servers": self._broker.bootstrap, "group.id": "foreign"}
        consumer = Consumer(options | {"enable.auto.commit": "false"})
        try:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
            consumer.assign([TopicPartition(topic, 0, 0)])
            found = consumer.consume(end, timeout=20)
            assert len(found) == end
            return found
        finally:
            consumer.close()


def local(name: str) -> dict[str, Any]:
    return {"type": "TangoLocalAttributeSink", "attribute_name": name}


def headers_of(message: Message) -> dict[str, str]:
    headers = cast("list[tuple[str, bytes]]", message.headers() or [])
    return {name: octets.decode() for name, octets in headers}


@pytest.fixture(scope="module")
def publisher() -> Iterator[Publisher]:
    """A device that pushes what it is told."""
    with Publisher() as publisher:
        yield publisher


@pytest.fixture
def chain(
    publisher: Publisher,
    start_connector: Callable[..., Connector],
    kafka_broker: KafkaBroker,
    topics: Iterator[str],
) -> Chain:
    return Chain(publisher, start_connector(), kafka_broker, topics)


def test_time_quality_and_origin_survive_every_hop(chain: Chain) -> None:
    for number, quality in enumerate(QUALITIES, 1):
        chain.push(number / 4, quality, FIRST_US + 111_111 * number)
    # The same value, and nothing but another time.
    chain.push(len(QUALITIES) / 4, QUALITIES[-1], 999_999)
    chain.push(math.nan, "VALID", 1_000_001)
    assert {seen.value for seen in chain.seen()} == {"NaN"}
    chain.push(0.0, "INVALID", 1_000_002)
    assert {seen.value for seen in chain.seen()} == {None}

    first, second = (chain.messages(topic) for topic in (chain.first, chain.second))
    assert first[-1].value() is None, "a value that is not there is not made up"
    assert [message.value() for message in first[-len(second) :]] == [m.value() for m in second]
    assert_headers(chain, [headers_of(message) for message in first])
    last = [headers_of(message) for message in second]
    assert last == [headers_of(message) for message in first[-len(second) :]], "of the first hop"


def assert_headers(chain: Chain, found: list[dict[str, str]]) -> None:
    """They are those that `queueconnector_core.provenance` documents."""
    (plan,) = read_plan(
        json.dumps({"exchanges": [chain.to_kafka]}), discover().registry, Services()
    ).groups["default"]
    numbers = [int(headers["ce_sequence"]) for headers in found]
    assert numbers == list(range(1, len(found) + 1))
    for headers in found:
        assert headers["ce_specversion"] == "1.0"
        assert headers["ce_source"].startswith("tango://")
        assert headers["ce_source"].lower().endswith(f"test/publisher/ska001/{ATTRIBUTE.lower()}")
        assert headers["ce_configuration"] == plan.hash
        assert headers["ce_timeorigin"] == "source"
    assert len({headers["ce_id"] for headers in found}) == len(found)
    assert {headers["ce_type"] for headers in found[1:]} == {"queueconnector.change"}
    assert {headers["ce_quality"] for headers in found} == set(QUALITIES)
    assert found[-1]["ce_time"] == time_text(1_000 * chain.pushed().time_us)
