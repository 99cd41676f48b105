"""A Tango device with one attribute of each type and format; it pushes what it is told to."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import tango
from tango.server import Device, attribute, command, run

TYPES = {
    "DevBoolean": "bool",
    "DevUChar": "uint8",
    "DevUShort": "uint16",
    "DevULong": "uint32",
    "DevULong64": "uint64",
    "DevShort": "int16",
    "DevLong": "int32",
    "DevLong64": "int64",
    "DevFloat": "float32",
    "DevDouble": "float64",
    "DevString": "str",
}
FORMATS = {"scalar": 0, "spectrum": 1, "image": 2}


class Publisher(Device):  # type: ignore[misc]
    def initialize_dynamic_attributes(self) -> None:
        self._values: dict[str, tuple[Any, ...]] = {}
        for type_name in TYPES:
            for form, dimensions in FORMATS.items():
                self._add(f"{type_name}_{form}", type_name, dimensions)
        self._add("DevEncoded_scalar", "DevEncoded", 0)

    def _add(self, name: str, type_name: str, dimensions: int) -> None:
        def read(_device: Device, _attribute: tango.Attribute) -> tuple[Any, ...]:
            return self._values[name]

        dtype: Any = type_name
        for _ in range(dimensions):
            dtype = (dtype,)
        sizes = {"max_dim_x": 100, "max_dim_y": 100} if dimensions else {}
        self.add_attribute(attribute(name=name, dtype=dtype, fget=read, **sizes))
        for declare in (self.set_change_event, self.set_archive_event, self.set_alarm_event):
            declare(name, True, False)
        empty: Any = ("", b"") if type_name == "DevEncoded" else ([] if dimensions else 0,)
        if type_name == "DevString" and not dimensions:
            empty = ("",)
        self._values[name] = (*empty, time.time(), tango.AttrQuality.ATTR_INVALID)

    @command(dtype_in=str)  # type: ignore[untyped-decorator]
    def Publish(self, text: str) -> None:  # noqa: N802
        """Push values of one attribute: {name, values, [time, quality, kind]}."""
        order = json.loads(text.encode("latin-1"))
        name = order["name"]
        push = getattr(self, f"push_{order.get('kind', 'change')}_event")
        quality = getattr(tango.AttrQuality, f"ATTR_{order.get('quality', 'VALID')}")
        for value in order["values"]:
            at = order.get("time", time.time())
            self._values[name] = (*self._parts(name, value), at, quality)
            push(name, *self._values[name])

    @staticmethod
    def _parts(name: str, value: Any) -> tuple[Any, ...]:
        type_name, form = name.split("_")
        if type_name == "DevEncoded":
            return value[0], value[1].encode("latin-1")
        if type_name == "DevString":
            return (octets(value),)
        if form == "scalar":
            return (np.array(value, TYPES[type_name]).item(),)
        return (np.array(value, TYPES[type_name]),)

    @command(dtype_in=int)  # type: ignore[untyped-decorator]
    def Burst(self, count: int) -> None:  # noqa: N802
        """Push the numbers from 1 to count on DevLong64_scalar as fast as it goes."""
        for value in range(1, count + 1):
            self.push_change_event("DevLong64_scalar", value)


def octets(value: Any) -> Any:
    """Text as UTF-8."""
    return [octets(part) for part in value] if isinstance(value, list) else value.encode()


if __name__ == "__main__":
    run((Publisher,))
