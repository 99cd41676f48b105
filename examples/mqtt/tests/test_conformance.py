"""The plugin keeps to the contract of components, proven by the kit on a real Mosquitto."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devservices.mosquitto import MosquittoServer
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

from .around import Around
from .cable import Cable

HELD = 100
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128", "datetime64[ns]", "U8"),
    *("str", "bytes", "object"),
)


class Topic(SourceHarness):
    """A topic to which a foreign client publishes, and the way there, which can be cut."""

    def __init__(self, topic: str, around: Around, cable: Cable, **options: Any) -> None:
        self._topic = topic
        self._around = around
        self._cable = cable
        self._options = options

    @property
    def descriptor(self) -> dict[str, Any]:
        here = {"host": "127.0.0.1", "port": self._cable.port, "topic_filter": f"{self._topic}/#"}
        return here | {"receive_maximum": HELD} | self._options

    async def put_external(self, values: Sequence[Value]) -> None:
        payloads = [json.dumps(value).encode() for value in values]
        await asyncio.to_thread(self._around.publish_all, f"{self._topic}/n", payloads)

    async def put_unusable(self) -> None:
        await asyncio.to_thread(self._around.publish_all, f"{self._topic}/n", [b"no number"])

    async def interrupt(self) -> None:
        await asyncio.to_thread(self._cable.cut)


class TestMqttSource(SourceSuite):
    component = "MqttSource"
    capabilities = Capabilities(
        guarantee=Guarantee.AT_MOST_ONCE,
        stored=False,
        refuses=True,
        proves_life=True,
        max_held=HELD,
    )

    @pytest.fixture
    def harness(self, topic: str, around: Around, cable: Cable) -> SourceHarness:
        return Topic(topic, around, cable)


class TestMqttSourceWithSession(SourceSuite):
    """The same with a session: nothing is lost, whatever is cut."""

    component = "MqttSource"
    capabilities = Capabilities(
        acknowledges=True, refuses=True, interruptible=True, proves_life=True, max_held=HELD
    )

    @pytest.fixture
    def harness(
        self, topic: str, around: Around, cable: Cable, mosquitto: MosquittoServer
    ) -> SourceHarness:
        begin_session(mosquitto, topic)
        return Topic(topic, around, cable, client_id=topic, session_expiry_s=60)


def begin_session(server: MosquittoServer, topic: str) -> None:
    """Let the broker keep messages for a client of that name, as an earlier run of it would."""
    client = Client(CallbackAPIVersion.VERSION2, topic, protocol=MQTTProtocolVersion.MQTTv5)
    session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    session.SessionExpiryInterval = 60

    def subscribe(*_: Any) -> None:
        client.subscribe(f"{topic}/#", 1)

    def leave(*_: Any) -> None:
        client.disconnect()

    client.on_connect, client.on_subscribe = subscribe, leave
    client.connect(server.host, server.port, clean_start=False, properties=session)
    client.loop_forever()


class Heard(SinkHarness):
    """What a foreign client hears of a topic."""

    def __init__(self, topic: str, around: Around, cable: Cable) -> None:
        self._topic = topic
        self._around = around
        self._cable = cable
        self._heard: list[Value] = []

    @property
    def descriptor(self) -> dict[str, Any]:
        here = {"host": "127.0.0.1", "port": self._cable.port, "topic": f"{self._topic}/out"}
        return here | {"encoding": "ascii"}

    async def take_external(self) -> Sequence[Value]:
        return await asyncio.to_thread(self._take)

    def _take(self) -> Sequence[Value]:
        # The broker passes on in order: behind this one nothing is missing.
        self._around.publish(f"{self._topic}/mark", "mark")
        while (seen := self._around.seen.get(timeout=10)).payload != b"mark":
            self._heard.append(seen.payload.decode())
        return list(self._heard)

    def unusable(self) -> Value:
        return "äöü is no ASCII"

    async def interrupt(self) -> None:
        await asyncio.to_thread(self._cable.cut)


class TestMqttSink(SinkSuite):
    component = "MqttSink"
    dtype = "str"
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE, refuses=True, interruptible=True)

    @pytest.fixture
    def harness(self, topic: str, around: Around, cable: Cable) -> SinkHarness:
        return Heard(topic, around, cable)


class TestMqttSourceDescriptor(DescriptorSuite):
    component = "MqttSource"
    kind = ComponentKind.SOURCE
    capabilities = Capabilities(dtypes=DTYPES)
    example: ClassVar[Mapping[str, Any]] = {
        "host": "broker.example",
        "tls": {"ca_file": "ca.pem"},
        "user": "connector",
        "password_env": "MQTT_PASSWORD",
        "topic_filter": ["site/+/az", "site/+/el"],
        "client_id": "connector-1",
        "session_expiry_s": 3600,
        "key_level": 1,
    }


class TestMqttSinkDescriptor(DescriptorSuite):
    component = "MqttSink"
    kind = ComponentKind.SINK
    capabilities = Capabilities(dtypes=DTYPES)
    example: ClassVar[Mapping[str, Any]] = {
        "host": "broker.example",
        "topic": "site/{key}/az",
        "qos": 2,
        "retain": True,
        "headers": "provenance",
        "will": {"topic": "site/connector", "payload": "gone"},
    }
