"""The far ends around the product: a broker, a device with one of everything, and who listens."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import tango
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from devservices.kafka import KafkaBroker
from devservices.tango import TangoDatabase, TangoDeviceServer

__all__ = ("ROOT", "World", "everything_server")

ROOT = Path(__file__).parents[2]


def everything_server(database: TangoDatabase) -> TangoDeviceServer:
    """The device with one of everything, not yet started; it may be written NaN and infinities.

    Tango asks the database whether attributes may be written these; by itself it refuses them.
    """
    database.client.put_property("CtrlSystem", {"WAttrNaNAllowed": ["true"]})
    return TangoDeviceServer(
        [sys.executable, "-m", "tests.matrix.everything"],
        "Everything",
        "matrix",
        "Everything",
        ["test/everything/1"],
        database=database,
        environment={"PYTHONPATH": str(ROOT)},
    )


class World:
    """Writes messages and pushes attributes; gathers what arrives, by channel.

    A channel is `topic:NAME`, `attribute:NAME` (of the connector's device) or `remote:NAME` (of
    the device with one of everything).
    """

    def __init__(self, broker: KafkaBroker, everything: TangoDeviceServer) -> None:
        self.broker = broker
        self.everything = everything
        self._received: defaultdict[str, list[Any]] = defaultdict(list)
        self._lock = threading.Lock()
        self._topics: set[str] = set()
        self._positions: dict[str, int] = {}
        self._producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5})
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker.bootstrap,
                "group.id": "matrix",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
            }
        )
        self._subscriptions: list[tuple[tango.DeviceProxy, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unsubscribe()
        self._consumer.close()

    def received(self, channel: str) -> list[Any]:
        """What has arrived so far, in order."""
        with self._lock:
            return list(self._received[channel])

    def clear(self) -> None:
        """Forget what has arrived."""
        with self._lock:
            self._received.clear()

    @property
    def count(self) -> int:
        """How much has arrived, to see whether anything still does."""
        with self._lock:
            return sum(map(len, self._received.values()))

    def _add(self, channel: str, found: Any) -> None:
        with self._lock:
            self._received[channel].append(found)

    def use_topics(self, read: Iterable[str], written: Iterable[str]) -> None:
        """Make the topics that are not there; listen to those that are `read`."""
        new = {*read, *written} - self._topics
        if new:
            admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
            made = admin.create_topics([NewTopic(topic, 1, 1) for topic in sorted(new)])
            for future in made.values():
                future.result()
            self._topics |= new
        self._consumer.assign(
            [TopicPartition(topic, 0, self._positions.get(topic, 0)) for topic in sorted(read)]
        )

    def poll(self) -> None:
        """Gather the messages that have come."""
        for message in self._consumer.consume(1000, timeout=0.05):
            topic, offset = message.topic(), message.offset()
            if message.error() is None and topic is not None and offset is not None:
                self._positions[topic] = offset + 1
                self._add(f"topic:{topic}", message.value())

    def produce(self, topic: str, messages: Iterable[bytes]) -> None:
        """Hand messages over to be written; `flush` waits.

        Each has a time stamp of its own, as measurements have: around a subscription an attribute's
        event of the same value and time as the one before counts as a repeated delivery.
        """
        now_ms = time.time_ns() // 1_000_000
        for index, message in enumerate(messages):
            self._producer.produce(topic, message, timestamp=now_ms + index)
            self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(30) == 0

    def subscribe(self, proxy: tango.DeviceProxy, channel: str) -> None:
        """Gather the change events of the attribute of a channel; the first one comes at once."""
        attribute = channel.partition(":")[2]

        def hear(event: tango.EventData) -> None:
            self._add(channel, event.errors[0].desc if event.err else event.attr_value.value)

        identity = proxy.subscribe_event(
            attribute, tango.EventType.CHANGE_EVENT, hear, sub_mode=tango.EventSubMode.SyncRead
        )
        self._subscriptions.append((proxy, identity))

    def unsubscribe(self) -> None:
        """End all subscriptions."""
        while self._subscriptions:
            proxy, identity = self._subscriptions.pop()
            with contextlib.suppress(tango.DevFailed):
                proxy.unsubscribe_event(identity)
