"""Where the records of a kill test come from and go to: files, and topics of a real Kafka."""

from __future__ import annotations

import base64
import uuid
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from tests.chaos.ledger import KEYS, Lanes, key_of, number_in, value_of
from tests.kafka.clients import chosen

PARTITIONS = 5


class Feed(Protocol):
    """A source of the connector that this process feeds."""

    commit_interval_s: float
    """How often the connector keeps what was delivered."""

    @property
    def source(self) -> dict[str, Any]:
        """Its configuration."""

    def lane_of(self, key: int) -> int:
        """Where the source promises order among records, by the number of their key."""

    def send(self, first: int, after: int) -> None:
        """Add the records from `first` to before `after`."""


class Outlet(Protocol):
    """A sink of the connector that this process looks into."""

    keeps_lanes: bool
    """Whether it keeps the order of whole lanes of the feed, or of each key only."""

    @property
    def sink(self) -> dict[str, Any]:
        """Its configuration."""

    def count(self) -> int:
        """How many records were delivered so far, duplicates included."""

    def numbers(self) -> list[list[int]]:
        """The numbers of all that was delivered, in order, in as many lists as have an order."""


class FileFeed:
    """A file that grows."""

    commit_interval_s = 0.1

    def __init__(self, folder: Path) -> None:
        self._path = folder / "feed.jsonl"
        self._path.touch()
        self._checkpoint = folder / "feed.checkpoint"

    @property
    def source(self) -> dict[str, Any]:
        return {
            "type": "FileSource",
            "path": str(self._path),
            "follow": True,
            "checkpoint": str(self._checkpoint),
        }

    def lane_of(self, key: int) -> int:
        return 0

    def send(self, first: int, after: int) -> None:
        line = '{"value":"%s","key":"%s"}\n'
        numbers = range(first, after)
        lines = [line % (value_of(n).decode(), key_of(n).decode()) for n in numbers]
        with self._path.open("a") as file:
            file.writelines(lines)


class FileOutlet:
    """A file of records."""

    keeps_lanes = True

    def __init__(self, folder: Path) -> None:
        self._path = folder / "out.jsonl"
        self._counted = 0
        self._offset = 0

    @property
    def sink(self) -> dict[str, Any]:
        return {"type": "FileSink", "path": str(self._path)}

    def count(self) -> int:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                lines, end, _ = file.read().rpartition(b"\n")
            self._counted += lines.count(b"\n") + len(end)
            self._offset += len(lines) + len(end)
        return self._counted

    def numbers(self) -> list[list[int]]:
        decode = msgspec.json.Decoder(_Line).decode
        with self._path.open("rb") as file:
            return [[number_in(decode(line).octets) for line in file]]


class _Line(msgspec.Struct):
    value: str | dict[str, str]

    @property
    def octets(self) -> bytes:
        if isinstance(self.value, str):
            return self.value.encode()
        return base64.b64decode(self.value["base64"])


class KafkaFeed:
    """A topic of several partitions, read by a consumer group of one static member."""

    commit_interval_s = 0.2

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        self._topic = f"feed-{uuid.uuid4().hex[:8]}"
        broker.create_topic(self._topic, PARTITIONS)
        self._producer = Producer(
            {
                "bootstrap.servers": broker.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "log_level": 0,
            }
        )

    @property
    def source(self) -> dict[str, Any]:
        return {
            "type": "KafkaConsumerSource",
            "client": chosen(),
            "servers": self._broker.bootstrap,
            "topic": self._topic,
            "group_id": self._topic,
            "group_instance_id": "the-only-one",
            "commit_interval_s": self.commit_interval_s,
            "start": "earliest",
        }

    def lane_of(self, key: int) -> int:
        return key % PARTITIONS

    def send(self, first: int, after: int) -> None:
        for number in range(first, after):
            partition = self.lane_of(number % KEYS)
            self._producer.produce(
                self._topic, value_of(number), key=key_of(number), partition=partition
            )
            self._producer.poll(0)
        assert self._producer.flush(60) == 0


class KafkaOutlet:
    """A topic of several partitions; the key of a record says which."""

    keeps_lanes = False

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        self._topic = f"out-{uuid.uuid4().hex[:8]}"
        broker.create_topic(self._topic, PARTITIONS)
        options = {"bootstrap.servers": broker.bootstrap, "group.id": "chaos", "log_level": "0"}
        self._consumer = Consumer(options | {"enable.auto.commit": "false"})

    @property
    def sink(self) -> dict[str, Any]:
        return {
            "type": "KafkaProducerSink",
            "client": chosen(),
            "servers": self._broker.bootstrap,
            "topic": self._topic,
            "key": "record",
        }

    def _ends(self) -> list[int]:
        places = [TopicPartition(self._topic, n) for n in range(PARTITIONS)]
        return [wait_until(partial(self._end, place), 20, "a leader")[0] for place in places]

    def _end(self, place: TopicPartition) -> tuple[int, ...]:
        try:
            return (self._consumer.get_watermark_offsets(place, timeout=20)[1],)
        except KafkaException:
            return ()  # A topic that was made just now may have no leader yet.

    def count(self) -> int:
        return sum(self._ends())

    def numbers(self) -> list[list[int]]:
        return [self._numbers(partition, end) for partition, end in enumerate(self._ends())]

    def _numbers(self, partition: int, end: int) -> list[int]:
        self._consumer.assign([TopicPartition(self._topic, partition, 0)])
        numbers: list[int] = []
        while len(numbers) < end:
            messages = self._consumer.consume(min(end - len(numbers), 10_000), timeout=20)
            assert messages, f"{len(numbers)} of {end} records came"
            numbers += [number_in(message.value() or b"") for message in messages]
        # Else its fetches, which wait at the broker, are in the way of every question.
        self._consumer.unassign()
        return numbers


def lanes_of(feed: Feed, outlet: Outlet) -> Lanes:
    """What was delivered, lane by lane."""
    lanes: defaultdict[int, list[int]] = defaultdict(list)
    for numbers in outlet.numbers():
        for number in numbers:
            lanes[lane_of(feed, outlet, number % KEYS)].append(number)
    return {lane: np.array(numbers) for lane, numbers in lanes.items()}


def lane_of(feed: Feed, outlet: Outlet, key: int) -> int:
    """The lane of a key between these two ends."""
    return feed.lane_of(key) if outlet.keeps_lanes else key
