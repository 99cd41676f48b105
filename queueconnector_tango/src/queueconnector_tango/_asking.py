"""Asks a device about one attribute: what it is, and what it holds now.

Every function blocks: only for `in_tango_thread`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs
import tango

from queueconnector_core.errors import RetryableError
from queueconnector_tango._events import Form
from queueconnector_tango._proxy import RemoteAttribute, describe

__all__ = ("AttributeState", "DeviceAwayError", "NoAttributeError", "attribute_state")

TIMEOUT_MS: Final = 3_000


class DeviceAwayError(RetryableError):
    """The device does not answer."""


class NoAttributeError(RetryableError):
    """The device has no such attribute; `others` are those that it has."""

    def __init__(self, text: str, others: Sequence[str]) -> None:
        super().__init__(text)
        self.others = tuple(others)


@attrs.frozen
class AttributeState:
    """What a device says about an attribute."""

    form: Form
    shape: tuple[int, ...]
    """The largest sizes, rows first; empty for a scalar."""
    is_readable: bool
    is_writable: bool
    value: Any = None
    """What it holds now; None where that could not be read."""


def attribute_state(device_name: str, attribute_name: str, *, read: bool) -> AttributeState:
    """Ask the device; with `read` also for the value.

    Raises `DeviceAwayError`, or `NoAttributeError`.
    """
    name = device_name.partition("#")[0]
    try:
        proxy = tango.DeviceProxy(device_name)
        proxy.set_timeout_millis(TIMEOUT_MS)
        proxy.ping()
        known = list(proxy.get_attribute_list())
    except tango.DevFailed as error:
        raise DeviceAwayError(f"{name} does not answer: {describe(error)}") from None
    if attribute_name.casefold() not in map(str.casefold, known):
        raise NoAttributeError(f"{name} has no attribute {attribute_name!r}", known)
    attribute = RemoteAttribute(device_name, attribute_name)
    info = attribute.info
    form = Form(attribute.tango_type, info.data_format.name)
    readable = bool(info.writable != tango.AttrWriteType.WRITE)
    value = _value(proxy, attribute_name) if read and readable else None
    return AttributeState(form, attribute.shape, readable, attribute.is_writable, value)


def _value(proxy: tango.DeviceProxy, attribute_name: str) -> Any:
    try:
        return proxy.read_attribute(attribute_name).value
    except tango.DevFailed:
        return None  # a device may refuse to be read now, and give events later
