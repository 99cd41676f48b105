"""The Kafka ends keep the contract of components, with a real broker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from devservices.kafka import KafkaBroker
from queueconnector_core.component import ComponentKind, Guarantee
from queueconnector_core.record import Value
from queueconnector_core.testing import (
    Capabilities,
    DescriptorSuite,
    SinkHarness,
    SinkSuite,
    SourceHarness,
    SourceSuite,
)
from queueconnector_core.testing.suite import installed
from tests.kafka.conftest import Harness


class Topic:
    """A topic of its own, written and read with a client that is not ours."""

    def __init__(self, broker: KafkaBroker) -> None:
        self.kafka = Harness(broker, installed())
        self.topic = self.kafka.topic()

    def options(self, name: str, **more: Any) -> dict[str, Any]:
        servers = self.kafka.broker.bootstrap
        far = {"servers": servers, "topic": self.topic, "client": self.kafka.client}
        return {"type": name, "encoding": "json", **far, **more}


class Produced(SourceHarness):
    """What a source reads."""

    def __init__(self, broker: KafkaBroker, **options: Any) -> None:
        self.far = Topic(broker)
        self.more = options

    @property
    def descriptor(self) -> dict[str, Any]:
        return self.far.options("KafkaConsumerSource", **self.more)

    async def put_external(self, values: Sequence[Value]) -> None:
        octets = [str(value).encode() for value in values]
        await asyncio.to_thread(self.far.kafka.produce, self.far.topic, *octets)

    async def put_unusable(self) -> None:
        await asyncio.to_thread(self.far.kafka.produce, self.far.topic, b"no number")


class Consumed(SinkHarness):
    """What a sink has written."""

    def __init__(self, broker: KafkaBroker) -> None:
        self.far = Topic(broker)

    @property
    def descriptor(self) -> dict[str, Any]:
        return self.far.options("KafkaProducerSink")

    async def take_external(self) -> Sequence[Value]:
        found = await asyncio.to_thread(self.far.kafka.contents, self.far.topic)
        return [int(octets) for octets in found]

    def unusable(self) -> Value:
        return "no number"


class TestKafkaConsumerSource(SourceSuite):
    """Without a group: what comes from its start on."""

    component = "KafkaConsumerSource"
    dtype = "int64"
    # What its client fetches ahead is bounded in octets.
    capabilities = Capabilities(stored=False, refuses=True, proves_life=True, max_held=None)

    @pytest.fixture
    def harness(self, kafka_broker: KafkaBroker) -> SourceHarness:
        return Produced(kafka_broker)


class TestKafkaConsumerSourceOfAGroup(SourceSuite):
    """With a group: everything, at least once."""

    component = "KafkaConsumerSource"
    dtype = "int64"
    capabilities = Capabilities(acknowledges=True, refuses=True, proves_life=True, max_held=None)

    @pytest.fixture
    def harness(self, kafka_broker: KafkaBroker) -> SourceHarness:
        return Produced(kafka_broker, group_id=uuid.uuid4().hex, start="earliest")


class TestKafkaProducerSink(SinkSuite):
    component = "KafkaProducerSink"
    dtype = "int64"
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE, refuses=True)

    @pytest.fixture
    def harness(self, kafka_broker: KafkaBroker) -> SinkHarness:
        return Consumed(kafka_broker)


EXAMPLE: dict[str, Any] = {"servers": ["localhost:9092"], "topic": "pointings", "encoding": "json"}


class TestKafkaConsumerSourceDescriptor(DescriptorSuite):
    component = "KafkaConsumerSource"
    kind = ComponentKind.SOURCE
    example: ClassVar = EXAMPLE | {"group_id": "archive"}
    may_import = ("jmespath",)


class TestKafkaProducerSinkDescriptor(DescriptorSuite):
    component = "KafkaProducerSink"
    kind = ComponentKind.SINK
    example: ClassVar = EXAMPLE
    may_import = ("jmespath",)
