"""What the vigil asks of a device and of Tango: heartbeat, readings, history, event counters.

Every function blocks: only for `in_vigil_thread`, which is apart from the threads of all other
calls, so that devices that hang hold up nobody else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final, TypeVar

import attrs
import tango
from tango.utils import PyTangoThreadPoolExecutor

from queueconnector_tango._events import Form, Reading, form_of, read_value
from queueconnector_tango._proxy import Subscription, describe

__all__ = (
    "Identity",
    "Silence",
    "Polled",
    "Lookout",
    "drop",
    "take_up",
    "counter_key",
    "in_vigil_thread",
)

T = TypeVar("T")

PROBE_TIMEOUT_MS: Final = 1_000
"""A device that does not answer for so long is in doubt."""

VIGIL_THREADS: Final = 64
"""So many devices may hang at the same time before others are asked less often."""

HISTORY_DEPTH: Final = 1_000

_POLLED: Final = re.compile(r"Polled attribute name = (\S+)")
_HOST: Final = re.compile(r"tango://[^:/]*", re.IGNORECASE)


class Silence(Exception):  # noqa: N818 - what the device does
    """The device did not answer; the text says what happened instead."""


@attrs.frozen
class Identity:
    """Two starts of one server differ in this: it listens for events on other ports each time.

    A ping cannot tell: Tango connects anew by itself, even with transparent reconnection off.
    """

    heartbeat: str
    event: str
    """Empty until somebody subscribes to an event of the server."""

    def is_another_than(self, former: Identity) -> bool:
        """Whether the server was started anew since it was `former`."""
        return self.heartbeat != former.heartbeat or former.event not in {"", self.event}


NOBODY: Final = Identity("", "")


@attrs.frozen
class Polled:
    """What reading an attribute gave."""

    reading: Reading
    form: Form
    history: tuple[Reading, ...] = ()
    """What the device's server polled before, oldest first."""


@cache
def _threads() -> PyTangoThreadPoolExecutor:
    return PyTangoThreadPoolExecutor(max_workers=VIGIL_THREADS, thread_name_prefix="tango-vigil")


async def in_vigil_thread(function: Callable[..., T], *args: Any) -> T:
    """Call a function of this module without holding up the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), partial(function, *args))


class Lookout:
    """One device; never asked by two threads at a time."""

    def __init__(self, device_name: str) -> None:
        self._name = device_name
        self.server = ""
        """The admin device of its server, once it has answered."""
        # Proxies, once it has answered: only then there is more to ask.
        self._device: Any = None
        self._admin: Any = None
        self._identity = NOBODY
        self._polled: frozenset[str] | None = None
        """The attributes that the server polls itself, in lower case; None: not asked yet."""

    def probe(self) -> Identity:
        """Ask the device and its server for a sign of life; raises `Silence`."""
        try:
            if self._device is None or self._admin is None:
                self._device = _proxy(self._name)
                self.server = self._device.adm_name()
                self._admin = _proxy(self.server)
            self._device.ping()
            identity = _identity(self._admin)
        except tango.DevFailed as error:
            # Tango connects an old proxy at most once in a second; a new one connects at once.
            self._device = self._admin = self._polled = None
            raise Silence(describe(error)) from None
        if identity.is_another_than(self._identity):
            self._polled = None
        self._identity = identity
        return identity

    def read(self, names: Sequence[str], with_history: bool) -> dict[str, Polled | str]:
        """Read several attributes at once: what each gave, or why it gave nothing."""
        histories = {name: self._history(name) for name in names} if with_history else {}
        try:
            answers = self._device.read_attributes(list(names))
        except tango.DevFailed as error:
            return dict.fromkeys(names, describe(error))
        return {
            name: describe(tango.DevFailed(*answer.get_err_stack()))
            if answer.has_failed
            else Polled(read_value(answer), form_of(answer), histories.get(name, ()))
            for name, answer in zip(names, answers, strict=True)
        }

    def _history(self, name: str) -> tuple[Reading, ...]:
        """What the server polled; failed readings left out."""
        try:
            if self._polled is None:
                found = (_POLLED.search(text) for text in self._device.polling_status())
                self._polled = frozenset(match[1].lower() for match in found if match)
            if name.lower() not in self._polled:
                return ()
            entries = self._device.attribute_history(name, HISTORY_DEPTH)
        except tango.DevFailed:
            return ()
        return tuple(read_value(entry) for entry in entries if not entry.has_failed)

    def least_change(self, name: str) -> tuple[float, float]:
        """By how much, and how many percent, the attribute must change to be told; 0: any."""
        try:
            event = self._device.get_attribute_config(name).events.ch_event
        except tango.DevFailed:
            return 0.0, 0.0
        return _number(event.abs_change), _number(event.rel_change)

    def pushed_events(self) -> dict[str, int]:
        """How many events the server has pushed, by `counter_key`; empty before Tango 10."""
        try:
            answer = json.loads(self._admin.command_inout("QueryEventSystem"))
        except (tango.DevFailed, ValueError):
            return {}
        counters = (answer.get("server") or {}).get("event_counters") or {}
        # The counter stands at the number that the next event will have.
        return {counter_key(name): count - 1 for name, count in counters.items()}


def counter_key(name: str) -> str:
    """A name for event counters: Tango writes the host now as a name, now as a number."""
    attribute, _, kind = name.lower().rpartition(".")
    return f"{_HOST.sub('', attribute, count=1)}.{re.sub('^idl[0-9]+_', '', kind)}"


def _identity(admin: tango.DeviceProxy) -> Identity:
    try:
        answer = admin.command_inout("ZmqEventSubscriptionChange", ["info"])
    except tango.DevFailed as error:
        if error.args[0].reason in {"API_CommandNotFound", "API_UnsupportedFeature"}:
            return NOBODY  # Before Tango 8.
        raise
    heartbeat, event = answer[1][:2]
    return Identity(heartbeat, event.partition(":")[2].strip())


def drop(subscriptions: Sequence[Subscription]) -> None:
    """Unsubscribe for a while."""
    for subscription in subscriptions:
        subscription.drop()


def take_up(subscriptions: Sequence[Subscription]) -> list[str]:
    """Subscribe again: why it was not possible, for each, or ""."""
    return [subscription.take_up() for subscription in subscriptions]


def _proxy(name: str) -> tango.DeviceProxy:
    proxy = tango.DeviceProxy(name)
    proxy.set_timeout_millis(PROBE_TIMEOUT_MS)
    proxy.set_transparency_reconnection(False)
    return proxy


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
