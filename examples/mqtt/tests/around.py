"""A client of the broker that is not ours: paho as most people use it, with a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import attrs
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

TIMEOUT_S = 10.0


@attrs.frozen
class Seen:
    """A message as that client received it."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: tuple[tuple[str, str], ...] = ()


class Around:
    """Publishes and collects around the plugin; a context manager."""

    def __init__(self, port: int, topic_filter: str = "#", host: str = "127.0.0.1") -> None:
        self.seen: queue.Queue[Seen] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._filter = topic_filter
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._take
        self._client.connect(host, port)

    def _subscribe(self, *_: Any) -> None:
        self._client.subscribe(self._filter, 2)

    def _take(self, _client: Client, _: object, message: MQTTMessage) -> None:
        pairs = tuple(getattr(message.properties, "UserProperty", ()))
        payload = bytes(message.payload)
        self.seen.put(Seen(message.topic, payload, message.qos, message.retain, pairs))

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(TIMEOUT_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(
        self,
        topic: str,
        payload: str | bytes,
        qos: int = 1,
        *,
        retain: bool = False,
        properties: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Publish one message, and wait until the broker has it."""
        given = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if properties:
            given.UserProperty = list(properties)
        published = self._client.publish(topic, payload, qos, retain, given)
        published.wait_for_publish(TIMEOUT_S)
        assert published.is_published()

    def publish_all(self, topic: str, payloads: Sequence[bytes]) -> None:
        """Publish in order with quality 1, and wait until the broker has the last one."""
        published = [self._client.publish(topic, payload, 1) for payload in payloads]
        for each in published:
            each.wait_for_publish(TIMEOUT_S)
            assert each.is_published()

    def take(self, count: int) -> list[Seen]:
        """The next so many messages."""
        return [self.seen.get(timeout=TIMEOUT_S) for _ in range(count)]
