"""Subscribes to topics of a broker."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Final

from queueconnector_core.buffer import Overflow
from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError
from queueconnector_core.gaps import GapReason, OpenGap
from queueconnector_core.overflow_gap import OverflowGap
from queueconnector_core.record import (
    Acknowledgement,
    Batch,
    LazyMetadata,
    Metadata,
    Quality,
    Value,
)
from queueconnector_mqtt._client import Connection
from queueconnector_mqtt._inbox import Inbox, Received
from queueconnector_mqtt._messages import Message, Session, Subscription
from queueconnector_mqtt._records import Scribe
from queueconnector_mqtt.descriptors import MqttSourceDescriptor

__all__ = ("MqttSource",)

logger = logging.getLogger(__name__)

BATCH: Final = 1_000
"""At most so many records of each quality are in one batch."""

RETAIN_HANDLING: Final = {"send": 0, "send_if_new": 1, "ignore": 2}


class MqttSource:
    """Gives each message of the topics that match; the rules of loss are in the README.

    With a session a message of quality 1 is acknowledged when every sink has it, and what was not
    comes again. Without, it is when the exchange asks for more, and what is published while there
    is no connection is lost, and entered as a gap.
    """

    def __init__(self, descriptor: MqttSourceDescriptor, context: BuildContext) -> None:
        self._options = descriptor
        codec = descriptor.codec(context.spec, context.registry)
        self._decode = codec.decoder(context.spec)
        self._scribe = Scribe(f"mqtt://{descriptor.authority}", descriptor.key_level)
        self._gaps = context.gaps
        self._connection: Connection | None = None
        self._inbox: Inbox | None = None
        self._outage: OpenGap | None = None
        self._overflow: OverflowGap[Received] = OverflowGap(
            self._gaps,
            self._options.where,
            f"{self._options.overflow}: the exchange is slower than messages come",
            lambda item: item.arrived_ns,
        )

    async def start(self) -> None:
        """Connect and subscribe: what is published from now on will be read.

        Raises `RetryableError` while no broker answers, `FatalError` when it refuses this client
        or a filter.
        """
        options = self._options
        inbox = Inbox(options.buffer_size, Overflow(options.overflow))
        session = Session(options.session_expiry_s, options.receive_maximum)
        connection = Connection(
            options,
            session,
            on_message=lambda message: self._put(inbox, message),
            on_lost=inbox.arrived.set,
        )
        self._scribe.begin(time.time_ns())
        try:
            had_session = await connection.open()
            await connection.subscribe(
                Subscription(
                    options.topic_filter,
                    options.qos,
                    RETAIN_HANDLING[options.retain_handling],
                    options.shared_subscription,
                )
            )
        except BaseException:
            await connection.close()
            raise
        self._connection, self._inbox = connection, inbox
        self._end_outage(is_whole=had_session and options.is_kept)

    def _put(self, inbox: Inbox, message: Message) -> None:
        # Protocol 3.1.1 cannot be told to leave these out.
        if not (message.retain and self._options.retain_handling == "ignore"):
            inbox.put(message)

    async def read(self) -> AsyncIterator[Batch]:
        """Batches of what has come together; after `stop` or `drain` what came before, then none.

        With a session what was not acknowledged is left out then: it comes again. Raises
        `RetryableError` when the connection is lost, `FatalError` when another client has taken it.
        """
        inbox, connection = self._inbox, self._connection
        if inbox is None or connection is None:
            return
        try:
            while True:
                await inbox.arrived.wait()
                ends = inbox.is_closed or connection.is_over
                if ends and self._options.is_kept:
                    inbox.forget_unacknowledged()
                taken = inbox.take(BATCH)
                self._overflow.enter(taken.episode)
                if taken.items or taken.dropped:
                    yield self._batch(connection, taken.items, taken.dropped)
                    if not self._options.is_kept:
                        _acknowledge(connection, taken.items)
                elif inbox.is_closed:
                    return
                elif connection.is_over:
                    self._begin_outage(connection)
                    raise connection.lost()
        finally:
            self._overflow.end()

    async def drain(self) -> None:
        """Take nothing more; `read` ends. What is delivered until `stop` is acknowledged."""
        if self._inbox is not None:
            self._inbox.close()

    async def stop(self) -> None:
        """Disconnect and make `read` end. Idempotent, safe before `start`."""
        connection, self._connection = self._connection, None
        if self._inbox is not None:
            self._inbox.close()
        if connection is not None:
            await connection.close()
        else:
            # Not the runner on its way to a new start, but the end.
            self._end_outage(is_whole=self._options.is_kept)

    def silent_s(self) -> float:
        """Seconds since the broker last sent anything: at most the keep alive, while it is well."""
        return 0.0 if self._connection is None else self._connection.silent_s()

    def _batch(self, connection: Connection, items: Sequence[Received], dropped: int) -> Batch:
        values: list[Value] = []
        known: list[Received] = []
        failures: list[RecordError] = []
        if dropped:
            text = f"the buffer of {self._options.buffer_size} messages was full"
            failures.append(RecordError(f"{self._options.where}: {text}", records=dropped))
        for received in items:
            try:
                values.append(self._value(received))
                known.append(received)
            except RecordError as error:
                origin = self._scribe.metadata(received)
                failures.append(RecordError(f"{origin.position}: {error}", origins=(origin,)))
        return Batch(
            values,
            LazyMetadata(known, self._scribe.metadata),
            failures,
            # Without a session nothing comes again: there it only keeps the broker from going on.
            acknowledgements=_acknowledgements(connection, items) if self._options.is_kept else (),
        )

    def _value(self, received: Received) -> Value:
        payload = received.message.payload
        if not payload and self._is_invalid(self._scribe.metadata(received)):
            return None
        return self._decode(bytes(payload))

    @staticmethod
    def _is_invalid(metadata: Metadata) -> bool:
        return metadata.quality is Quality.INVALID

    def _begin_outage(self, connection: Connection) -> None:
        since_ns = time.time_ns() - int(1e9 * connection.silent_s())
        text = str(connection.lost())
        self._outage = self._gaps.open(self._options.where, GapReason.NOT_READING, since_ns, text)

    def _end_outage(self, *, is_whole: bool) -> None:
        """The gap ends now; it was none if the broker kept what came meanwhile."""
        outage, self._outage = self._outage, None
        if outage is None:
            return
        if is_whole:
            outage.close(records=0, is_exact=True)
        elif self._options.is_kept:
            outage.close(text=f"{outage.gap.text}; the broker had not kept the session")
        else:
            outage.close()


def _acknowledge(connection: Connection, items: Sequence[Received]) -> None:
    for received in items:
        if received.message.qos:
            connection.acknowledge(received.message)


def _acknowledgements(
    connection: Connection, items: Sequence[Received]
) -> tuple[Acknowledgement, ...]:
    return (Acknowledgement(partial(_acknowledge, connection, items)),) if items else ()
