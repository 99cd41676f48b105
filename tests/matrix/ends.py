"""The sources and sinks of the matrix: how each is configured, fed and listened to.

A `Place` gives the two ends of one exchange names of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import numpy as np

from queueconnector_memory import store

from . import wire
from .table import Row
from .tango_forms import (
    POINTING_NAME,
    attribute_name,
    from_tango,
    pointing_rows,
)
from .world import World

__all__ = (
    "ENCODINGS",
    "KafkaSink",
    "KafkaSource",
    "MemorySink",
    "MemorySource",
    "Place",
    "PointingSource",
    "SinkEnd",
    "SourceEnd",
    "SubscriptionSource",
)

ENCODINGS = ("python", "json", "utf-8", "ascii", "msgpack_numpy", "npy", "carray")
LABEL = "application/x-label"


@attrs.frozen
class Place:
    """Where the exchange stands in a configuration; unique while that lasts."""

    number: int
    world: World
    sink: int = 0

    def topic(self, end: str) -> str:
        """A topic of its own."""
        return f"matrix-{end}-{self.number}-{self.sink}"

    def name(self, part: object = "") -> str:
        """The name of an attribute, or a key, of its own."""
        return f"a{self.number}_{self.sink}_{part}"


class SourceEnd(Protocol):
    """A source with the far end that feeds it."""

    @property
    def kind(self) -> str:
        """The type name."""

    @property
    def encoding(self) -> str:
        """The encoding or label; empty where there is none."""

    def options(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, Any]:
        """The options that a configuration has beside `type`."""

    def samples(self, row: Row, *, ascii_only: bool) -> list[Any]:
        """What comes out of the source when it is fed."""

    def feed(self, row: Row, place: Place, samples: Sequence[Any]) -> None:
        """Give it the samples; attributes are pushed for all exchanges at once elsewhere."""


class SinkEnd(Protocol):
    """A sink with the far end that listens."""

    @property
    def kind(self) -> str:
        """The type name."""

    @property
    def encoding(self) -> str:
        """The encoding or label; empty where there is none."""

    @property
    def local(self) -> bool:
        """Whether it needs the device server."""

    def options(self, row: Row, place: Place) -> dict[str, Any]:
        """The options that a configuration has beside `type`."""

    def channels(self, row: Row, place: Place) -> list[str]:
        """Where each value arrives."""

    def found(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, tuple[Any, Any]]:
        """By channel: what arrived, and what was to arrive."""


@attrs.frozen
class MemorySource:
    """Values in the configuration."""

    kind: str = "InMemorySource"
    encoding: str = ""

    def options(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, Any]:
        """The values themselves."""
        return {"data": [wire.in_memory(row, value) for value in samples]}

    def samples(self, row: Row, *, ascii_only: bool) -> list[Any]:
        """Everything in the table."""
        return row.samples(ascii_only=ascii_only, label="")

    def feed(self, row: Row, place: Place, samples: Sequence[Any]) -> None:
        """Nothing: it has its values."""


@attrs.frozen
class KafkaSource:
    """Messages written by librdkafka, encoded by the reference libraries."""

    encoding: str
    kind: str = "KafkaConsumerSource"

    def options(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, Any]:
        """A topic of its own."""
        return _topic(place, "in", self.encoding)

    def samples(self, row: Row, *, ascii_only: bool) -> list[Any]:
        """Octets come with the label of the configuration."""
        return row.samples(ascii_only=ascii_only or self.encoding == "ascii", label=self.encoding)

    def feed(self, row: Row, place: Place, samples: Sequence[Any]) -> None:
        """One message for each."""
        messages = [wire.encode(self.encoding, row, value) for value in samples]
        place.world.produce(place.topic("in"), messages)


def _topic(place: Place, end: str, encoding: str) -> dict[str, Any]:
    return {
        "servers": place.world.broker.bootstrap,
        "topic": place.topic(end),
        "encoding": encoding or None,
    }


@attrs.frozen
class SubscriptionSource:
    """Attributes of the device with one of everything."""

    kind: str = "TangoSubscriptionSource"
    encoding: str = ""

    def options(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, Any]:
        """The attribute of the row; its first sample comes at the subscription."""
        ascii_only = all(isinstance(value, str) and value.isascii() for value in samples)
        return {
            "device_name": place.world.everything.trl(),
            "attribute_name": attribute_name(row, ascii_only=ascii_only),
        }

    def samples(self, row: Row, *, ascii_only: bool) -> list[Any]:
        """Octets come with the format of the attribute."""
        return row.samples(label="label", ascii_only=ascii_only)

    def feed(self, row: Row, place: Place, samples: Sequence[Any]) -> None:
        """Pushed for all at once."""


@attrs.frozen
class PointingSource:
    """The attribute [seconds, azimuth, elevation] of the device with one of everything."""

    kind: str = "TangoPointingSubscriptionSource"
    encoding: str = ""

    def options(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, Any]:
        """One attribute for all."""
        device = place.world.everything.trl()
        return {
            "device_name": device,
            "attribute_name": POINTING_NAME,
            "antenna_name": "SKA001",
        }

    def samples(self, row: Row, *, ascii_only: bool) -> list[Any]:
        """The pointings as rows."""
        return pointing_rows(row) if row.name == "pointing" else []

    def feed(self, row: Row, place: Place, samples: Sequence[Any]) -> None:
        """Pushed for all at once."""


@attrs.frozen
class MemorySink:
    """A store in this process."""

    kind: str = "InMemorySink"
    encoding: str = ""
    local: bool = False

    def options(self, row: Row, place: Place) -> dict[str, Any]:
        """A key of its own."""
        return {"key": place.name()}

    def channels(self, row: Row, place: Place) -> list[str]:
        """The store counts for itself."""
        return [f"store:{place.name()}"]

    def found(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, tuple[Any, Any]]:
        """The values of the records."""
        values = [record.value for record in store.records(place.name())]
        return {self.channels(row, place)[0]: (values, list(samples))}


@attrs.frozen
class KafkaSink:
    """Messages read by librdkafka, decoded by the reference libraries."""

    encoding: str
    kind: str = "KafkaProducerSink"
    local: bool = False

    def options(self, row: Row, place: Place) -> dict[str, Any]:
        """A topic of its own."""
        return _topic(place, "out", self.encoding)

    def channels(self, row: Row, place: Place) -> list[str]:
        """The topic."""
        return [f"topic:{place.topic('out')}"]

    def found(self, row: Row, place: Place, samples: Sequence[Any]) -> dict[str, tuple[Any, Any]]:
        """The values that the messages stand for; octets have no label on the wire."""
        (channel,) = self.channels(row, place)
        label = samples[0][0] if row.name == "bytes" else ""
        messages = place.world.received(channel)
        values = [wire.decode(self.encoding, row, octets, label) for octets in messages]
        return {channel: (values, list(samples))}


def attribute_found(
    place: Place, channel: str, dtype: np.dtype[Any], dimensions: int, expected: list[Any]
) -> tuple[str, tuple[Any, Any]]:
    """The values of the events of an attribute, beside what was to come."""
    events = place.world.received(channel)
    found = [from_tango(dtype, dimensions, value) for value in events]
    return channel, (found, [_as_shown(value) for value in expected])


def _as_shown(value: Any) -> Any:
    """Of an image without rows Tango forgets how wide they were."""
    empty_image = isinstance(value, np.ndarray) and value.ndim == 2 and not value.size
    return value.reshape(0, 0) if empty_image else value
