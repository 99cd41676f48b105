"""What a user writes about a topic that is read or written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

import attrs
from msgspec import Meta

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import OneOrMany, SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.protocols import Codec
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
    ),
]
Topic = Annotated[
    str,
    Meta(
        description="The name of the topic: 1 to 249 letters (a-z, A-Z), digits, dots, underscores "
        "and hyphens; neither . nor ..",
        pattern=r"^(?:\.*[a-zA-Z0-9_-][a-zA-Z0-9._-]*|\.{3,})$",
        max_length=249,
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

    def check_security(self) -> None:
        """Raise `ConfigError` when the options of `security` do not go together."""
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
    """Reads what is written to a topic from now on, all partitions, without a consumer group."""

    fetch_max_wait_ms: Annotated[
        int,
        Meta(
            description="How often a broker that has nothing new says so, in milliseconds. What is "
            "new a Kafka broker sends at once; some embedded ones only when this time is over.",
            ge=1,
            le=5000,
        ),
    ] = 500

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when the encoding cannot carry values of `spec`."""
        self.codec(spec, registry)
        self.check_security()


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

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when values of `spec` have no place in the encoding, or no time."""
        problems: list[Problem] = []
        try:
            self.codec(spec, registry)
        except ConfigError as error:
            problems += error.problems
        try:
            self.check_security()
        except ConfigError as error:
            problems += error.problems
        if self.timestamp_options is not None:
            try:
                self.timestamp_options.check(spec)
            except ConfigError as error:
                problems += error.under("timestamp_options").problems
        if problems:
            raise ConfigError(problems)
