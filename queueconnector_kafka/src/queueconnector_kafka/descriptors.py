"""What a user writes about a topic that is read or written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Annotated, Final, Literal

import attrs
from msgspec import Meta

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import OneOrMany, SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.expression import key_search
from queueconnector_core.protocols import Codec
from queueconnector_core.provenance import time_of
from queueconnector_core.registry import Registry
from queueconnector_kafka.security import SecurityOptions
from queueconnector_kafka.timestamps import TimestampOptions

__all__ = (
    "KafkaConsumerSourceDescriptor",
    "KafkaProducerSinkDescriptor",
    "TopicOptions",
    "DEFAULT_PORT",
)

DEFAULT_PORT: Final = 9092
"""The port of a server that is written without one."""

DEFAULT_ENCODING: Final = "python"
"""How values stand in messages when no encoding is given; of bytes it would be a mere label."""

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\x00-\x20,:/\[\]]+)"
_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_SERVER = rf"{_HOST}(?::{_PORT})?"
_SERVER_WITH_PORT = re.compile(rf"{_HOST}:[0-9]+")


def _separate(servers: Iterable[str]) -> list[str]:
    """The servers one by one: Kafka's own tools write several in one text, with commas."""
    return [part.strip() for server in servers for part in server.split(",")]


Server = Annotated[
    str,
    Meta(
        description="host or host:port, without a scheme; several with commas between them",
        pattern=rf"^ *{_SERVER}(?: *, *{_SERVER})* *$",
    ),
]
Servers = Annotated[
    tuple[Server, ...],
    OneOrMany(),
    Meta(
        description="The broker to ask first, or a list of them, as host or host:port (a host "
        f"alone: port {DEFAULT_PORT}). One that answers is enough: it names all the others.",
        min_length=1,
        examples=["localhost:9092"],
    ),
]
Topic = Annotated[
    str,
    Meta(
        description="The name of the topic: 1 to 249 letters (a-z, A-Z), digits, dots, underscores "
        "and hyphens; neither . nor ..",
        pattern=r"^(?:\.*[a-zA-Z0-9_-][a-zA-Z0-9._-]*|\.{3,})$",
        max_length=249,
        examples=["pointing_offset"],
    ),
]


@attrs.frozen
class TopicOptions:
    """The options that both ends share."""

    servers: Servers
    topic: Topic
    encoding: Annotated[
        str | None,
        Meta(
            description="How values stand in messages: the name of a codec, such as python, json, "
            f"msgpack_numpy, npy, carray, utf-8 or ascii; left out: {DEFAULT_ENCODING}. For dtype "
            "bytes any label, or none: the octets pass as they are. A source gives its values "
            "that label; a sink refuses values with another one, and takes every label without."
        ),
    ] = None
    security: Annotated[
        SecurityOptions | None,
        Meta(description="TLS and login; null: neither, as at a listener PLAINTEXT."),
    ] = None
    client: Annotated[
        Literal["aiokafka", "confluent"],
        Meta(
            description="The library that talks to the brokers: aiokafka, or confluent "
            "(librdkafka), which costs less CPU and needs queueconnector-kafka[confluent]. What is "
            "delivered, repeated and told is the same."
        ),
    ] = "aiokafka"

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """The servers as host:port."""
        return tuple(
            server if _SERVER_WITH_PORT.fullmatch(server) else f"{server}:{DEFAULT_PORT}"
            for server in _separate(self.servers)
        )

    @property
    def lacks_port(self) -> bool:
        """Whether the default port was assumed for a server."""
        return self.bootstrap != tuple(_separate(self.servers))

    @property
    def where(self) -> str:
        """Topic and servers, for messages."""
        return f"topic {self.topic!r} at {', '.join(self.bootstrap)}"

    def check_far_end(self) -> None:
        """Raise `ConfigError` when options of `security` clash, or the client is not installed."""
        if self.client == "confluent" and find_spec("confluent_kafka") is None:
            text = "found 'confluent', which is not installed; pip install "
            raise ConfigError.at("client", text + "'queueconnector-kafka[confluent]'")
        if self.security is not None:
            try:
                self.security.check()
            except ConfigError as error:
                raise error.under("security") from None

    def codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the messages; raises `ConfigError` when it cannot carry `spec`."""
        assumed = None if spec.is_bytes else DEFAULT_ENCODING
        return resolve_codec(self.encoding or assumed, spec, registry)


@attrs.frozen
class KafkaConsumerSourceDescriptor(TopicOptions, SourceDescriptor):
    """Reads a topic: what is written from now on, or, with a group_id, all of it at least once."""

    fetch_max_wait_ms: Annotated[
        int,
        Meta(
            description="How often a broker that has nothing new says so, in milliseconds. What is "
            "new a Kafka broker sends at once; some embedded ones only when this time is over.",
            ge=1,
            le=5000,
        ),
    ] = 500
    group_id: Annotated[
        str | None,
        Meta(
            description="The consumer group that remembers what was delivered and shares the "
            "partitions among its members: each record is delivered at least once, also over a "
            "restart of this process. null: no group; what is written while it runs is read, once.",
            min_length=1,
        ),
    ] = None
    group_instance_id: Annotated[
        str | None,
        Meta(
            description="A name of this process alone within its group: it keeps its partitions "
            "when it is back within session_timeout_s. null: a stop gives them to others at once.",
            min_length=1,
        ),
    ] = None
    session_timeout_s: Annotated[
        float,
        Meta(
            description="A member of the group that was not heard of for so long, in seconds, "
            "loses its partitions to the others. Brokers allow 6 to 1800, unless set otherwise.",
            gt=0,
            le=1800,
        ),
    ] = 10.0
    commit_interval_s: Annotated[
        float,
        Meta(
            description="How often the group is told what was delivered, in seconds. After a crash "
            "what was delivered since is delivered once more.",
            ge=0.01,
            le=60,
        ),
    ] = 1.0
    start: Annotated[
        str,
        Meta(
            description="Where reading begins: latest (what is written from now on), earliest (all "
            "that is there), or with the first record of a time in UTC, such as "
            "2026-01-31T12:00:00Z. With a group_id only where the group remembers nothing.",
            pattern=r"^(?:latest|earliest|\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?[Zz])$",
        ),
    ] = "latest"
    until: Annotated[
        Literal["never", "latest"],
        Meta(
            description="Where reading ends: never, or latest: behind what is there when it starts."
        ),
    ] = "never"
    isolation_level: Annotated[
        Literal["read_uncommitted", "read_committed"],
        Meta(
            description="Whether records of transactions are read before these are committed, and "
            "also if they are aborted."
        ),
    ] = "read_uncommitted"

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when the encoding cannot carry values of `spec`, or options clash."""
        problems = list(self._problems())
        for check in (lambda: self.codec(spec, registry), self.check_far_end):
            try:
                check()
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)

    def octets_codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the messages; raises `ConfigError` when it cannot carry `spec`."""
        return self.codec(spec, registry)

    def _problems(self) -> Iterable[Problem]:
        if self.group_instance_id is not None and self.group_id is None:
            text = "is a name within a group, and there is no group_id; add it, or leave this out"
            yield Problem("group_instance_id", text)
        if self.start not in {"latest", "earliest"} and time_of(self.start) is None:
            text = f"found {self.start!r}, which is no time (allowed: latest, earliest, a time)"
            yield Problem("start", text)


@attrs.frozen
class KafkaProducerSinkDescriptor(TopicOptions, SinkDescriptor):
    """Writes each value as one message to a topic, and waits until the brokers have it."""

    message_max_bytes: Annotated[
        int,
        Meta(
            description="The largest encoded value, in octets; a larger one is refused. Larger "
            "than the default needs a topic, or broker, that allows it (max.message.bytes).",
            ge=1,
        ),
    ] = 1048576
    timestamp_options: Annotated[
        TimestampOptions | None,
        Meta(
            description="Where the time stamp of a message stands in its value; null: it is the "
            "time of writing."
        ),
    ] = None
    acks: Annotated[
        Literal["all", 1, 0],
        Meta(
            description="Who has to store a message before it counts as delivered: all replicas in "
            "sync; 1: the partition's leader, so that it is lost with that one; 0: nobody, so that "
            "losses are not noticed."
        ),
    ] = "all"
    idempotence: Annotated[
        bool | None,
        Meta(
            description="Whether brokers recognise what is sent once more, and do not store it "
            "twice. null: yes, if acks is all."
        ),
    ] = None
    compression: Annotated[
        Literal["gzip", "snappy", "lz4", "zstd"] | None,
        Meta(
            description="How record batches are compressed; all but gzip need "
            "queueconnector-kafka[compression]. null: not at all."
        ),
    ] = None
    key: Annotated[
        Literal["none", "record", "source"],
        Meta(
            description="The key of a message: none, that of the record (as it came from Kafka), "
            "or the name of the record's source. Messages with the same key keep their order."
        ),
    ] = "none"
    key_path: Annotated[
        str | None,
        Meta(
            description="A JMESPath: what it finds in the value, text or a number, is the key.",
            min_length=1,
        ),
    ] = None
    partition: Annotated[
        int | None,
        Meta(
            description="The only partition to write, counted from 0. null: with a key that of "
            "Kafka's default partitioner (murmur2), else all in rotation.",
            ge=0,
        ),
    ] = None
    headers: Annotated[
        Literal["none", "record", "provenance"],
        Meta(
            description="The headers of a message: none, those of the record (as it came from "
            "Kafka), or these and where it comes from, as CloudEvents names it; the time stamp is "
            "the record's own then."
        ),
    ] = "none"

    @property
    def is_idempotent(self) -> bool:
        """Whether brokers recognise what is sent once more."""
        return self.acks == "all" if self.idempotence is None else self.idempotence

    def octets_codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the messages; raises `ConfigError` when it cannot carry `spec`."""
        return self.codec(spec, registry)

    def for_dead_letters(self) -> KafkaProducerSinkDescriptor:
        """This sink as the place of dead letters: key and headers travel, under any label."""
        return attrs.evolve(self, headers="record", key="record", key_path=None, encoding=None)

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when values of `spec` cannot be written so, or options clash."""
        problems = list(self._problems())
        try:
            self.codec(spec, registry)
        except ConfigError as error:
            problems += error.problems
        try:
            self.check_far_end()
        except ConfigError as error:
            problems += error.problems
        if self.timestamp_options is not None:
            try:
                self.timestamp_options.check(spec)
            except ConfigError as error:
                problems += error.under("timestamp_options").problems
        if problems:
            raise ConfigError(problems)

    def _problems(self) -> Iterable[Problem]:
        if self.idempotence and self.acks != "all":
            text = f"needs acks all, found {self.acks!r}; leave one of the two out"
            yield Problem("idempotence", text)
        if self.key_path is None:
            return
        if self.key != "none":
            yield Problem("key_path", f"there is a key already: {self.key}; leave one of them out")
        try:
            key_search(self.key_path)
        except ConfigError as error:
            yield from error.under("key_path").problems
