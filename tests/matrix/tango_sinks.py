"""The Tango sinks of the matrix, listened to by plain proxies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from .ends import Place, attribute_found
from .table import Row
from .tango_forms import attribute_name, has_type

__all__ = ("ArrayScatterSink", "LocalSink", "ObjectScatterSink", "RemoteSink")

Found = dict[str, tuple[Any, Any]]


@attrs.frozen
class LocalSink:
    """One attribute of the connector's device."""

    kind: str = "TangoLocalAttributeSink"
    encoding: str = ""
    local: bool = True

    def options(self, row: Row, place: Place) -> dict[str, Any]:
        """An attribute of its own."""
        return {"attribute_name": place.name()}

    def channels(self, row: Row, place: Place) -> list[str]:
        """Its events."""
        return [f"attribute:{place.name()}"]

    def found(self, row: Row, place: Place, samples: Sequence[Any]) -> Found:
        """The values of the events."""
        channel = self.channels(row, place)[0]
        return dict([attribute_found(place, channel, row.dtype, len(row.shape), list(samples))])


@attrs.frozen
class RemoteSink:
    """An attribute of the device with one of everything, made to be written."""

    kind: str = "TangoRemoteAttributeSink"
    encoding: str = ""
    local: bool = False

    def options(self, row: Row, place: Place) -> dict[str, Any]:
        """An attribute of its own."""
        name = place.name(attribute_name(row))
        return {"device_name": place.world.everything.trl(), "attribute_name": name}

    def channels(self, row: Row, place: Place) -> list[str]:
        """Its events."""
        return [f"remote:{place.name(attribute_name(row))}"]

    def found(self, row: Row, place: Place, samples: Sequence[Any]) -> Found:
        """What was written, as the device pushed it on."""
        channel = self.channels(row, place)[0]
        return dict(
            [attribute_found(place, channel, row.dtype, len(row.shape), list(samples))]
        )  # fmt: skip


@attrs.frozen
class ArrayScatterSink:
    """One attribute for each part along the first axis, and one for its shape."""

    kind: str = "TangoArrayScatterAttributeSink"
    encoding: str = ""
    local: bool = True

    def options(self, row: Row, place: Place) -> dict[str, Any]:
        """As many attributes as the first axis is long."""
        count = range(_parts(row))
        return {
            "attribute_names": [place.name(index) for index in count],
            "attribute_shape_names": [place.name(f"shape{index}") for index in count],
        }

    def channels(self, row: Row, place: Place) -> list[str]:
        """The events of all attributes."""
        options = self.options(row, place)
        names = [*options["attribute_names"], *options["attribute_shape_names"]]
        return [f"attribute:{name}" for name in names]

    def found(self, row: Row, place: Place, samples: Sequence[Any]) -> Found:
        """Parts of more than two dimensions are flat."""
        found: Found = {}
        dimensions = 1 if len(row.shape) > 2 else len(row.shape)
        for index in range(_parts(row)):
            parts = [np.array_split(value, _parts(row))[index] for value in samples]
            flat = [part if part.ndim <= 2 else part.reshape(-1) for part in parts]
            shapes = [np.array(part.shape, "int64") for part in parts]
            name = f"attribute:{place.name(index)}"
            shape_name = f"attribute:{place.name(f'shape{index}')}"
            found.update([
                attribute_found(place, name, row.dtype, dimensions, flat),
                attribute_found(place, shape_name, np.dtype("int64"), 1, shapes),
            ])  # fmt: skip
        return found


def _parts(row: Row) -> int:
    return max(row.shape[0], 1) if row.shape else 1


@attrs.frozen
class Pick:
    """One attribute of an object scatter sink, and what is to arrive there."""

    path: str
    dtype: str
    shape: list[int]
    expected: Callable[[Any], Any]


LARGEST = 8
WIDER = {"int8": "int16", "U8": "str"}


def picks(row: Row) -> list[Pick]:
    """What is picked out of a record: all of it where Tango can carry that, else its parts."""
    shape = [LARGEST if size < 0 else max(size, 1) for size in row.shape]
    if row.name == "object":
        fields = {"type": "str", "state": "str", "time": "float64"}
        return [Pick(name, dtype, [], _Item(name)) for name, dtype in fields.items()]
    if row.name in {"structured", "pointing"}:
        return _fields(row, shape)
    dtype = WIDER.get(row.name, row.name if has_type(row) else "str")
    if len(shape) > 2:
        return [
            Pick(f"[{index}]", dtype, shape[1:], _Part(index, dtype)) for index in range(shape[0])
        ]
    return [Pick("@", dtype, shape, _Part(None, dtype))]


def _fields(row: Row, shape: list[int]) -> list[Pick]:
    """The scalar fields by name, from every row or, of three dimensions, from the first plane."""
    first = 0 if len(shape) > 2 else None
    levels = "[0]" * (len(shape) > 2) + "[*]" * min(len(shape), 2)
    within = shape[1:] if len(shape) > 2 else shape
    types = {"antenna_name": "str", "ts": "str"}
    names = [name for name in row.dtype.names or () if not row.dtype[name].shape]
    return [
        Pick(
            f"{levels}.{name}".lstrip("."), types.get(name, "float64"), within,
            _Field(name, first, types.get(name, "float64")),
        )
        for name in names
    ]  # fmt: skip


@attrs.frozen
class _Item:
    name: str

    def __call__(self, value: Any) -> Any:
        return value[self.name]


@attrs.frozen
class _Part:
    index: int | None
    dtype: str

    def __call__(self, value: Any) -> Any:
        part = value if self.index is None else value[self.index]
        return _as(self.dtype, part)


@attrs.frozen
class _Field:
    name: str
    first: int | None
    dtype: str

    def __call__(self, value: Any) -> Any:
        return _as(self.dtype, (value if self.first is None else value[self.first])[self.name])


def _as(dtype: str, value: Any) -> Any:
    """A value in the dtype of the attribute; text of what Tango has no type for."""
    if isinstance(value, np.ndarray) and dtype == "str" and value.dtype.kind == "c":
        return np.array([str(item) for item in value.ravel().tolist()], "U").reshape(value.shape)
    if isinstance(value, np.ndarray):
        return value.astype("U" if dtype == "str" else dtype)
    if dtype == "str":
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


@attrs.frozen
class ObjectScatterSink:
    """Attributes whose values are picked out of each record."""

    kind: str = "TangoObjectScatterAttributeSink"
    encoding: str = ""
    local: bool = True

    def options(self, row: Row, place: Place) -> dict[str, Any]:
        """One attribute for each pick."""
        return {
            "attributes": [
                {
                    "attribute_name": place.name(index),
                    "dtype": pick.dtype,
                    "shape": pick.shape,
                    "path": pick.path,
                }
                for index, pick in enumerate(picks(row))
            ]
        }

    def channels(self, row: Row, place: Place) -> list[str]:
        """The events of all attributes."""
        return [f"attribute:{place.name(index)}" for index in range(len(picks(row)))]

    def found(self, row: Row, place: Place, samples: Sequence[Any]) -> Found:
        """What each attribute showed."""
        found: Found = {}
        for channel, pick in zip(self.channels(row, place), picks(row), strict=True):
            dtype = np.dtype("U" if pick.dtype == "str" else pick.dtype)
            expected = [pick.expected(value) for value in samples]
            found.update([attribute_found(place, channel, dtype, len(pick.shape), expected)])
        return found
