"""The Kafka broker of a run: one's own, Apache Kafka, or an embedded one where that cannot run."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from devservices.embedded import EmbeddedBroker
from devservices.errors import ServiceFailed, ServiceUnavailable
from devservices.kafka import KafkaBroker
from devservices.kafka_admin import KafkaAdmin

__all__ = ("Broker", "start_broker")


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers, with what the user may want to know of it."""

    address: str
    """``host:port``."""
    description: str
    reason: str
    """Why this one was taken."""
    create_topic: Callable[[str], None]
    """Makes a topic of one partition; one that exists is left as it is."""


def start_broker(stack: ExitStack, own: str | None) -> Broker:
    """Return ``own`` if given, else start a broker that ends with ``stack``.

    Raises ServiceFailed when the broker does not start, or ``own`` does not answer.
    """
    if own is not None:
        return _own_broker(own)
    try:
        name = KafkaBroker.check()
        kafka = stack.enter_context(KafkaBroker())
    except ServiceUnavailable as missing:
        embedded = stack.enter_context(EmbeddedBroker())
        reason = f"embedded, because Apache Kafka cannot run here: {missing.reason}"
        return Broker(embedded.bootstrap, EmbeddedBroker.check(), reason, embedded.create_topic)
    return Broker(
        kafka.bootstrap, name, "started, because Java and Maven are here", kafka.create_topic
    )


def _own_broker(address: str) -> Broker:
    admin = KafkaAdmin(address)
    if not admin.answers():
        raise ServiceFailed(f"--kafka {address}: no Kafka broker answers there")

    def create_topic(name: str) -> None:
        if not admin.partitions(name):
            admin.create_topic(name)

    return Broker(address, address, "yours, as asked for with --kafka", create_topic)
