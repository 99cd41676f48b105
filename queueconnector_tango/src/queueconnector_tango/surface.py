"""What the device does for its dynamic attributes, in the way that its threads need.

* Attributes are added and removed under the device's monitor, are `ATTR_NO_SYNC`, and are closed to
  readers before they go.
* Reads return from memory, without a way through the event loop.
* Events are pushed from the loop's thread only: from several threads they would lose their order.
  They are pushed in two steps, since the one call that PyTango has for it costs twice as much.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import tango
from tango.server import Device, attribute
from tango.test_context import get_server_host_port

from queueconnector_core.errors import RecordError
from queueconnector_core.record import Quality
from queueconnector_tango._proxy import describe, wake_subscribers
from queueconnector_tango.attributes import LocalAttribute
from queueconnector_tango.dtypes import max_dimensions, tango_type
from queueconnector_tango.kept_values import Snapshot

__all__ = ("DeviceSurface", "ATTRIBUTE_REMOVED")

ATTRIBUTE_REMOVED = "QueueConnector_AttributeRemoved"

_QUALITIES = {
    Quality.VALID: tango.AttrQuality.ATTR_VALID,
    Quality.INVALID: tango.AttrQuality.ATTR_INVALID,
    Quality.ALARM: tango.AttrQuality.ATTR_ALARM,
    Quality.CHANGING: tango.AttrQuality.ATTR_CHANGING,
    Quality.WARNING: tango.AttrQuality.ATTR_WARNING,
}


class DeviceSurface:
    """The attributes of a device, for `LocalAttributes`.

    `in_loop` hands a function over to the event loop from any thread.
    """

    def __init__(self, device: Device, in_loop: Callable[[Callable[[], None]], object]) -> None:
        self._device = device
        self._in_loop = in_loop
        self._added: dict[str, tango.Attribute] = {}
        """Tango's own objects: to use one after it was removed ends the process."""

    def add_local(self, local: LocalAttribute) -> None:
        """Make the attribute exist, with change events that are pushed by `push_local`."""

        def read(_device: Device, asked: tango.Attribute) -> None:
            # What is returned instead, PyTango would take apart with much ado.
            asked.set_value_date_quality(*_in_parts(local, local.snapshot))

        def write(_device: Device, written: tango.WAttribute) -> None:
            # Readers see it when the client's call returns; subscribers hear it from the loop.
            snapshot = local.take_written(written.get_write_value())
            self._in_loop(lambda: self._push(local, snapshot))

        def is_allowed(_device: Device, _request: tango.AttReqType) -> bool:
            return local.open

        spec = local.claim.spec
        dtype: Any = tango_type(spec)
        for _ in spec.shape:
            dtype = (dtype,)
        access = {"fset": write, "access": tango.AttrWriteType.READ_WRITE} if local.writable else {}
        definition = attribute(
            name=local.name,
            dtype=dtype,
            fget=read,
            fisallowed=is_allowed,
            green_mode=False,
            **access,
            **max_dimensions(spec),
        )
        with tango.AutoTangoMonitor(self._device):
            self._device.add_attribute(definition)
            self._device.set_change_event(local.name, True, False)
            added = self._device.get_device_attr().get_attr_by_name(local.name)
            # With a mutex of its own an attribute is freed while a reader still holds it.
            added.set_attr_serial_model(tango.AttrSerialModel.ATTR_NO_SYNC)
            self._added[local.name] = added

    def remove_local(self, local: LocalAttribute) -> None:
        """Make the attribute no longer exist."""
        del self._added[local.name]
        with tango.AutoTangoMonitor(self._device):
            # Cleaning the database crashes a server that has none.
            self._device.remove_attribute(local.name, False, False)

    def push_local(self, local: LocalAttribute) -> None:
        """Send what the attribute holds; raises `RecordError` when Tango refuses it."""
        self._push(local, local.snapshot)

    def _push(self, local: LocalAttribute, snapshot: Snapshot) -> None:
        if (added := self._added.get(local.name)) is None:
            raise RecordError("the device has it no more")
        try:
            # A read sets the value of the same object: none may come in between.
            with tango.AutoTangoMonitor(self._device):
                added.set_value_date_quality(*_in_parts(local, snapshot))
                added.fire_change_event()
        except tango.DevFailed as error:
            raise RecordError(describe(error)) from None
        except (TypeError, ValueError, OverflowError) as error:
            raise RecordError(f"{type(error).__name__}: {error}") from None

    def tell_removed(self, local: LocalAttribute) -> None:
        """Subscribers get an error; by itself Tango would leave them in silence."""
        text = f"attribute {local.name} was removed or changed by a new configuration"
        try:
            tango.Except.throw_exception(ATTRIBUTE_REMOVED, text, "SDPQueueConnector.Configure")
        except tango.DevFailed as error:
            self._device.push_change_event(local.name, error)

    async def wake_subscribers(self, names: Sequence[str]) -> None:
        """Let subscribers of attributes that existed before hear them again."""
        util = tango.Util.instance()
        while util.is_svr_starting():  # noqa: ASYNC110 - Tango does not tell when it is done
            await asyncio.sleep(0.1)
        host, port = get_server_host_port()
        admin = f"tango://{host}:{port}/{util.get_dserver_device().get_name()}#dbase=no"
        await wake_subscribers(admin, self._device.get_name(), list(names))


def _in_parts(local: LocalAttribute, held: Snapshot) -> tuple[Any, ...]:
    """Value (label and octets: two parts), time and quality, as PyTango takes them."""
    quality = _QUALITIES[held.quality]
    if local.is_pair:
        return (*held.value, held.time_s, quality)
    return (held.value, held.time_s, quality)
