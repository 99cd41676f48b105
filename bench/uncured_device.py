"""A plain PyTango device whose attribute can be removed and added again, without any cure."""

from __future__ import annotations

from typing import Any

from tango.server import Device, attribute, command, run


def _read(_device: Device, _attribute: Any) -> float:
    return 0.0


class Uncured(Device):  # type: ignore[misc]
    """Has one attribute, `x`."""

    def init_device(self) -> None:
        """Add the attribute."""
        super().init_device()
        self._add()

    def _add(self) -> None:
        definition = attribute(name="x", dtype=float, fget=_read)
        self.add_attribute(definition)
        self.set_change_event("x", True, False)

    @command  # type: ignore[untyped-decorator]
    def Renew(self) -> None:  # noqa: N802
        """Remove it and add it again, as whoever knows no better does."""
        self.remove_attribute("x", False, False)
        self._add()

    @command(dtype_in=float)  # type: ignore[untyped-decorator]
    def Push(self, value: float) -> None:  # noqa: N802
        """Send one event."""
        self.push_change_event("x", value)


if __name__ == "__main__":
    run((Uncured,))
