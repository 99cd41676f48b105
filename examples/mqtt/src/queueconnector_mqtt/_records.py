"""What is known of a message beside its value."""

from __future__ import annotations

from queueconnector_core.provenance import restored
from queueconnector_core.record import Metadata, Original
from queueconnector_mqtt._headers import headers
from queueconnector_mqtt._inbox import Received

__all__ = ("Scribe",)


class Scribe:
    """Says of each message where it came from.

    `broker` is the URI of the broker; `key_level` the level of the topic that is the key of the
    record, None: the whole topic.
    """

    def __init__(self, broker: str, key_level: int | None) -> None:
        self._broker = broker
        self._key_level = key_level
        self._began_ns = 0

    def begin(self, began_ns: int) -> None:
        """Keep the positions of this start (nanoseconds, UTC) apart from those of another."""
        self._began_ns = began_ns

    def metadata(self, received: Received) -> Metadata:
        """All that is known, with what its headers tell of where it came from first."""
        message = received.message
        topic = message.topic
        pairs = getattr(message.properties, "UserProperty", ())
        metadata = Metadata(
            timestamp_ns=received.arrived_ns,
            key=self._key(topic),
            headers=headers(pairs),
            position=f"{topic}@{self._began_ns}#{received.number}",
            source=f"{self._broker}/{topic}",
            event="retained" if message.retain else "message",
            sequence=received.number,
            original=Original(bytes(message.payload)),
        )
        return restored(metadata) if pairs else metadata

    def _key(self, topic: str) -> bytes | None:
        if self._key_level is None:
            return topic.encode()
        levels = topic.split("/")
        if -len(levels) <= self._key_level < len(levels):
            return levels[self._key_level].encode()
        return None
