"""What the page on security shows is executed, on a broker that grants what it says, no more."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from devservices.kafka import KafkaBroker
from devservices.kafka_secure import SecureKafkaBroker
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.states import State
from queueconnector_core.structure import structure_as
from queueconnector_sdp.connection import Connection
from queueconnector_sdp.descriptors import EtcdConfigSourceDescriptor
from tests.docs.pages import blocks

PAGE = "docs/how-to/secure.md"
SECRET = "of the page"  # noqa: S105 - of a broker of this test
RIGHT = re.compile(r"--add --allow-principal User:(\w+) --operation (\w+) --topic (\S+)")


@pytest.fixture(scope="module")
def broker(kafka_broker: KafkaBroker) -> Iterator[SecureKafkaBroker]:  # noqa: ARG001
    """A broker with the topics, the user and the rights of the page."""
    with SecureKafkaBroker({"connector": SECRET}) as broker:
        for topic in ("pointing", "pointing-copy"):
            broker.create_topic(topic)
        (commands,) = blocks(PAGE, "sh")
        rights = RIGHT.findall(commands)
        assert len(rights) == len(commands.splitlines()) == 2
        for user, operation, topic in rights:
            broker.admin.allow(user, operation.upper(), "TOPIC", topic)
        yield broker


@pytest.fixture
def here(tmp_path: Path, broker: SecureKafkaBroker, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The JSON of the page, with the addresses and files of this machine."""
    own = broker.authority.issue("connector", pass_phrase=SECRET)
    monkeypatch.setenv("KAFKA_KEY_PASSWORD", SECRET)
    (tmp_path / "secret").write_text(SECRET + "\n")
    places = {
        "kafka.example:9093": broker.address("SASL_SSL"),
        "kafka.example:9094": broker.address("SSL"),
        "/etc/queueconnector/ca.pem": str(broker.authority.ca),
        "/etc/queueconnector/connector.pem": str(own.cert),
        "/etc/queueconnector/connector.key": str(own.key),
        "/run/secrets/kafka": str(tmp_path / "secret"),
        "/run/secrets/etcd": str(tmp_path / "secret"),
    }
    found = blocks(PAGE, "json")
    for place, own_place in places.items():
        assert any(place in text for text in found)
        found = [text.replace(place, own_place) for text in found]
    return found


async def test_the_configuration_copies_with_the_rights_of_the_page(
    broker: SecureKafkaBroker, here: list[str]
) -> None:
    connector = Connector(discover().registry)
    await connector.configure(here[0], start=True)
    async with asyncio.timeout(30):
        while connector.state is not State.ON:
            assert connector.state is not State.FAULT, connector.status_text()
            await asyncio.sleep(0.02)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce("pointing", b"'west'")
    producer.flush(10)
    consumer = Consumer(
        {"bootstrap.servers": broker.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["pointing-copy"])
    message = await asyncio.to_thread(consumer.poll, 20)
    await asyncio.to_thread(consumer.close)
    await connector.shut_down()
    assert message is not None
    assert message.value() == b"'west'"


def test_the_configuration_source_is_one(here: list[str]) -> None:
    document = json.loads(here[1])
    assert document.pop("type") == "EtcdConfigSource"
    descriptor = structure_as(document, EtcdConfigSourceDescriptor, discover().registry)
    descriptor.check()
    connection = Connection.of(descriptor)
    assert connection.tls() is not None
    assert connection.password() == SECRET
