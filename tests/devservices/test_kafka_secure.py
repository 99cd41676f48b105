"""A broker that lets in who may: by password, by certificate, and for what was granted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from devservices.certificates import Authority
from devservices.kafka import KafkaBroker
from devservices.kafka_admin import KafkaAdmin
from devservices.kafka_secure import SCRAM, SecureKafkaBroker
from devservices.process import wait_until

PASSWORD = "open sesame"  # noqa: S105 - of a broker of this test
WRONG = "open wheat"


@pytest.fixture(scope="module")
def broker(
    kafka_broker: KafkaBroker,  # noqa: ARG001 - where Kafka cannot run this says so
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SecureKafkaBroker]:
    other = Authority(tmp_path_factory.mktemp("certificates")).issue("stranger")
    with SecureKafkaBroker({"alice": PASSWORD}, certificates={"OTHER": other}) as broker:
        broker.create_topic("letters")
        broker.admin.allow("alice", "WRITE", "TOPIC", "letters")
        yield broker


def login(broker: SecureKafkaBroker, mechanism: str, **others: str) -> dict[str, Any]:
    """How librdkafka logs in."""
    settings = {
        "bootstrap.servers": broker.address(),
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(broker.authority.ca),
        "sasl.mechanism": mechanism,
        "sasl.username": "alice",
        "sasl.password": PASSWORD,
        "log_level": 0,
    }
    return settings | {name.replace("_", "."): value for name, value in others.items()}


def delivery(settings: dict[str, Any]) -> KafkaError | None:
    """What becomes of a message."""
    told: list[KafkaError | None] = []
    producer = Producer({**settings, "message.timeout.ms": 2000})
    producer.produce("letters", b"a", on_delivery=lambda error, _: told.append(error))
    assert producer.flush(10) == 0
    return told[0]


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
def test_the_password_opens_and_no_other(broker: SecureKafkaBroker, mechanism: str) -> None:
    assert delivery(login(broker, mechanism)) is None
    assert delivery(login(broker, mechanism, sasl_password=WRONG)) is not None


def test_a_password_is_changed(broker: SecureKafkaBroker) -> None:
    broker.admin.set_password("bob", "first")
    broker.admin.allow("bob", "WRITE", "TOPIC", "letters")
    broker.admin.set_password("bob", "second")
    bob = login(broker, "SCRAM-SHA-256", sasl_username="bob")
    assert delivery({**bob, "sasl.password": "second"}) is None
    assert delivery({**bob, "sasl.password": "first"}) is not None


def test_a_certificate_opens_too(broker: SecureKafkaBroker) -> None:
    carol = broker.authority.issue("carol", pass_phrase=PASSWORD)
    broker.admin.allow("carol", "WRITE", "TOPIC", "letters")
    settings = {
        "bootstrap.servers": broker.address("SSL"),
        "security.protocol": "SSL",
        "ssl.ca.location": str(broker.authority.ca),
        "log_level": 0,
    }
    own = {"ssl.certificate.location": str(carol.cert), "ssl.key.location": str(carol.key)}
    assert delivery({**settings, **own, "ssl.key.password": PASSWORD}) is None
    assert delivery(settings) is not None


def test_what_is_not_granted_is_refused_and_so_is_what_was_revoked(
    broker: SecureKafkaBroker,
) -> None:
    alice = login(broker, "PLAIN")
    consumer = Consumer({**alice, "group.id": "none"})
    consumer.assign([TopicPartition("letters", 0, 0)])

    def the_topic_is_refused() -> bool:
        # Its group is refused too, before or after.
        message = consumer.poll(1)
        error = None if message is None else message.error()
        return error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED

    wait_until(the_topic_is_refused, 10, "the refusal of the topic")
    consumer.close()
    broker.admin.revoke("alice", "WRITE", "TOPIC", "letters")
    assert delivery(alice) is not None
    broker.admin.allow("alice", "WRITE", "TOPIC", "letters")
    with pytest.raises(LookupError, match="user 'alice' has no right READ on TOPIC 'letters'"):
        broker.admin.revoke("alice", "READ", "TOPIC", "letters")


def test_a_listener_may_have_another_certificate(broker: SecureKafkaBroker) -> None:
    settings = login(broker, "PLAIN", bootstrap_servers=broker.address("OTHER"))
    assert not KafkaAdmin(broker.address("OTHER"), settings).answers()
    trusting = {**settings, "enable.ssl.certificate.verification": False}
    assert KafkaAdmin(broker.address("OTHER"), trusting).answers()
