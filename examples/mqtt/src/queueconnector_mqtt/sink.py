"""Publishes each value as one message."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import FatalError, RecordError, RecordErrors, RetryableError
from queueconnector_core.provenance import headers_of
from queueconnector_core.record import Batch, Metadata, Quality, Value
from queueconnector_mqtt._client import Connection
from queueconnector_mqtt._headers import UserProperty, user_properties
from queueconnector_mqtt._messages import Outgoing
from queueconnector_mqtt.descriptors import MqttSinkDescriptor
from queueconnector_mqtt.topics import topic_of

__all__ = ("MqttSink",)

logger = logging.getLogger(__name__)

ROUND: Final = 5_000
"""So many messages at most are handed to the client at a time: it has numbers for 65,535."""

MAX_PAYLOAD_BYTES: Final = 268_435_455
"""What MQTT itself allows."""

NO_METADATA: Final = Metadata()


@attrs.define
class _Delivery:
    """What is left to do of one batch."""

    batch: Batch
    outgoing: list[Outgoing]
    failures: dict[int, RecordError]


class MqttSink:
    """Publishes batches in order; `write` returns when the broker has all of it.

    A connection that is lost is made anew by the next `write`; what was confirmed of the same batch
    is not sent again.
    """

    def __init__(self, descriptor: MqttSinkDescriptor, context: BuildContext) -> None:
        self._options = descriptor
        codec = descriptor.codec(context.spec, context.registry)
        self._encode = codec.encoder(context.spec)
        self._configuration = context.configuration
        self._connection: Connection | None = None
        self._unfinished: _Delivery | None = None
        self._writing = asyncio.Lock()

    async def start(self) -> None:
        """Connect.

        Raises `RetryableError` while no broker answers, `FatalError` when it refuses this client,
        or allows no such quality of service or no retained messages.
        """
        self._connection = await self._connected()

    async def _connected(self) -> Connection:
        options = self._options
        connection = Connection(options, max_inflight=options.max_inflight)
        try:
            await connection.open()
            self._check(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _check(self, connection: Connection) -> None:
        options, limits = self._options, connection.limits
        if options.qos > limits.qos:
            raise FatalError(f"qos: {options.authority} allows {limits.qos} at most")
        if options.retain and not limits.retain:
            raise FatalError(f"retain: {options.authority} retains no messages")

    async def write(self, batch: Batch) -> None:
        """Publish all values; return when they are confirmed, with quality 0 when they are sent.

        Raises `RecordErrors` for values that cannot be encoded, have no topic, are too large or
        that the broker refuses; `RetryableError` when it did not confirm: the same batch written
        again is continued with what was not confirmed. After `stop` it warns and writes nothing.
        """
        async with self._writing:
            if self._connection is None:
                logger.warning(
                    "%s: not open, %d records not written", self._options.where, len(batch)
                )
                return
            if self._connection.is_over:
                await self._connection.close()
                self._connection = await self._connected()
            if self._unfinished is None or self._unfinished.batch is not batch:
                self._unfinished = self._prepared(batch)
            delivery = self._unfinished
            while delivery.outgoing:
                await self._publish(self._connection, delivery)
            self._unfinished = None
        if delivery.failures:
            raise RecordErrors(dict(sorted(delivery.failures.items())))

    async def stop(self) -> None:
        """Let a running `write` end, then disconnect. Idempotent, safe before `start`."""
        async with self._writing:
            connection, self._connection = self._connection, None
            self._unfinished = None
            if connection is not None:
                await connection.close()

    async def _publish(self, connection: Connection, delivery: _Delivery) -> None:
        """Publish the next messages, and settle what came of them."""
        now, later = delivery.outgoing[:ROUND], delivery.outgoing[ROUND:]
        limit = connection.limits.packet_bytes
        if limit is not None:
            for message in now:
                if message.octets > limit:
                    text = f"{message.octets} octets as a packet, and the broker takes {limit}"
                    delivery.failures[message.index] = RecordError(text)
            now = [message for message in now if message.octets <= limit]
        expiry = self._options.message_expiry_s
        left, refusals = await connection.publish(
            now,
            self._options.qos,
            retain=self._options.retain,
            properties=None if expiry is None else {"MessageExpiryInterval": expiry},
        )
        topics = {message.index: message.topic for message in now}
        delivery.failures |= {
            index: RecordError(f"the broker refuses it for topic {topics[index]!r}: {text}")
            for index, text in refusals.items()
        }
        delivery.outgoing = left + later
        if connection.is_over and left:
            raise connection.lost()
        if left:
            raise RetryableError(f"{self._options.where}: the broker cannot take more now")

    def _prepared(self, batch: Batch) -> _Delivery:
        failures: dict[int, RecordError] = {}
        return _Delivery(batch, list(self._composed(batch, failures)), failures)

    def _composed(self, batch: Batch, failures: dict[int, RecordError]) -> Iterator[Outgoing]:
        for index, value in enumerate(batch.values):
            metadata = NO_METADATA if batch.metadata is None else batch.metadata[index]
            try:
                yield self._outgoing(index, value, metadata)
            except RecordError as error:
                failures[index] = error

    def _outgoing(self, index: int, value: Value, metadata: Metadata) -> Outgoing:
        try:
            topic = topic_of(self._options.topic, metadata.key)
        except ValueError as error:
            raise RecordError(str(error)) from None
        payload = self._payload(value, metadata)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise RecordError(f"{len(payload)} octets encoded; MQTT allows {MAX_PAYLOAD_BYTES}")
        return Outgoing(index, topic, payload, self._properties(metadata))

    def _payload(self, value: Value, metadata: Metadata) -> bytes:
        if value is None and metadata.quality is Quality.INVALID and self._tells_quality:
            return b""
        return self._encode(value)

    @property
    def _tells_quality(self) -> bool:
        return self._options.headers == "provenance"

    def _properties(self, metadata: Metadata) -> list[UserProperty]:
        if self._options.headers == "none":
            return []
        if self._options.headers == "record":
            return user_properties(metadata.headers)
        return user_properties(headers_of(metadata, self._configuration))
