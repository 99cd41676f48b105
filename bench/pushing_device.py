"""A plain PyTango device that pushes numbered values, in a burst or at a rate."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import tango
from tango.server import Device, attribute, command, run

SIZE = 1000


class Pushing(Device):  # type: ignore[misc]
    """Pushes the numbers from 1 on, or the time; each element of the spectrum is the same."""

    def init_device(self) -> None:
        """Declare the events."""
        super().init_device()
        for name in ("scalar", "spectrum"):
            self.set_change_event(name, True, False)

    @attribute(dtype=float)  # type: ignore[untyped-decorator]
    def scalar(self) -> float:
        """What stood there before the first push."""
        return 0.0

    @attribute(dtype=(float,), max_dim_x=SIZE)  # type: ignore[untyped-decorator]
    def spectrum(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """What stood there before the first push."""
        return np.zeros(SIZE)

    @command(dtype_in=(str,), doc_in="attribute, how many, how many a second (0: a burst)")  # type: ignore[untyped-decorator]
    def Push(self, order: list[str]) -> None:  # noqa: N802
        """Begin to push; with a rate the values are times in seconds since the Unix epoch."""
        name, count, rate = order
        arguments = (name, int(count), float(rate))
        threading.Thread(target=self._push, args=arguments, daemon=True).start()

    def _push(self, name: str, count: int, rate: float) -> None:
        with tango.EnsureOmniThread():
            begun = time.monotonic()
            for number in range(1, count + 1):
                if rate:
                    # The pace itself: each push is due at its own time.
                    time.sleep(max(0.0, begun + number / rate - time.monotonic()))
                told = time.time() if rate else float(number)
                self.push_change_event(name, told if name == "scalar" else np.full(SIZE, told))


if __name__ == "__main__":
    run((Pushing,), args=["pushing_device", *sys.argv[1:]])
