"""What a user writes for a source and a sink; nothing here imports paho."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import attrs
from msgspec import Meta

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import OneOrMany, SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError, Problem, placed
from queueconnector_core.protocols import Codec
from queueconnector_core.registry import Registry
from queueconnector_mqtt.broker import BrokerOptions, needs_5
from queueconnector_mqtt.topics import (
    ShareName,
    TopicFilter,
    TopicTemplate,
    refusal_of_filter,
    refusal_of_template,
)

__all__ = ("MqttSourceDescriptor", "MqttSinkDescriptor")


@attrs.frozen(kw_only=True)
class MqttSourceDescriptor(BrokerOptions, SourceDescriptor):
    """Subscribes to topics: what is published from now on, or, with a session, since it began."""

    topic_filter: Annotated[
        tuple[TopicFilter, ...],
        OneOrMany(),
        Meta(
            description="The topic filter to subscribe to, or a list of them. A message that "
            "several of them match may come several times: let them not overlap.",
            min_length=1,
        ),
    ]
    qos: Annotated[
        Literal[0, 1],
        Meta(
            description="The highest quality of service at which messages come: 0: at most once; "
            "1: each is acknowledged, with a session (session_expiry_s) not before this exchange "
            "has delivered it, so that none is lost. There is no 2: "
            "exactly once ends in the memory of this process, so that a message would be lost with "
            "it; what is published with 2 comes with 1."
        ),
    ] = 1
    session_expiry_s: Annotated[
        int,
        Meta(
            description="The session expiry interval: for so many seconds after the connection "
            "ended the broker keeps the subscription and the messages that were not acknowledged. "
            "0: a clean session each time: what is published meanwhile is lost, and told as a gap. "
            "More needs client_id and qos 1. With protocol 3.1.1 any number is for ever.",
            ge=0,
            le=4_294_967_295,
        ),
    ] = 0
    receive_maximum: Annotated[
        int,
        Meta(
            description="The receive maximum: so many messages of quality 1 may be on their way "
            "without an acknowledgement; then the broker waits. Brokers may allow fewer.",
            ge=1,
            le=65_535,
        ),
    ] = 1000
    shared_subscription: Annotated[
        ShareName | None,
        Meta(
            description="The name of a shared subscription: each message goes to one of the "
            "clients that share it. null: to each client."
        ),
    ] = None
    retain_handling: Annotated[
        Literal["send", "send_if_new", "ignore"],
        Meta(
            description="Whether the messages that the broker retains are records: send: the last "
            "one of each topic, at each start; send_if_new: not when the session was kept; ignore: "
            "never."
        ),
    ] = "send"
    key_level: Annotated[
        int | None,
        Meta(
            description="The level of the topic that is the key of a record, counted from 0, or "
            "from the end with -1 for the last; a topic without it gives no key. null: the whole "
            "topic is the key."
        ),
    ] = None
    buffer_size: Annotated[
        int,
        Meta(
            description="So many messages of quality 0, which cannot be made to wait, are kept "
            "while the exchange is slower than they come.",
            ge=1,
            le=1_000_000,
        ),
    ] = 10_000
    overflow: Annotated[
        Literal["drop_oldest", "drop_newest"],
        Meta(
            description="Which one is dropped, counted and told as a gap, when more of them come."
        ),
    ] = "drop_oldest"

    @property
    def where(self) -> str:
        """Filters and broker, for messages."""
        return f"{', '.join(map(repr, self.topic_filter))} at {self.authority}"

    @property
    def is_kept(self) -> bool:
        """Whether the broker keeps what was not acknowledged, over a lost connection."""
        return self.session_expiry_s > 0

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when the encoding cannot carry values of `spec`, or options clash."""
        problems = [*self.problems(spec, registry), *self._clashes()]
        if problems:
            raise ConfigError(problems)

    def octets_codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the payloads; raises `ConfigError` when it cannot carry `spec`."""
        return self.codec(spec, registry)

    def _clashes(self) -> Iterator[Problem]:
        for place, topic_filter in placed("topic_filter", self.topic_filter):
            if refusal := refusal_of_filter(topic_filter):
                yield Problem(place, refusal)
        if self.is_kept and self.client_id is None:
            yield Problem("client_id", "is required with session_expiry_s: whose session it is")
        if self.is_kept and self.qos == 0:
            yield Problem("qos", "found 0; a session keeps messages of quality 1 only")
        if self.protocol != "5":
            defaults = attrs.fields_dict(type(self))
            for name in ("shared_subscription", "receive_maximum"):
                if getattr(self, name) != defaults[name].default:
                    yield Problem(name, needs_5(self.protocol))
            if self.retain_handling == "send_if_new":
                text = "found 'send_if_new', which protocol 3.1.1 lacks; allowed: 'send', 'ignore'"
                yield Problem("retain_handling", text)


@attrs.frozen(kw_only=True)
class MqttSinkDescriptor(BrokerOptions, SinkDescriptor):
    """Publishes each value as one message, and waits until the broker has it."""

    topic: TopicTemplate
    qos: Annotated[
        Literal[0, 1, 2],
        Meta(
            description="The quality of service: 0: delivered when it is sent, so that losses are "
            "not noticed; 1: when the broker has it, maybe twice; 2: when it has it, once, as long "
            "as the connection lasts."
        ),
    ] = 1
    retain: Annotated[
        bool,
        Meta(
            description="Whether the broker keeps the last message of a topic for those who "
            "subscribe later."
        ),
    ] = False
    message_expiry_s: Annotated[
        int | None,
        Meta(
            description="The message expiry interval: seconds after which the broker drops what it "
            "could not pass on; null: never. Only with protocol 5.",
            ge=1,
            le=4_294_967_295,
        ),
    ] = None
    max_inflight: Annotated[
        int,
        Meta(
            description="So many messages may be on their way without an acknowledgement. The "
            "receive maximum of the broker, where it is smaller, holds instead; with protocol "
            "3.1.1 it cannot say so, and Mosquitto loses messages of quality 2 beyond its own 20.",
            ge=1,
            le=65_535,
        ),
    ] = 20
    headers: Annotated[
        Literal["none", "record", "provenance"],
        Meta(
            description="The user properties of a message: none, the headers of the record, or "
            "these and where it comes from, as CloudEvents names it in its binding to MQTT."
        ),
    ] = "none"

    @property
    def where(self) -> str:
        """Topic and broker, for messages."""
        return f"topic {self.topic!r} at {self.authority}"

    def for_dead_letters(self) -> MqttSinkDescriptor:
        """This sink as the place of dead letters: headers travel, under any label."""
        return attrs.evolve(self, headers="record", encoding=None)

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when values of `spec` cannot be written so, or options clash."""
        problems = [*self.problems(spec, registry), *self._clashes()]
        if problems:
            raise ConfigError(problems)

    def _clashes(self) -> Iterator[Problem]:
        if refusal := refusal_of_template(self.topic):
            yield Problem("topic", refusal)
        if self.protocol != "5":
            defaults = attrs.fields_dict(type(self))
            for name in ("headers", "message_expiry_s"):
                if getattr(self, name) != defaults[name].default:
                    yield Problem(name, needs_5(self.protocol))
