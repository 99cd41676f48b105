"""Events of an attribute of another Tango device, as a source."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias
from weakref import WeakSet

import attrs

from queueconnector_core.buffer import Buffer, Overflow
from queueconnector_core.component import BuildContext
from queueconnector_core.errors import FatalError, RecordError
from queueconnector_core.overflow_gap import OverflowGap
from queueconnector_core.record import Batch, LazyMetadata, Value
from queueconnector_tango._events import (
    Event,
    Form,
    Outage,
    Reading,
    form_of,
    looks_of,
    read_outage,
    read_value,
    refuse_enum,
)
from queueconnector_tango._lookout import Polled
from queueconnector_tango._proxy import Subscription
from queueconnector_tango.descriptors import TangoSubscriptionSourceDescriptor, event_type
from queueconnector_tango.reading import Provenance, Scribe
from queueconnector_tango.repeats import Repeats
from queueconnector_tango.vigil import Vigil, Vigils
from queueconnector_tango.watch import Watch

__all__ = ("TangoSubscriptionSource", "FIRST_EVENT_TIMEOUT_S")

logger = logging.getLogger(__name__)

FIRST_EVENT_TIMEOUT_S: Final = 3.0
"""`start` waits so long for Tango to say whether the subscription stands; a hung device needs
longer than anybody should wait."""

SUBSCRIBED_S: Final = 0.05
"""ZeroMQ passes a subscription on in the background; what is lost meanwhile is read later."""

COALESCING_S: Final = 0.002
"""While events keep coming they are taken in lists, that often, instead of one by one."""

CLOSE_TIMEOUT_S: Final = 5.0

BATCH: Final = 1_000
"""At most so many records are in one batch: behind a slow sink memory holds the buffer and that."""

READ_KINDS: Final = frozenset({0, 2, 3})
"""Events of these types tell what reading the attribute gives: change, periodic, archive."""


BUFFERS: Final[WeakSet[Buffer[Any]]] = WeakSet()
"""All of the process: Tango has one thread for the events of all subscriptions."""


def _holds_up() -> bool:
    return any(buffer.holds_up for buffer in tuple(BUFFERS))


@attrs.frozen
class _Told:
    """A value that was not told by an event."""

    polled: Polled
    kind: str


@attrs.frozen
class _Initial:
    """An event of a value that Tango has read by itself."""

    event: Event


_Item: TypeAlias = Event | _Initial | _Told


class TangoSubscriptionSource:
    """Yields each event of one attribute; at most once, but each loss is told as a gap.

    `read_value` turns what PyTango gives into a value of the exchange. A value of quality INVALID
    is a record with value None. While events are not proven the attribute is read instead.
    """

    def __init__(
        self,
        descriptor: TangoSubscriptionSourceDescriptor,
        context: BuildContext,
        read_value: Callable[[Any], Value],
    ) -> None:
        self.missed_reports = 0
        """How often Tango reported that it had lost events."""
        self._descriptor = descriptor
        self._exchange = context.name
        self._gaps = context.gaps
        name = f"{descriptor.device_name.partition('#')[0]}/{descriptor.attribute_name}"
        self._scribe = Scribe(name, read_value)
        self._repeats = Repeats()
        self._outage: str | None = None
        self._form: Form | None = None
        self._looks: object = None
        self._overflow: OverflowGap[_Item] = OverflowGap(
            self._gaps,
            self._scribe.name,
            f"{descriptor.overflow}: the exchange is slower than the device",
            lambda item: _reading_of(item).timestamp_ns,
        )
        self._heard = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._buffer: Buffer[_Item] | None = None
        self._subscription: Subscription | None = None
        self._watch: Watch | None = None
        self._vigil: Vigil | None = None

    async def start(self) -> None:
        """Subscribe; what the attribute pushes afterwards is read.

        With `stateless` it returns while the device is away, else it raises `FatalError` then.
        """
        await self.stop()
        options = self._descriptor
        self._loop = asyncio.get_running_loop()
        self._buffer = Buffer(self._loop, options.buffer_size, Overflow(options.overflow))
        self._heard = asyncio.Event()
        self._repeats.renew()
        self._scribe.begin(time.time_ns())
        self._outage = None
        subscription = self._subscription = Subscription(
            options.device_name,
            options.attribute_name,
            event_type(options.etype),
            stateless=options.stateless,
            on_event=self._receive,
        )
        self._watch = Watch(
            subscription,
            self._gaps,
            self._tell,
            exchange=self._exchange,
            polls=event_type(options.etype) in READ_KINDS,
            heartbeat_s=options.heartbeat_s,
            poll_s=options.poll_s,
        )
        self._watch.is_held_up = _holds_up
        BUFFERS.add(self._buffer)
        await subscription.open()
        if options.heartbeat_s:
            self._vigil = Vigils.here().add(self._watch)
        await self._first_event(subscription)
        self._watch.ready_ns = time.time_ns()

    async def _first_event(self, subscription: Subscription) -> None:
        try:
            async with asyncio.timeout(FIRST_EVENT_TIMEOUT_S):
                await self._heard.wait()
                await asyncio.sleep(SUBSCRIBED_S)
        except TimeoutError:
            logger.warning("%s: %s does not answer yet", self._exchange, subscription.name)

    async def read(self) -> AsyncIterator[Batch]:
        """The events in order, in batches of what has come together.

        Raises `FatalError` for an attribute of type DevEnum, and after an overflow with `fail`.
        """
        buffer = self._buffer
        try:
            while buffer is not None:
                await buffer.filled.wait()
                closed = buffer.closed
                taken = buffer.take(BATCH)
                batch = self._batch(taken.items, taken.dropped)
                self._overflow.enter(taken.episode)
                if batch.source_records:
                    yield batch
                if buffer.has_failed and not len(buffer):
                    raise FatalError(
                        f"{self._scribe.name}: the buffer of {self._descriptor.buffer_size} events "
                        "was full, and overflow is fail; the exchange is slower than the device"
                    )
                if taken.items:
                    await asyncio.sleep(0 if closed else COALESCING_S)
                elif closed:
                    return
        finally:
            self._overflow.end()

    async def stop(self) -> None:
        """Unsubscribe; `read` ends after what has been received."""
        if self._buffer is not None:
            # First of all: a thread of Tango may wait for room in it.
            self._buffer.close()
        watch, self._watch = self._watch, None
        vigil, self._vigil = self._vigil, None
        if vigil is not None and watch is not None:
            await Vigils.here().remove(watch)
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await subscription.close()
            except TimeoutError:
                logger.warning("%s: %s is slow to close", self._exchange, subscription.name)
        if watch is not None:
            watch.end()

    def silent_s(self) -> float:
        """Seconds since the device last answered or sent an event; 0 without a heartbeat."""
        if self._vigil is None or self._watch is None:
            return 0.0
        return time.monotonic() - max(self._vigil.answered_at, self._watch.heard_at)

    def _receive(self, event: Event) -> None:
        """Take an event; called in any thread of Tango."""
        watch, buffer = self._watch, self._buffer
        if watch is None or buffer is None:
            return
        if event.err:
            outage = read_outage(event)
            self._note(outage)
            watch.trouble(event, outage)
        else:
            is_initial = watch.arrived(event)
            buffer.put(_Initial(event) if is_initial else event)
        if self._loop is not None:
            loop, self._loop = self._loop, None
            with suppress(RuntimeError):  # It is closed already.
                loop.call_soon_threadsafe(self._heard.set)

    def _tell(self, polled: Polled, kind: str) -> None:
        if self._buffer is not None:
            self._buffer.put(_Told(polled, kind), wait=False)

    def _note(self, outage: Outage) -> None:
        self._repeats.renew()
        if outage.missed:
            self.missed_reports += 1
            logger.warning("%s: %s: events were lost", self._exchange, self._scribe.name)
        elif not self._descriptor.heartbeat_s and self._outage is None:
            # Tango repeats it every 10 s.
            self._outage = outage.text
            logger.warning("%s: %s: no events: %s", self._exchange, self._scribe.name, outage.text)

    def _batch(self, items: list[_Item], dropped: int) -> Batch:
        values: list[Value] = []
        metadata: list[Provenance] = []
        failures: list[RecordError] = []
        if dropped:
            text = f"the buffer of {self._descriptor.buffer_size} events was full"
            failures.append(RecordError(f"{self._scribe.name}: {text}", records=dropped))
        for item in items:
            reading = _reading_of(item)
            form, kind = self._form_and_kind(item, reading)
            if self._repeats.is_repeat(reading, polled=isinstance(item, _Told)):
                continue
            try:
                value, provenance = self._scribe.write(reading, form, kind)
            except RecordError as error:
                failures.append(error)
            else:
                values.append(value)
                metadata.append(provenance)
        return Batch(
            values, LazyMetadata(metadata, Provenance.metadata, Provenance.stamp), failures
        )

    def _form_and_kind(self, item: _Item, reading: Reading) -> tuple[Form, str]:
        if isinstance(item, _Told):
            return self._accepted(item.polled.form), item.kind
        self._outage = None
        if isinstance(item, _Initial):
            self._repeats.renew()
            self._looks = None
            return self._accepted(form_of(item.event.attr_value)), "initial"
        looks = looks_of(reading.value)
        if self._form is None or looks is None or looks != self._looks:
            self._form = self._accepted(form_of(item.attr_value))
            self._looks = looks
        return self._form, item.event

    def _accepted(self, form: Form) -> Form:
        refuse_enum(self._scribe.name, form)
        return form


def _reading_of(item: _Item) -> Reading:
    if isinstance(item, _Told):
        return item.polled.reading
    return read_value(item.event.attr_value if isinstance(item, _Initial) else item.attr_value)
