"""Simulated dishes as Tango devices, all in one server process.

Run as ``python -m pointing_loop.dish sim -nodb -dlist mid-dish/dish-manager/ska001 ...``.
"""

import json
import os
import queue
import sys
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import tango
from tango import AttrQuality, AttrWriteType, DevState
from tango.server import Device, attribute, run

from pointing_loop.mount import Mount, Sample, true_residual
from pointing_loop.names import dish_id
from pointing_loop.track import Floats, calibrator, tai_now, tai_to_unix

__all__ = ("SETTINGS_VARIABLE", "Dish", "Settings", "main")

SETTINGS_VARIABLE = "POINTING_LOOP_DISH"
"""Environment variable with the settings: a server without a database has no properties."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all dishes of a server share."""

    source: str
    """Name of the calibrator to follow."""
    rate_hz: float
    """Pointings a second from each dish."""
    seed: int
    """Decides the hidden pointing errors."""


class Dish(Device):  # type: ignore[misc]
    """A dish that follows a calibrator, reports where its beam is and applies pointing offsets.

    As TMC's dish leaf node does, it takes the address of its offsets through the attribute
    ``sdpQueueConnectorFqdn`` and subscribes to their change events. An offset with a NaN is kept
    in mind (state ALARM) but not applied. ``beamError`` is the simulator's truth, for the display
    alone: nothing in the loop reads it.
    """

    settings: ClassVar[Settings]

    def init_device(self) -> None:
        """Start to follow the source, uncorrected."""
        super().init_device()
        number = int("".join(filter(str.isdigit, dish_id(self.get_name()))))
        self._mount = Mount(calibrator(self.settings.source), seed=self.settings.seed + number)
        self._latest = self._mount.observe(tai_now())
        self._offset = np.array([0.0, 0.0, 0.0])
        self._address = ""
        self._addresses: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._offsets: queue.SimpleQueue[tango.EventData] = queue.SimpleQueue()
        self._subscription: tuple[tango.DeviceProxy, int] | None = None
        for name in ("State", "achievedPointing", "beamError", "appliedOffset"):
            self.set_change_event(name, True, False)
        self.set_state(DevState.STANDBY)
        self._stopping = threading.Event()
        self._tracking = threading.Thread(target=self._track, name="tracking", daemon=True)
        self._tracking.start()

    def delete_device(self) -> None:
        """Stop moving and drop the subscription."""
        self._stopping.set()
        # The tracking thread needs the device's monitor to push: waiting must not hold it.
        with tango.AutoTangoAllowThreads(self):
            self._tracking.join()
        super().delete_device()

    @attribute(dtype=(float,), max_dim_x=3, doc="TAI seconds since 2000, azimuth, elevation (deg)")
    def achievedPointing(self) -> list[float]:  # noqa: N802
        """Where the beam was measured to point."""
        return [self._latest.tai_s, *self._latest.reported]

    @attribute(dtype=(float,), max_dim_x=3, doc="TAI seconds since 2000, cross-el, el (arcsec)")
    def beamError(self) -> list[float]:  # noqa: N802
        """The simulator's truth: how far the beam is from the source."""
        return [self._latest.tai_s, *true_residual(self._latest)]

    @attribute(dtype=(float,), max_dim_x=3, doc="scan, cross-elevation, elevation (deg)")
    def appliedOffset(self) -> Floats:  # noqa: N802
        """The static offset in use and the scan it came from."""
        return self._offset

    @attribute(dtype=str, access=AttrWriteType.READ_WRITE)
    def sdpQueueConnectorFqdn(self) -> str:  # noqa: N802
        """TRL of the offsets' attribute, ``{dish_id}`` standing for this dish."""
        return self._address

    @sdpQueueConnectorFqdn.write  # type: ignore[no-redef]
    def sdpQueueConnectorFqdn(self, address: str) -> None:  # noqa: N802
        """Subscribe there; an unchanged address is ignored, as the leaf node does."""
        if address != self._address:
            self._address = address
            self._addresses.put(address)

    def _track(self) -> None:
        with tango.EnsureOmniThread():
            period = 1.0 / self.settings.rate_hz
            due = time.monotonic()
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                due += period
                self._take_new_address()
                self._take_new_offsets()
                self._latest = self._mount.observe(tai_now())
                self._push(self._latest)
            self._unsubscribe()

    def _push(self, sample: Sample) -> None:
        when = tai_to_unix(sample.tai_s)
        pointing = [sample.tai_s, *sample.reported]
        self.push_change_event("achievedPointing", pointing, when, AttrQuality.ATTR_VALID)
        error = [sample.tai_s, *true_residual(sample)]
        self.push_change_event("beamError", error, when, AttrQuality.ATTR_VALID)

    def _take_new_address(self) -> None:
        while not self._addresses.empty():
            self._unsubscribe()
            address, _, fragment = self._addresses.get().partition("#")
            device, _, name = address.rpartition("/")
            proxy = tango.DeviceProxy(f"{device}#{fragment}" if fragment else device)
            # AsyncRead does not block and keeps trying, should the attribute not be there yet.
            subscription = proxy.subscribe_event(
                name.format(dish_id=dish_id(self.get_name())),
                tango.EventType.CHANGE_EVENT,
                self._offsets.put,
                sub_mode=tango.EventSubMode.AsyncRead,
            )
            self._subscription = (proxy, subscription)

    def _unsubscribe(self) -> None:
        if self._subscription is not None:
            proxy, subscription = self._subscription
            proxy.unsubscribe_event(subscription)
            self._subscription = None

    def _take_new_offsets(self) -> None:
        while not self._offsets.empty():
            event = self._offsets.get()
            if event.err or event.attr_value is None or event.attr_value.value is None:
                continue
            self._apply(np.asarray(event.attr_value.value, dtype=np.float64))

    def _apply(self, offset: Floats) -> None:
        usable = offset.shape == (3,) and bool(np.isfinite(offset).all())
        self.set_state(DevState.ON if usable else DevState.ALARM)
        self.push_change_event("State")
        if usable:
            self._offset = offset
            self._mount.load_static_offset(float(offset[1]), float(offset[2]))
            self.push_change_event("appliedOffset", offset)


def main() -> None:
    """Serve dishes: Tango's usual arguments, and ``Settings`` as JSON in the environment."""
    Dish.settings = Settings(**json.loads(os.environ[SETTINGS_VARIABLE]))
    sys.exit(run([Dish], ["Dish", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
