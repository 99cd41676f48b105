"""Events of an attribute of another Tango device, as a source."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np

from queueconnector_core.component import BuildContext
from queueconnector_core.conversion import converter, zero
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Batch, Metadata, Quality, TimestampOrigin, Value
from queueconnector_tango._proxy import Event, Outage, Reading, Subscription, read_event
from queueconnector_tango.descriptors import TangoSubscriptionSourceDescriptor, event_type
from queueconnector_tango.dtypes import StringEncoding, decode_text

__all__ = ("TangoSubscriptionSource", "value_reader", "MAX_BUFFERED", "FIRST_EVENT_TIMEOUT_S")

logger = logging.getLogger(__name__)

MAX_BUFFERED = 100_000
"""So many events wait for the exchange; the oldest are dropped, and counted, when more come."""

FIRST_EVENT_TIMEOUT_S = 3.0
"""`start` waits so long for Tango to say whether the subscription stands; a hung device needs
longer than anybody should wait."""

SUBSCRIBED_S = 0.05
"""ZeroMQ passes a subscription on in the background: on a busy machine events that are pushed less
than about 20 ms after Tango calls it done were lost (13 of 400)."""

COALESCING_S = 0.002
"""While events keep coming they are taken in lists, that often, instead of one by one."""

SETTLING_S = 1.0
"""So long after a subscription was renewed Tango may deliver what it delivered before."""

CLOSE_TIMEOUT_S = 5.0


def value_reader(spec: DataSpec, string_encoding: StringEncoding) -> Callable[[Any], Value]:
    """A function that converts what PyTango gives into values of `spec`; raises `RecordError`."""
    convert = converter(spec)
    if spec.is_text:
        return lambda value: convert(decode_text(value, string_encoding))
    if spec.is_dynamic and len(spec.shape) == 2:
        # Of an image without rows Tango forgets how wide they were.
        nothing = zero(spec)
        return lambda value: nothing if np.shape(value) == (0, 0) else convert(value)
    return convert


class Inbox:
    """Takes events from Tango's threads to the event loop, with one wake-up per burst."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int = MAX_BUFFERED) -> None:
        self._loop = loop
        self._events: deque[Event] = deque()
        self._limit = limit
        self._dropped = 0
        self._lock = threading.Lock()
        self._awake = False
        self._closed = False
        self.filled = asyncio.Event()

    def put(self, event: Event) -> None:
        """Hand over one event; called in any thread."""
        with self._lock:
            if self._closed:
                return
            if len(self._events) >= self._limit:
                self._events.popleft()
                self._dropped += 1
            self._events.append(event)
            if self._awake:
                return
            self._awake = True
            # Inside the lock: after `close` the loop may be gone.
            self._loop.call_soon_threadsafe(self.filled.set)

    def take(self) -> tuple[list[Event], int]:
        """All that is there, and how many were dropped for it; nothing: the next one wakes."""
        with self._lock:
            events, self._events = list(self._events), deque()
            dropped, self._dropped = self._dropped, 0
            if not events:
                self._awake = False
                if not self._closed:
                    self.filled.clear()
            return events, dropped

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._closed = True
        self.filled.set()

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed


class Repeats:
    """Recognises what Tango delivers twice around a (renewed) subscription.

    Then it reads the attribute by itself, while events of the same values may be on their way.
    Such a delivery is older than the last record, or of its very time stamp and value.
    """

    def __init__(self) -> None:
        self._last: Reading | None = None
        self._settled_at: float | None = None
        self._renewed = True

    def renew(self) -> None:
        """A new subscription begins, or the old one was interrupted."""
        self._renewed = True

    def is_repeat(self, reading: Reading) -> bool:
        """Whether this was delivered before; to be asked about every reading, in order."""
        if self._renewed:
            self._renewed = False
            self._settled_at = time.monotonic() + SETTLING_S
        last = self._last
        if last is not None and self._settled_at is not None:
            if time.monotonic() > self._settled_at:
                self._settled_at = None
            elif _is_not_newer(reading, last):
                return True
        self._last = reading
        return False


def _is_not_newer(reading: Reading, last: Reading) -> bool:
    if reading.timestamp_ns != last.timestamp_ns:
        return reading.timestamp_ns < last.timestamp_ns
    return reading.quality is last.quality and _equal(reading.value, last.value)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other)  # noqa: PLR0124 - NaN
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        floats = one.dtype.kind == "f"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=floats)
    return bool(np.all(one == other))


class TangoSubscriptionSource:
    """Yields each event of one attribute; at most once: what Tango loses stays lost, but is told.

    `read_value` turns what PyTango gives into a value of the exchange. A value of quality INVALID
    is a record with value None.
    """

    def __init__(
        self,
        descriptor: TangoSubscriptionSourceDescriptor,
        context: BuildContext,
        read_value: Callable[[Any], Value],
    ) -> None:
        self.missed_reports = 0
        """How often Tango reported that it had lost events (it does not say how many)."""
        self._descriptor = descriptor
        self._exchange = context.name
        self._read_value = read_value
        self._repeats = Repeats()
        self._outage: str | None = None
        self._inbox: Inbox | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Subscribe; what the attribute pushes afterwards is read.

        With `stateless` it returns while the device is away, else it raises `FatalError` then.
        """
        await self.stop()
        inbox = self._inbox = Inbox(asyncio.get_running_loop())
        self._repeats.renew()
        self._outage = None
        options = self._descriptor
        self._subscription = Subscription(
            options.device_name,
            options.attribute_name,
            event_type(options.etype),
            stateless=options.stateless,
            on_event=inbox.put,
        )
        await self._subscription.open()
        try:
            async with asyncio.timeout(FIRST_EVENT_TIMEOUT_S):
                await inbox.filled.wait()
                await asyncio.sleep(SUBSCRIBED_S)
        except TimeoutError:
            logger.warning("%s: %s does not answer yet", self._exchange, self._subscription.name)

    async def read(self) -> AsyncIterator[Batch]:
        """The events in order, in batches of what has come together."""
        inbox = self._inbox
        while inbox is not None:
            await inbox.filled.wait()
            closed = inbox.closed
            events, dropped = inbox.take()
            if events:
                batch = self._batch(events, dropped)
                if batch.source_records:
                    yield batch
                await asyncio.sleep(0 if closed else COALESCING_S)
            elif closed:
                return

    async def stop(self) -> None:
        """Unsubscribe; `read` ends after what has been received."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await subscription.close()
            except TimeoutError:
                logger.warning("%s: %s is slow to close", self._exchange, subscription.name)
        if self._inbox is not None:
            self._inbox.close()

    def _batch(self, events: list[Event], dropped: int) -> Batch:
        values: list[Value] = []
        metadata: list[Metadata] = []
        failures: list[RecordError] = []
        if dropped:
            text = f"the buffer of {MAX_BUFFERED} events was full; the oldest were dropped"
            failures.append(RecordError(text, records=dropped))
        for event in events:
            reading = read_event(event)
            if isinstance(reading, Outage):
                self._note(reading)
                continue
            self._outage = None
            if self._repeats.is_repeat(reading):
                continue
            try:
                values.append(self._convert(reading))
            except RecordError as error:
                failures.append(error)
            else:
                metadata.append(_metadata(reading))
        return Batch(values, metadata, failures)

    def _convert(self, reading: Reading) -> Value:
        if reading.quality is Quality.INVALID:
            return None
        return self._read_value(reading.value)

    def _note(self, outage: Outage) -> None:
        """Tell an outage once, although Tango repeats it every 10 s."""
        name = f"{self._descriptor.device_name}/{self._descriptor.attribute_name}"
        if outage.missed:
            self.missed_reports += 1
            logger.warning("%s: %s: events were lost: %s", self._exchange, name, outage.text)
            return
        self._repeats.renew()
        if self._outage is None:
            self._outage = outage.text
            logger.warning("%s: %s: no events: %s", self._exchange, name, outage.text)


def _metadata(reading: Reading) -> Metadata:
    return Metadata(reading.timestamp_ns, TimestampOrigin.SOURCE, quality=reading.quality)
