"""paho's client with its secrets, certificates and will; the properties of packets."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from queueconnector_core.secret import SecretReference
from queueconnector_core.tls import TlsOptions
from queueconnector_mqtt._messages import Outgoing, Session
from queueconnector_mqtt.broker import BrokerOptions

__all__ = ("connect_properties", "prepared", "publish_properties")

CONNECT_TIMEOUT_S: Final = 3.0


class _ClosedIfRefused(ssl.SSLSocket):
    """paho forgets the socket of a handshake that failed."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def prepared(options: BrokerOptions, session: Session) -> Client:
    """A client that is not connected yet.

    Reads files, so that it is not for the event loop. Raises `ConfigError` and `FatalError` for
    those that cannot be read.
    """
    is_5 = options.protocol == "5"
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=options.client_id,
        clean_session=None if is_5 else not session.expiry_s,
        protocol=MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    # How many are on their way is bounded by what the broker says when it is too late for paho.
    client.max_inflight_messages_set(0)
    if options.user is not None:
        client.username_pw_set(options.user, _password(options))
    if options.tls is not None:
        client.tls_set_context(_certificates(options.tls))
        client.tls_insecure_set(not options.tls.check_hostname)
    if (will := options.will) is not None:
        delay = {"WillDelayInterval": will.delay_s} if is_5 and will.delay_s else {}
        properties = _properties(PacketTypes.WILLMESSAGE, delay)
        client.will_set(will.topic, will.payload, will.qos, will.retain, properties)
    return client


def _password(options: BrokerOptions) -> str | None:
    env, file = options.password_env, options.password_file
    if env is None and file is None:
        return None
    return SecretReference(f"password of user {options.user!r}", env, file).read()


def _certificates(tls: TlsOptions) -> ssl.SSLContext:
    context = tls.certificates()
    context.sslsocket_class = _ClosedIfRefused
    return context


def _properties(packet: int, given: Mapping[str, Any]) -> Properties | None:
    if not given:
        return None
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in given.items():
        setattr(properties, name, value)
    return properties


def connect_properties(options: BrokerOptions, session: Session) -> Properties | None:
    """What a client asks of the broker; protocol 3.1.1 has no words for it."""
    if options.protocol != "5":
        return None
    wanted = {"SessionExpiryInterval": session.expiry_s}
    if session.receive_maximum is not None:
        wanted["ReceiveMaximum"] = session.receive_maximum
    return _properties(PacketTypes.CONNECT, wanted)


def publish_properties(message: Outgoing, given: Mapping[str, Any] | None) -> Properties | None:
    """User properties and what else goes with a message."""
    pairs = {"UserProperty": list(message.properties)} if message.properties else {}
    return _properties(PacketTypes.PUBLISH, {**(given or {}), **pairs})
