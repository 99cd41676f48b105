"""A device server with one of everything: every Tango type as scalar, spectrum and image.

It knows PyTango and the table of values alone. `python -m tests.matrix.everything INSTANCE ...`
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import tango
from tango.server import Device, attribute, command, run

from .tango_forms import POINTING_NAME, POINTINGS, attribute_name, tango_rows, to_tango, type_of

LARGEST = 64


class Everything(Device):  # type: ignore[misc]
    """Attributes `float64_2x3` and so on that show sample after sample, and others to order."""

    def init_device(self) -> None:
        """Make an attribute of each row of the table; it holds the first sample."""
        super().init_device()
        self._samples: dict[str, list[Any]] = {POINTING_NAME: [list(item) for item in POINTINGS]}
        self._held: dict[str, Any] = {}
        self._add(POINTING_NAME, "DevDouble", 1)
        for row, ascii_only in itertools.product(tango_rows(), (False, True)):
            name = attribute_name(row, ascii_only=ascii_only)
            values = row.samples(label="label", ascii_only=ascii_only)
            self._samples[name] = [to_tango(value) for value in values]
            self._add(name, type_of(row), len(row.shape))
        self.Reset()

    def _add(self, name: str, dtype: Any, dimensions: int) -> None:
        for _ in range(dimensions):
            dtype = (dtype,)

        def read(_device: Device, _attribute: tango.Attribute) -> Any:
            return self._parts(name)

        def write(_device: Device, written: tango.WAttribute) -> None:
            value = written.get_write_value()
            self._hold(name, list(value) if dimensions and isinstance(value, tuple) else value)

        sizes = dict(zip(("max_dim_x", "max_dim_y"), (LARGEST,) * dimensions, strict=False))
        access = tango.AttrWriteType.READ_WRITE
        made = attribute(name=name, dtype=dtype, fget=read, fset=write, access=access, **sizes)
        self.add_attribute(made)
        self.set_change_event(name, True, False)

    def _parts(self, name: str) -> tuple[Any, ...]:
        held = self._held[name]
        value = held if isinstance(held, tuple) else (held,)
        return (*value, time.time(), tango.AttrQuality.ATTR_VALID)

    def _hold(self, name: str, value: Any) -> None:
        self._held[name] = value
        self.push_change_event(name, *self._parts(name))

    @command(dtype_in=int)  # type: ignore[untyped-decorator]
    def Push(self, index: int) -> None:  # noqa: N802
        """Every attribute shows its sample of that index, if it has one, and pushes it."""
        for name, samples in self._samples.items():
            if index < len(samples):
                self._hold(name, samples[index])

    @command  # type: ignore[untyped-decorator]
    def Reset(self) -> None:  # noqa: N802
        """Every attribute holds its first sample again; nothing is pushed."""
        self._held.update({name: samples[0] for name, samples in self._samples.items()})

    @command(dtype_in=str)  # type: ignore[untyped-decorator]
    def Make(self, orders: str) -> None:  # noqa: N802
        """Make attributes to be written, from JSON: [name, dtype, dimensions] each."""
        for name, dtype, dimensions in json.loads(orders):
            if name not in self._held:
                nothing = {"DevString": "", "DevEncoded": ("", b"")}.get(dtype, 0)
                self._held[name] = [] if dimensions else nothing
                self._add(name, dtype, dimensions)


if __name__ == "__main__":
    run((Everything,))
