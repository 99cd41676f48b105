"""A Tango device with a writable attribute of each type and format; it notes what is written."""

from __future__ import annotations

import enum
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import tango
from tango import AttrWriteType
from tango.server import Device, attribute, command, run

TYPES = (
    "DevBoolean",
    "DevUChar",
    "DevUShort",
    "DevULong",
    "DevULong64",
    "DevShort",
    "DevLong",
    "DevLong64",
    "DevFloat",
    "DevDouble",
    "DevString",
)
FORMATS = {"scalar": 0, "spectrum": 1, "image": 2}


class Gear(enum.IntEnum):
    LOW = 0
    HIGH = 1


def note(name: str, value: Any) -> None:
    """Keep what was written where it outlives a killed process."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, tuple):
        value = [value[0], value[1].decode("latin-1")]
    with Path(os.environ["RECEIVER_NOTES"]).open("a") as notes:
        notes.write(json.dumps([name, value]) + "\n")


class Receiver(Device):  # type: ignore[misc]
    def initialize_dynamic_attributes(self) -> None:
        for type_name in TYPES:
            for form, dimensions in FORMATS.items():
                self._add(f"{type_name}_{form}", type_name, dimensions)
        self._add("DevEncoded_scalar", "DevEncoded", 0)
        self._add("gear", Gear, 0)
        self.set_change_event("gear", True, False)

    def _add(self, name: str, type_name: Any, dimensions: int) -> None:
        def read(_device: Device, _attribute: tango.Attribute) -> Any:
            return Gear.HIGH

        def write(_device: Device, written: tango.WAttribute) -> None:
            note(name, written.get_write_value())

        dtype: Any = type_name
        for _ in range(dimensions):
            dtype = (dtype,)
        sizes = {"max_dim_x": 7, "max_dim_y": 5} if dimensions else {}
        access = AttrWriteType.READ_WRITE if type_name is Gear else AttrWriteType.WRITE
        reading = {"fget": read} if type_name is Gear else {}
        self.add_attribute(
            attribute(name=name, dtype=dtype, access=access, fset=write, **reading, **sizes)
        )

    fixed = attribute(dtype=float, fget=lambda _: 1.0, doc="Read-only.")
    patient = attribute(dtype=int, access=AttrWriteType.WRITE, doc="Takes 2 ms for each value.")
    limited = attribute(dtype=float, access=AttrWriteType.WRITE, min_value=-1, max_value=1)
    moody = attribute(dtype=int, access=AttrWriteType.WRITE, doc="Refuses odd numbers.")
    gated = attribute(dtype=int, access=AttrWriteType.WRITE, doc="Only in state ON.")

    def write_patient(self, value: int) -> None:
        time.sleep(0.002)
        note("patient", value)

    def write_limited(self, value: float) -> None:
        note("limited", value)

    def write_moody(self, value: int) -> None:
        if value % 2:
            raise ValueError(f"{value} is odd")
        note("moody", value)

    def write_gated(self, value: int) -> None:
        note("gated", value)

    def is_gated_allowed(self, _request: Any) -> bool:
        return bool(self.get_state() == tango.DevState.ON)

    @command  # type: ignore[untyped-decorator]
    def Open(self) -> None:  # noqa: N802
        """Let the gated attribute be written."""
        self.set_state(tango.DevState.ON)

    @command  # type: ignore[untyped-decorator]
    def Replace(self) -> None:  # noqa: N802
        """Make DevShort_scalar a DevString."""
        self.remove_attribute("DevShort_scalar", False, False)
        self._add("DevShort_scalar", "DevString", 0)


if __name__ == "__main__":
    run((Receiver,))
