"""A Tango device whose attribute `number` ticks, and which writes down each tick that it pushes.

Environment: TICKS (a file: the time of each tick in microseconds, which is its value too), TICK_S
(0: it does not tick), KIND (the form of `number`), POLLING_MS (the server polls `number` and makes
the events; it does not push them).
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import tango
from tango.server import Device, attribute, command, run

TICK_S = float(os.environ.get("TICK_S", "0.02"))
POLLING_MS = int(os.environ.get("POLLING_MS", "0"))
KIND = os.environ.get("KIND", "int")
FORMS: dict[str, Any] = {"int": int, "float": float, "str": str, "spectrum": (float,)}


class Ticking(Device):  # type: ignore[misc]
    def init_device(self) -> None:
        super().init_device()
        self._number: tuple[Any, float] = (self._value(), time.time())
        self._array = np.zeros(1000)
        self._stopped = TICK_S == 0
        self.set_change_event("array", True, False)
        if not self._stopped:
            threading.Thread(target=self._tick, daemon=True).start()

    def initialize_dynamic_attributes(self) -> None:
        self._add()

    def _add(self) -> None:
        options: dict[str, Any] = {"max_dim_x": 10} if KIND == "spectrum" else {}
        if POLLING_MS:
            options |= {"polling_period": POLLING_MS, "abs_change": 1}
        self.add_attribute(attribute(name="number", dtype=FORMS[KIND], fget=self._read, **options))
        if not POLLING_MS:
            self.set_change_event("number", True, False)

    def _read(self, _attribute: tango.Attribute) -> tuple[Any, float, tango.AttrQuality]:
        return (*self._number, tango.AttrQuality.ATTR_VALID)

    @staticmethod
    def _value() -> Any:
        number = time.time_ns() // 1_000
        return {"int": number, "float": float(number), "str": str(number), "spectrum": [1.0]}[KIND]

    def _tick(self) -> None:
        with (
            tango.EnsureOmniThread(),
            Path(os.environ.get("TICKS", os.devnull)).open("a", buffering=1) as ticks,
        ):
            while True:
                time.sleep(TICK_S)
                if not self._stopped:
                    self._push(ticks)

    def _push(self, ticks: Any) -> None:
        value = self._value()
        at = value / 1e6 if KIND == "int" else time.time()
        self._number = (value, at)
        with tango.AutoTangoMonitor(self):
            self.push_change_event("number", value, at, tango.AttrQuality.ATTR_VALID)
        ticks.write(f"{value}\n")

    @attribute(dtype=(float,), max_dim_x=1000)  # type: ignore[untyped-decorator]
    def array(self) -> Any:
        return self._array

    @command(dtype_in=int)  # type: ignore[untyped-decorator]
    def Burst(self, count: int) -> None:  # noqa: N802
        """Push so many arrays of 8 kB, filled with 1, 2, 3 and so on."""
        for _ in range(count):
            self._array = self._array + 1
            self.push_change_event("array", self._array)

    @command(dtype_in=bool)  # type: ignore[untyped-decorator]
    def Tick(self, on: bool) -> None:  # noqa: N802
        """Whether it ticks."""
        self._stopped = not on

    @command(dtype_in=int)  # type: ignore[untyped-decorator]
    def Change(self, value: int) -> None:  # noqa: N802
        """Change the number without an event."""
        self._number = (value, time.time())

    @command(dtype_in=int)  # type: ignore[untyped-decorator]
    def Push(self, value: int) -> None:  # noqa: N802
        """Change the number, with an event."""
        self._number = (value, time.time())
        self.push_change_event("number", *self._number, tango.AttrQuality.ATTR_VALID)

    @command  # type: ignore[untyped-decorator]
    def AddAnew(self) -> None:  # noqa: N802
        """Remove the attribute and add it again, which makes its subscribers deaf."""
        self.remove_attribute("number", False, False)
        self._add()


if __name__ == "__main__":
    run((Ticking,))
