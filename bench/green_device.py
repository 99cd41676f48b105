"""The least asyncio device with an attribute, as PyTango's documentation writes it."""

from __future__ import annotations

import sys

from tango import GreenMode
from tango.server import Device, attribute, run


class Green(Device):  # type: ignore[misc]
    """Has one number, which is read in its event loop."""

    green_mode = GreenMode.Asyncio

    @attribute(dtype=float)  # type: ignore[untyped-decorator]
    async def scalar(self) -> float:
        """The number."""
        return 0.0


if __name__ == "__main__":
    run((Green,), args=["green_device", *sys.argv[1:]])
