"""One connection to a broker, driven by the event loop.

paho runs in the event loop (its "external loop"), without a thread but for the moment of
connecting, which it can do only blocking.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any, Final

from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY as FIRST_ONLY,
)
from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
)
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from queueconnector_core.errors import (
    ConfigError,
    FatalError,
    QueueConnectorError,
    RetryableError,
)
from queueconnector_mqtt._messages import Limits, Message, Outgoing, Session, Subscription
from queueconnector_mqtt._prepare import connect_properties, prepared, publish_properties
from queueconnector_mqtt._reasons import ended_by_broker, is_temporary, obstacle, refused_login
from queueconnector_mqtt.broker import BrokerOptions

__all__ = ("Connection",)

ANSWER_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 1.0
CHECK_S: Final = 0.5
"""How often paho is given the chance to see that the keep alive is over."""
PACKETS: Final = 200
"""So many packets at most are read at a time, then others in the loop have their turn."""


def _ignore(_: Message) -> None:
    """Nobody subscribed."""


class Connection:
    """A client that is connected once; for another try a new one is made.

    Its methods are called in the event loop, and so are `on_message` and `on_lost`.
    """

    def __init__(
        self,
        options: BrokerOptions,
        session: Session | None = None,
        *,
        max_inflight: int = 1,
        on_message: Callable[[Message], None] = _ignore,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.limits = Limits()
        self.error: QueueConnectorError | None = None
        """Why it is over; None while it lives, and after `close`."""
        self._options = options
        self._session = session or Session()
        self._max_inflight = max_inflight
        self._on_message = on_message
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._client: Client | None = None
        self._attached = False
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._told = 0
        self._heard_at = time.monotonic()
        self._check: asyncio.TimerHandle | None = None
        self._session_present: bool | None = None
        self._granted: list[ReasonCode] = []
        self._waiting: deque[Outgoing] = deque()
        self._unconfirmed: dict[int, Outgoing] = {}
        self._send: Callable[[], None] = lambda: None
        self._refused: dict[int, ReasonCode] = {}

    @property
    def is_over(self) -> bool:
        """Whether it has ended, for whatever reason."""
        return self._over.is_set()

    def silent_s(self) -> float:
        """Seconds since the broker last sent anything."""
        return time.monotonic() - self._heard_at

    async def open(self) -> bool:
        """Connect; True: the broker had kept the session.

        Raises `RetryableError` while no broker answers, `FatalError` when it does not let this
        client in, or when a secret or certificate cannot be read. Cancelled or failed, `close` it.
        """
        try:
            self._client = await asyncio.to_thread(self._prepared)
        except (ConfigError, FatalError) as error:
            raise FatalError(f"no access to {self._options.authority}: {error}") from None
        await self._connect(self._client)
        self._attach(self._client)
        await self._until(lambda: self._session_present is not None, "to let this client in")
        return bool(self._session_present)

    def _prepared(self) -> Client:
        client = prepared(self._options, self._session)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_publish = self._published
        client.on_message = self._received
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_unregister_write = self._has_written
        client.on_socket_close = self._socket_closes
        return client

    async def _connect(self, client: Client) -> None:
        host, port = self._options.address
        connecting = self._loop.run_in_executor(
            None,
            lambda: client.connect(
                host,
                port,
                self._options.keep_alive_s,
                clean_start=not self._session.expiry_s if self._is_5 else FIRST_ONLY,
                properties=connect_properties(self._options, self._session),
            ),
        )
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(lambda done: _abandon(client, done))
            raise
        except OSError as error:
            raise obstacle(self._options.authority, error) from None

    def _attach(self, client: Client) -> None:
        """Let the event loop serve the socket."""
        socket: Any = client.socket()
        if socket is None:
            raise RetryableError(f"{self._options.authority} closed the connection")
        self._attached = True
        self._heard_at = time.monotonic()
        # Without it each window of acknowledgements may wait 40 ms for TCP.
        socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self._loop.add_reader(socket.fileno(), self._readable)
        if client.want_write():
            self._wants_to_write(client, None, socket)
        self._check = self._loop.call_later(CHECK_S, self._look_after)

    async def subscribe(self, subscription: Subscription) -> None:
        """Subscribe; returns when the broker has confirmed it.

        Raises `FatalError` for a filter that it refuses, `RetryableError` when it does not answer.
        """
        client = self._alive()
        qos, handling = subscription.qos, subscription.retain_handling
        how: Any = SubscribeOptions(qos, retainHandling=handling) if self._is_5 else qos
        self._granted = []
        client.subscribe([(topic, how) for topic in subscription.topics])
        await self._until(lambda: bool(self._granted), "to confirm the subscription")
        for topic, granted in zip(subscription.topics, self._granted, strict=True):
            if granted.is_failure:
                told = f"{self._options.authority} refuses topic_filter {topic!r}: {granted}"
                raise RetryableError(told) if is_temporary(granted.value) else FatalError(told)

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that a message was delivered; nothing happens when it is over."""
        if self._client is not None and not self.is_over:
            self._client.ack(message.mid, message.qos)

    async def publish(
        self,
        messages: Sequence[Outgoing],
        qos: int,
        *,
        retain: bool = False,
        properties: Mapping[str, Any] | None = None,
    ) -> tuple[list[Outgoing], dict[int, str]]:
        """Publish in order; returns when the broker has all, or the connection is over.

        Returns what was not confirmed, and by index in the batch why others were refused. Raises
        `RetryableError` when the broker cannot take one now; nothing else is on its way then.
        """
        client = self._alive()
        self._refused = {}
        self._waiting.extend(messages)
        self._send = partial(self._send_some, client, qos, retain, properties)
        try:
            self._send()
            while (self._unconfirmed or self._waiting) and not self.is_over:
                self._news.clear()
                await self._news.wait()
            left = [*self._unconfirmed.values(), *self._waiting]
        finally:
            self._unconfirmed.clear()
            self._waiting.clear()
        refusals = {index: str(code) for index, code in self._refused.items()}
        later = {index for index, code in self._refused.items() if is_temporary(code.value)}
        left += [message for message in messages if message.index in later]
        left.sort(key=lambda message: message.index)
        return left, {index: text for index, text in refusals.items() if index not in later}

    def _send_some(
        self, client: Client, qos: int, retain: bool, properties: Mapping[str, Any] | None
    ) -> None:
        """Send what waits, as far as messages may be on their way."""
        while self._waiting and len(self._unconfirmed) < self._max_inflight:
            message = self._waiting.popleft()
            given = publish_properties(message, properties) if self._is_5 else None
            info = client.publish(message.topic, message.payload, qos, retain, given)
            self._unconfirmed[info.mid] = message

    @property
    def _is_5(self) -> bool:
        return self._options.protocol == "5"

    def lost(self) -> QueueConnectorError:
        """Why it is over, as the error to raise."""
        return self.error or RetryableError(f"not connected to {self._options.authority}")

    async def close(self) -> None:
        """Say good-bye, so that no will message is published, and disconnect. Idempotent."""
        client, self._client = self._client, None
        if client is None:
            return
        self._on_lost = lambda: None
        if self._attached and not self.is_over:
            client.disconnect()
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._over.wait()
            except TimeoutError:
                pass
        self._end(None)
        self._detach(client)

    def _detach(self, client: Client) -> None:
        socket = client.socket()
        if socket is not None:
            if self._attached:
                self._loop.remove_reader(socket.fileno())
                self._loop.remove_writer(socket.fileno())
            socket.close()

    def _alive(self) -> Client:
        if self._client is None or self.is_over:
            raise self.lost()
        return self._client

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                while not condition() and not self.is_over:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            told = f"{self._options.authority} took more than {ANSWER_TIMEOUT_S:g} s {what}"
            raise RetryableError(told) from None
        if self.is_over:
            raise self.lost()

    def _end(self, error: QueueConnectorError | None) -> None:
        if not self.is_over:
            self.error = error
            self._over.set()
            self._news.set()
            if self._check is not None:
                self._check.cancel()
            self._on_lost()

    # What the event loop calls.

    def _readable(self) -> None:
        client = self._client
        if client is None:
            return
        self._heard_at = time.monotonic()
        for _ in range(PACKETS):
            before = self._told
            client.loop_read()
            socket = client.socket()
            if socket is None:
                return
            # paho does not say whether there was a packet; TLS keeps some back from `select`.
            held = isinstance(socket, ssl.SSLSocket) and socket.pending()
            if self._told == before and not held:
                return
        self._loop.call_soon(self._readable)

    def _look_after(self) -> None:
        if self._client is not None and not self.is_over:
            self._client.loop_misc()
            self._check = self._loop.call_later(CHECK_S, self._look_after)

    # What paho calls, in the loop but while it connects.

    def _wants_to_write(self, client: Client, _: object, socket: Any) -> None:
        if self._attached:
            self._loop.add_writer(socket.fileno(), client.loop_write)

    def _has_written(self, _client: Client, _: object, socket: Any) -> None:
        if self._attached:
            self._loop.remove_writer(socket.fileno())

    def _socket_closes(self, _client: Client, _: object, socket: Any) -> None:
        if self._attached:
            self._loop.remove_reader(socket.fileno())
            self._loop.remove_writer(socket.fileno())

    def _connected(
        self,
        _client: Client,
        _: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._end(refused_login(self._options.authority, reason.value, str(reason)))
            return
        told = vars(properties) if properties is not None else {}
        self.limits = Limits(
            told.get("MaximumPacketSize"),
            told.get("MaximumQoS", 2),
            bool(told.get("RetainAvailable", 1)),
        )
        self._max_inflight = min(self._max_inflight, told.get("ReceiveMaximum", 65_535))
        self._session_present = flags.session_present
        self._tell()

    def _disconnected(
        self,
        _client: Client,
        _: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        authority = self._options.authority
        if flags.is_disconnect_packet_from_server:
            client_id = self._options.client_id or ""
            self._end(ended_by_broker(authority, reason.value, str(reason), client_id))
        else:
            self._end(RetryableError(f"the connection to {authority} was lost: {reason}"))

    def _subscribed(
        self, _client: Client, _: object, _mid: int, reasons: list[ReasonCode], _p: object
    ) -> None:
        self._granted = reasons
        self._tell()

    def _published(
        self, _client: Client, _: object, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        self._told += 1
        message = self._unconfirmed.pop(mid, None)
        if message is not None and reason.is_failure:
            self._refused[message.index] = reason
        self._send()
        if not self._unconfirmed:
            self._news.set()

    def _received(self, _client: Client, _: object, message: Message) -> None:
        self._told += 1
        self._on_message(message)

    def _tell(self) -> None:
        self._told += 1
        self._news.set()


def _abandon(client: Client, connecting: asyncio.Future[MQTTErrorCode]) -> None:
    """Close what came about after nobody waited for it any more."""
    if not connecting.cancelled():
        connecting.exception()
    socket = client.socket()
    if socket is not None:
        socket.close()
