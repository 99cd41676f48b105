"""What a user writes about the broker: where it is, and how this client shows who it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Final, Literal

import attrs
from msgspec import Meta

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.protocols import Codec
from queueconnector_core.registry import Registry
from queueconnector_core.secret import by_reference, check_reference
from queueconnector_core.tls import TlsOptions
from queueconnector_mqtt.topics import TopicName, refusal_of_name

__all__ = ("BrokerOptions", "WillOptions")

DEFAULT_ENCODING: Final = "json"
"""How values stand in payloads when no encoding is given; of bytes it would be a mere label."""

Host = Annotated[
    str,
    Meta(
        description="The name or address of the broker, without a scheme and without a port.",
        pattern=r"^(?:[^\x00-\x20:/]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$",
    ),
]
ClientId = Annotated[
    str | None,
    Meta(
        description="The client identifier: one of its own for each client of a broker, since a "
        "second one with it ends the first. null: the broker makes one up.",
        min_length=1,
        max_length=65_535,
    ),
]


@attrs.frozen(kw_only=True)
class WillOptions:
    """The will message: what the broker publishes when this client goes without a farewell."""

    topic: TopicName
    payload: Annotated[str, Meta(description="What it says: text, sent as UTF-8.")] = ""
    qos: Annotated[
        Literal[0, 1, 2], Meta(description="The quality of service of the will message.")
    ] = 0
    retain: Annotated[
        bool, Meta(description="Whether the broker keeps it for those who subscribe later.")
    ] = False
    delay_s: Annotated[
        int,
        Meta(
            description="Seconds for which the client may be gone before it is published; only "
            "with protocol 5.",
            ge=0,
            le=4_294_967_295,
        ),
    ] = 0

    def problems(self) -> Iterator[Problem]:
        """What is wrong with it, with paths from here."""
        if refusal := refusal_of_name(self.topic):
            yield Problem("topic", refusal)


@attrs.frozen(kw_only=True)
class BrokerOptions:
    """The options that both ends share."""

    former_options: ClassVar[Mapping[str, str]] = by_reference("password")

    host: Host
    port: Annotated[
        int | None,
        Meta(description="Its TCP port; null: 1883, or 8883 with tls.", ge=1, le=65_535),
    ] = None
    protocol: Annotated[
        Literal["5", "3.1.1"],
        Meta(
            description="The version of MQTT. 3.1.1 knows no user properties, so that headers "
            "cannot travel, and no reasons for what it refuses."
        ),
    ] = "5"
    client_id: ClientId = None
    keep_alive_s: Annotated[
        int,
        Meta(
            description="The keep alive, in seconds: a connection that is silent for so long is "
            "asked for a sign of life, and given up when none comes within as long again.",
            ge=1,
            le=65_535,
        ),
    ] = 10
    encoding: Annotated[
        str | None,
        Meta(
            description="How values stand in payloads: the name of a codec, such as json, python, "
            f"utf-8, msgpack_numpy or npy; null: {DEFAULT_ENCODING}. For dtype bytes any label, or "
            "none: the octets pass as they are."
        ),
    ] = None
    tls: Annotated[TlsOptions | None, Meta(description="TLS; {} is with defaults, null: none.")] = (
        None
    )
    user: Annotated[str | None, Meta(description="The user to log in as.", min_length=1)] = None
    password_env: Annotated[
        str | None, Meta(description="The environment variable that holds the password.")
    ] = None
    password_file: Annotated[
        str | None,
        Meta(description="The file that holds the password, such as a mounted secret."),
    ] = None
    will: Annotated[
        WillOptions | None,
        Meta(description="What the broker publishes when this client is lost; null: nothing."),
    ] = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        default = 1883 if self.tls is None else 8883
        return self.host, default if self.port is None else self.port

    @property
    def authority(self) -> str:
        """Host and port as a URI has them."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def codec(self, spec: DataSpec, registry: Registry) -> Codec:
        """The codec of the payloads; raises `ConfigError` when it cannot carry `spec`."""
        assumed = None if spec.is_bytes else DEFAULT_ENCODING
        return resolve_codec(self.encoding or assumed, spec, registry)

    def problems(self, spec: DataSpec, registry: Registry) -> Iterator[Problem]:
        """What is wrong with the options that both ends share."""
        try:
            self.codec(spec, registry)
        except ConfigError as error:
            yield from error.problems
        yield from check_reference(self.password_env, self.password_file)
        if self.user is None:
            for name in ("password_env", "password_file"):
                if getattr(self, name) is not None:
                    yield Problem(name, "needs the name of the user too: user")
        if self.tls is not None:
            yield from (problem.under("tls") for problem in self.tls.tls_problems())
        if self.will is not None:
            yield from (problem.under("will") for problem in self.will.problems())
            if self.will.delay_s and self.protocol != "5":
                yield Problem("will.delay_s", needs_5(self.protocol))


def needs_5(protocol: str) -> str:
    """Why an option has no effect with an older protocol."""
    return f"has no effect with protocol {protocol!r}; allowed: '5'"
