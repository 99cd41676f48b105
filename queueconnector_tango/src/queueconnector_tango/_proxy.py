"""The client side of Tango: subscriptions, and attributes to write.

The only module of the clients that imports tango. Every call that may block runs in a pool of
threads that omniORB knows, so that a hung device never holds up the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any, TypeVar

import tango
from tango.utils import PyTangoThreadPoolExecutor

from queueconnector_core.errors import FatalError, RecordError, RetryableError
from queueconnector_tango._events import Event

__all__ = (
    "Subscription",
    "RemoteAttribute",
    "describe",
    "in_tango_thread",
    "wake_subscribers",
)

logger = logging.getLogger(__name__)

T = TypeVar("T")
WAKE_TRIES = 10
UNSUBSCRIBE_TRIES = 3

NOT_NOW = frozenset(
    {
        # Nobody answers.
        "API_CantConnectToDevice",
        "API_CantConnectToDatabase",
        "API_CommunicationFailed",
        "API_CorbaException",
        "API_DeviceNotExported",
        "API_DeviceTimedOut",
        "API_ServerNotRunning",
        # The device is busy, in a state in which it takes no value, or locked by another client.
        "API_CommandTimedOut",
        "API_AttrNotAllowed",
        "API_DeviceLocked",
        # The attribute is gone, or has become another one.
        "API_AttrNotFound",
        "API_AttrNotWritable",
        "API_IncompatibleAttrDataType",
    }
)
"""Reasons, anywhere in the stack of a Tango error, that are no refusal of the value itself. The
class of the error does not tell: with a dead server it is plain DevFailed."""

_FORMATS = {
    tango.AttrDataFormat.SCALAR: 0,
    tango.AttrDataFormat.SPECTRUM: 1,
    tango.AttrDataFormat.IMAGE: 2,
}
_READ_ONLY = tango.AttrWriteType.READ


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
        self.device_name = device_name
        self.attribute_name = attribute_name
        self._event_type = tango.EventType(event_type)
        self._stateless = stateless
        self._on_event = on_event
        self._proxy: tango.DeviceProxy | None = None
        self._identity: int | None = None
        self._changing = threading.Lock()
        self._closed = False

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
        with self._changing:
            self._subscribe(mode)

    def _subscribe(self, mode: tango.EventSubMode) -> None:
        if self._proxy is None:
            self._proxy = tango.DeviceProxy(self.device_name)
        self._identity = self._proxy.subscribe_event(
            self.attribute_name, self._event_type, self._on_event, sub_mode=mode
        )
        _call_directly(self._proxy, self._identity, self._on_event)

    def drop(self) -> None:
        """Unsubscribe, to subscribe again by `take_up`; blocks.

        Tango shares one connection among all subscriptions of the process to a server: a new one is
        made only after the last of them was dropped.
        """
        with self._changing:
            self._unsubscribe()

    def take_up(self) -> str:
        """Subscribe again; blocks. Gives the reason when it is not possible now, else "".

        Tango reads the attribute by itself and delivers that as an event.
        """
        with self._changing:
            if self._closed:
                return ""
            try:
                self._unsubscribe()
                self._subscribe(tango.EventSubMode.SyncRead)
            except tango.DevFailed as error:
                self._proxy = None
                return describe(error)
            return ""

    def _opened_in_vain(self, opening: asyncio.Future[None]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            _threads().submit(self._close)

    async def close(self) -> None:
        """Unsubscribe; idempotent. After it no event is delivered, unless the device hangs."""
        self._closed = True
        await in_tango_thread(self._close)

    def _close(self) -> None:
        with self._changing:
            self._unsubscribe()
            self._proxy = None

    def _unsubscribe(self) -> None:
        identity, self._identity = self._identity, None
        if self._proxy is None or identity is None:
            return
        for _ in range(UNSUBSCRIBE_TRIES):
            try:
                self._proxy.unsubscribe_event(identity)
            except tango.DevFailed as error:
                # Tango's own thread holds the lock while it waits for a hung device.
                text = describe(error)
            else:
                return
        logger.warning("cannot unsubscribe from %s: %s", self.name, text)


def _call_directly(
    proxy: tango.DeviceProxy, identity: int, on_event: Callable[[Event], None]
) -> None:
    """Spare each event what PyTango puts around the callback: a third of what it costs (ADR 27).

    It is made anew for each event, and traces a device's own methods only. Where a release of
    PyTango keeps its callbacks elsewhere, events come as before.
    """
    callback, *_ = getattr(proxy, "_subscribed_events", {}).get(identity, (None,))
    if hasattr(callback, "push_event"):
        callback.push_event = on_event


class RemoteAttribute:
    """An attribute of another device, as that device has described it.

    Finding and writing it blocks: only for `in_tango_thread`.
    """

    def __init__(self, device_name: str, attribute_name: str) -> None:
        """Ask the device; raises `RetryableError` when it is away or lacks the attribute."""
        self.name = f"{device_name.partition('#')[0]}/{attribute_name}"
        try:
            self._proxy = tango.DeviceProxy(device_name)
            # With the description PyTango writes at once; by name it asks for it each time.
            self.info = self._proxy.get_attribute_config(attribute_name)
        except tango.DevFailed as error:
            raise RetryableError(f"cannot find {self.name}: {describe(error)}") from None

    @property
    def is_writable(self) -> bool:
        """Whether clients may write it."""
        return bool(self.info.writable != _READ_ONLY)

    @property
    def tango_type(self) -> str:
        """Its type, such as `DevDouble`."""
        return str(tango.CmdArgType.values[self.info.data_type].name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The largest sizes, rows first; empty for a scalar."""
        sizes = (self.info.max_dim_y, self.info.max_dim_x)
        return sizes[2 - _FORMATS[self.info.data_format] :]

    def write(self, value: Any) -> None:
        """Write a value in Tango's form, and return when the device has confirmed it.

        Raises `RecordError` when the device refuses the value, `RetryableError` when it did not
        confirm it (after a time-out the value may arrive nevertheless) or takes none now.
        """
        try:
            self._proxy.write_attribute(self.info, value)
        except tango.DevFailed as error:
            text = f"{self.name}: {describe(error)}"
            if _is_refusal(error):
                raise RecordError(text) from None
            raise RetryableError(text) from None


def _is_refusal(error: tango.DevFailed) -> bool:
    """Whether the value is at fault, so that writing it again is in vain."""
    too_large = "MARSHAL_MessageSize" in error.args[0].desc
    return too_large or NOT_NOW.isdisjoint(part.reason for part in error.args)


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
