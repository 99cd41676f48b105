"""The client side of Tango: subscriptions, and events as plain values.

The only module of the sources that imports tango. Every call that may block runs in a pool of
threads that omniORB knows, so that a hung device never holds up the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeAlias, TypeVar

import attrs
import tango
from tango.utils import PyTangoThreadPoolExecutor

from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.record import Quality

__all__ = ("Reading", "Outage", "Subscription", "read_event", "in_tango_thread", "wake_subscribers")

logger = logging.getLogger(__name__)

T = TypeVar("T")
Event: TypeAlias = Any
"""An event as PyTango delivers it; it has no type that is worth naming."""

MISSED_EVENTS = "API_MissedEvents"
WAKE_TRIES = 10
UNSUBSCRIBE_TRIES = 3

_QUALITIES = {
    tango.AttrQuality.ATTR_VALID: Quality.VALID,
    tango.AttrQuality.ATTR_INVALID: Quality.INVALID,
    tango.AttrQuality.ATTR_ALARM: Quality.ALARM,
    tango.AttrQuality.ATTR_CHANGING: Quality.CHANGING,
    tango.AttrQuality.ATTR_WARNING: Quality.WARNING,
}


@attrs.frozen
class Reading:
    """A value as Tango delivered it, None when its quality is INVALID."""

    value: Any
    quality: Quality
    timestamp_ns: int


@attrs.frozen
class Outage:
    """Events do not come, or some were lost (`missed`): the reason, as Tango words it."""

    text: str
    missed: bool


@cache
def _threads() -> PyTangoThreadPoolExecutor:
    # Not bound to a loop, unlike that of tango.asyncio: it serves every loop of the process.
    return PyTangoThreadPoolExecutor(max_workers=16, thread_name_prefix="tango-client")


async def in_tango_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function that blocks on Tango, without holding up the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), partial(function, *args))


def describe(error: tango.DevFailed) -> str:
    """The first reason of a Tango error, in one line."""
    first = error.args[0]
    return f"{first.reason}: {' '.join(first.desc.split())}"


def read_event(event: Event) -> Reading | Outage:
    """What an event says."""
    if event.err:
        first = event.errors[0]
        text = f"{first.reason}: {' '.join(first.desc.split())}"
        return Outage(text, first.reason == MISSED_EVENTS)
    attribute = event.attr_value
    value = attribute.value
    if isinstance(value, tango.DevState):
        value = value.name
    time = attribute.time
    timestamp_ns = time.tv_sec * 1_000_000_000 + time.tv_usec * 1_000 + time.tv_nsec
    quality = Quality.INVALID if value is None else _QUALITIES[attribute.quality]
    return Reading(value, quality, timestamp_ns)


class Subscription:
    """A subscription to the events of one attribute.

    `on_event` is called in threads of Tango, one event at a time or several at once; it must only
    hand over.
    """

    def __init__(
        self,
        device_name: str,
        attribute_name: str,
        event_type: int,
        *,
        stateless: bool,
        on_event: Callable[[Event], None],
    ) -> None:
        self.name = f"{device_name.partition('#')[0]}/{attribute_name}"
        self._device_name = device_name
        self._attribute_name = attribute_name
        self._event_type = tango.EventType(event_type)
        self._stateless = stateless
        self._on_event = on_event
        self._proxy: tango.DeviceProxy | None = None
        self._identity: int | None = None

    async def open(self) -> None:
        """Subscribe.

        Stateless, it returns at once and Tango tries every 10 s until the device answers; raises
        `RetryableError` only while the device is not known at all. Else it returns once subscribed
        and raises `FatalError` when the device is away.
        """
        opening = asyncio.ensure_future(in_tango_thread(self._open))
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be stopped: what it opens is closed as soon as it is open.
            opening.add_done_callback(self._opened_in_vain)
            raise
        except tango.DevFailed as error:
            text = f"cannot subscribe to {self.name}: {describe(error)}"
            raise (RetryableError(text) if self._stateless else FatalError(text)) from None

    def _open(self) -> None:
        mode = tango.EventSubMode.AsyncRead if self._stateless else tango.EventSubMode.SyncRead
        proxy = tango.DeviceProxy(self._device_name)
        identity = proxy.subscribe_event(
            self._attribute_name, self._event_type, self._on_event, sub_mode=mode
        )
        self._proxy, self._identity = proxy, identity

    def _opened_in_vain(self, opening: asyncio.Future[None]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            _threads().submit(self._close)

    async def close(self) -> None:
        """Unsubscribe; idempotent. After it no event is delivered, unless the device hangs."""
        await in_tango_thread(self._close)

    def _close(self) -> None:
        identity, self._identity = self._identity, None
        proxy, self._proxy = self._proxy, None
        if proxy is None or identity is None:
            return
        for _ in range(UNSUBSCRIBE_TRIES):
            try:
                proxy.unsubscribe_event(identity)
            except tango.DevFailed as error:
                # Tango's own thread holds the lock while it waits for a hung device.
                text = describe(error)
            else:
                return
        logger.warning("cannot unsubscribe from %s: %s", self.name, text)


async def wake_subscribers(admin_device: str, device: str, attributes: list[str]) -> None:
    """Make clients of attributes that were removed and added again hear them at once.

    Without this their old subscriptions stay silent for more than 200 s. While the admin device is
    busy (it may be just restarting the device) it is asked again.
    """
    for _ in range(WAKE_TRIES):
        try:
            await in_tango_thread(_wake, admin_device, device, attributes)
        except tango.DevFailed as error:
            text = describe(error)
            await asyncio.sleep(0.2)
        else:
            return
    logger.warning("subscribers of %s may be deaf for minutes: %s", attributes, text)


def _wake(admin_device: str, device: str, attributes: list[str]) -> None:
    admin = tango.DeviceProxy(admin_device)
    for attribute in attributes:
        # 6: the release of the event protocol.
        admin.command_inout(
            "ZmqEventSubscriptionChange", [device, attribute, "subscribe", "change", "6"]
        )
