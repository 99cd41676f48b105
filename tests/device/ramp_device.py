"""A Tango device that pushes counted values at speed: a source whose losses show.

Its attribute `patient` is the other end: each value that is written takes a while.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import tango
from tango.server import Device, attribute, command, run

SIZE = 100


class Ramp(Device):  # type: ignore[misc]
    def init_device(self) -> None:
        super().init_device()
        self._value = 0
        self._patience_s = 0.03
        for name in ("count", "spectrum"):
            self.set_change_event(name, True, False)

    @attribute(dtype="DevLong64")  # type: ignore[untyped-decorator]
    def count(self) -> int:
        return self._value

    @attribute(dtype=("DevDouble",), max_dim_x=SIZE)  # type: ignore[untyped-decorator]
    def spectrum(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.full(SIZE, float(self._value))

    patient = attribute(dtype=float, access=tango.AttrWriteType.WRITE, doc="Takes its time.")

    def write_patient(self, _value: float) -> None:
        time.sleep(self._patience_s)

    @command(dtype_in=float, doc_in="seconds for each value that is written from now on")  # type: ignore[untyped-decorator]
    def TakeTime(self, patience_s: float) -> None:  # noqa: N802
        self._patience_s = patience_s

    @command(dtype_in=("DevLong64",), doc_in="how many values, and how many a second")  # type: ignore[untyped-decorator]
    def Begin(self, arguments: list[int]) -> None:  # noqa: N802
        threading.Thread(target=self._push, args=tuple(arguments), daemon=True).start()

    def _push(self, count: int, rate: int) -> None:
        with tango.EnsureOmniThread():
            begun = time.monotonic()
            for value in range(1, count + 1):
                self._value = value
                self.push_change_event("count", value)
                self.push_change_event("spectrum", np.full(SIZE, float(value)))
                time.sleep(max(0.0, begun + value / rate - time.monotonic()))


if __name__ == "__main__":
    run((Ramp,))
