"""The service of local Tango attributes: what sinks ask of the device, without knowing it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np

from queueconnector_core.component import Claim, Services
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.protocols import ResourceHost
from queueconnector_core.record import Quality, Value
from queueconnector_tango.dtypes import StringEncoding

__all__ = ("AttributeClaim", "AttributeHost", "attribute_host")


def _comparable(value: Any) -> Any:
    """Arrays by content: two claims with equal defaults are one definition, NaN included."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, repr(value.tolist())
    return type(value), repr(value)


@attrs.frozen
class AttributeClaim(Claim):
    """A Tango attribute of the device, from when it is configured until it no longer is.

    `default` is the value that it starts with, of dtype and shape of `spec`; None: it is of quality
    INVALID until the first value arrives. Two equal claims are one definition.
    """

    spec: DataSpec
    default: Value = attrs.field(default=None, eq=_comparable)
    string_encoding: StringEncoding = "utf-8"

    @property
    def resource(self) -> str:
        """What is claimed, for messages."""
        return "Tango attribute"


@runtime_checkable
class AttributeHost(ResourceHost, Protocol):
    """Keeps the claimed attributes on a device and publishes their values.

    An attribute whose definition did not change is never removed: it keeps its value and its
    subscribers. Both methods are called in the event loop.
    """

    def write(
        self,
        name: str,
        value: Value,
        timestamp_s: float | None = None,
        quality: Quality = Quality.VALID,
    ) -> None:
        """Store `value` for readers and push it to subscribers as a change event.

        `timestamp_s` is in seconds since the Unix epoch (UTC); None: now. `value` may be None when
        `quality` is INVALID. Raises `RecordError` when the attribute cannot hold the value; the
        former value stays.
        """


def attribute_host(services: Services) -> AttributeHost:
    """The host's attributes; raises `FatalError` when it has none."""
    return services.get(AttributeHost)
