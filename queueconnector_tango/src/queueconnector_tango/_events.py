"""What an event or a reading of PyTango holds, as plain values.

PyTango makes an object of Python anew for each thing that it is asked for; of an enumeration that
takes 2 microseconds, of the value itself 0.1. So each is asked for once, or not at all.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

import attrs
import numpy as np
import tango

from queueconnector_core.errors import FatalError
from queueconnector_core.record import Quality
from queueconnector_tango.dtypes import TANGO_TYPES

__all__ = (
    "Event",
    "Form",
    "Reading",
    "Outage",
    "UPDATE",
    "SUBSCRIBED",
    "read_outage",
    "read_value",
    "form_of",
    "looks_of",
    "refuse_enum",
)

Event: TypeAlias = Any
"""An event as PyTango delivers it; it has no type that is worth naming."""

MISSED_EVENTS: Final = "API_MissedEvents"
EVENT_TIMEOUT: Final = "API_EventTimeout"

UPDATE: Final = tango.EventReason.Update
"""`event_reason` of what the server sent."""
SUBSCRIBED: Final = tango.EventReason.SubSuccess
"""`event_reason` of what Tango has read by itself, because somebody subscribed."""
_FAILED: Final = tango.EventReason.SubFail

_QUALITIES = {
    tango.AttrQuality.ATTR_VALID: Quality.VALID,
    tango.AttrQuality.ATTR_INVALID: Quality.INVALID,
    tango.AttrQuality.ATTR_ALARM: Quality.ALARM,
    tango.AttrQuality.ATTR_CHANGING: Quality.CHANGING,
    tango.AttrQuality.ATTR_WARNING: Quality.WARNING,
}


class Reading(NamedTuple):
    """A value as Tango delivered it, None when its quality is INVALID."""

    value: Any
    quality: Quality
    timestamp_ns: int


@attrs.frozen
class Form:
    """Type and format of an attribute, such as DevDouble and SPECTRUM."""

    type: str
    format: str

    def __str__(self) -> str:
        return f"{self.type} {self.format}"

    def is_like(self, other: Form) -> bool:
        """Whether values of both are converted alike: both numbers, of the same format."""
        if self is other:
            return True
        numbers = self.type in _NUMBERS and other.type in _NUMBERS
        return self == other or (numbers and self.format == other.format)


_NUMBERS = frozenset(TANGO_TYPES.values()) - {"DevBoolean"}


@attrs.frozen
class Outage:
    """Events do not come, or some were lost (`missed`): the reason, as Tango words it."""

    text: str
    missed: bool
    unsubscribed: bool = False
    """Tango itself says that the subscription does not stand."""
    disconnected: bool = False
    """So do all others to the same server."""


def read_outage(event: Event) -> Outage:
    """What an event says that tells an error."""
    first = event.errors[0]
    text = f"{first.reason}: {' '.join(first.desc.split())}"
    disconnected = first.reason == EVENT_TIMEOUT
    unsubscribed = disconnected or event.event_reason == _FAILED
    return Outage(text, first.reason == MISSED_EVENTS, unsubscribed, disconnected)


def refuse_enum(name: str, form: Form) -> None:
    """Raise `FatalError` for an attribute of type DevEnum."""
    if form.type == "DevEnum":
        raise FatalError(
            f"{name.partition('#')[0]} is of type DevEnum, which is not supported; "
            "subscribe to an attribute of numbers or text"
        )


def form_of(attribute: Any) -> Form:
    """Type and format of what an event or a reading holds."""
    return _form(attribute.type, attribute.data_format)


@cache
def _form(data_type: tango.CmdArgType, data_format: tango.AttrDataFormat) -> Form:
    return Form(data_type.name, data_format.name)


def looks_of(value: Any) -> object:
    """Equal for values of one form, as far as they show it; None: they do not, ask `form_of`.

    Integers may be those of an enumeration.
    """
    if isinstance(value, np.ndarray):
        return None if value.dtype.kind == "i" else (value.dtype, value.ndim)
    kind = type(value)
    return kind if kind is float or kind is str or kind is bool else None


def read_value(attribute: Any) -> Reading:
    """What an event or a reading holds; text and enumerations are as Tango gives them."""
    value = attribute.value
    if isinstance(value, tango.DevState):
        value = value.name
    time = attribute.time
    timestamp_ns = time.tv_sec * 1_000_000_000 + time.tv_usec * 1_000 + time.tv_nsec
    quality = Quality.INVALID if value is None else _QUALITIES[attribute.quality]
    return Reading(value, quality, timestamp_ns)
