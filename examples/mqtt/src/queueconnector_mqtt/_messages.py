"""What goes over a connection, and what both ends agree on."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from paho.mqtt.client import MQTTMessage

from queueconnector_mqtt._headers import UserProperty

__all__ = ("Limits", "Message", "Outgoing", "Session", "Subscription")

Message = MQTTMessage


@attrs.frozen
class Session:
    """What the broker is asked to keep."""

    expiry_s: int = 0
    receive_maximum: int | None = None


@attrs.frozen
class Subscription:
    """How topics are subscribed."""

    filters: tuple[str, ...]
    qos: int
    retain_handling: int
    shared: str | None

    @property
    def topics(self) -> list[str]:
        """The filters as the broker is told them."""
        return [f"$share/{self.shared}/{each}" if self.shared else each for each in self.filters]


@attrs.frozen
class Outgoing:
    """A message to be published."""

    index: int
    """Where its value stands in the batch."""
    topic: str
    payload: bytes
    properties: Sequence[UserProperty] = ()

    @property
    def octets(self) -> int:
        """How large its packet is, give or take a few octets."""
        pairs = sum(5 + len(name.encode()) + len(text.encode()) for name, text in self.properties)
        return 16 + len(self.topic.encode()) + len(self.payload) + pairs


@attrs.frozen
class Limits:
    """What the broker allows, as it said when it let this client in."""

    packet_bytes: int | None = None
    qos: int = 2
    retain: bool = True
