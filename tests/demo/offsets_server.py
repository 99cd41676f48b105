"""A device that offers pointing_cal_SKA001 and pointing_cal_SKA002 and pushes what it is told."""

import sys

from tango.server import Device, attribute, command, run


class Offsets(Device):  # type: ignore[misc]
    def init_device(self) -> None:
        super().init_device()
        self._values = {"SKA001": [0.0, 0.0, 0.0], "SKA002": [0.0, 0.0, 0.0]}
        for dish in self._values:
            self.set_change_event(f"pointing_cal_{dish}", True, False)

    @attribute(dtype=(float,), max_dim_x=3)  # type: ignore[untyped-decorator]
    def pointing_cal_SKA001(self) -> list[float]:  # noqa: N802
        return self._values["SKA001"]

    @attribute(dtype=(float,), max_dim_x=3)  # type: ignore[untyped-decorator]
    def pointing_cal_SKA002(self) -> list[float]:  # noqa: N802
        return self._values["SKA002"]

    @command(dtype_in=(str,))  # type: ignore[untyped-decorator]
    def Publish(self, words: list[str]) -> None:  # noqa: N802
        dish, *numbers = words
        self._values[dish] = [float(number) for number in numbers]
        self.push_change_event(f"pointing_cal_{dish}", self._values[dish])


if __name__ == "__main__":
    run([Offsets], ["Offsets", *sys.argv[1:]])
