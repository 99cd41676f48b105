"""What a user writes for the Tango sources and sinks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

import attrs
from msgspec import Meta

from queueconnector_core.component import Claim
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import DtypeLiteral, SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry
from queueconnector_tango import pointing, scatter_array, scatter_object
from queueconnector_tango.claims import attribute_claim, collect
from queueconnector_tango.dtypes import StringEncoding, check_attribute, tango_type

__all__ = (
    "EVENT_TYPES",
    "TangoSubscriptionSourceDescriptor",
    "TangoPointingSubscriptionSourceDescriptor",
    "TangoLocalAttributeSinkDescriptor",
    "TangoRemoteAttributeSinkDescriptor",
    "TangoArrayScatterAttributeSinkDescriptor",
    "TangoAttributeDescriptor",
    "TangoObjectScatterAttributeSinkDescriptor",
    "event_type",
)

OverflowName = Literal["block", "drop_oldest", "drop_newest", "latest_only", "fail"]

EVENT_TYPES: Final = {"change": 0, "periodic": 2, "archive": 3, "user": 4, "alarm": 9}
"""The Tango events that carry a value, with their numbers."""

_NO_VALUE: Final = {
    1: "quality events are no longer part of Tango",
    5: "attribute configuration events carry no value",
    6: "data ready events carry no value",
    7: "interface change events carry no value",
    8: "pipe events are no longer part of Tango",
}

DeviceName = Annotated[
    str,
    Meta(
        description="The device: domain/family/member, or a full TRL such as "
        "tango://host:10000/domain/family/member or tango://host:port/a/b/c#dbase=no.",
        examples=["mid-dish/dish-manager/ska001"],
    ),
]
AttributeName = Annotated[
    str,
    Meta(
        description="The name of the attribute on the connector's own device: letters, digits and "
        "underscores; not State or Status; case does not matter to Tango."
    ),
]
DefaultValue = Annotated[
    Any,
    Meta(
        description="What the attribute holds before the first value, converted to its dtype and "
        "repeated over its shape. Left out: no value, quality INVALID."
    ),
]
TextEncoding = Annotated[
    StringEncoding,
    Meta(
        description="How text stands in a DevString. PyTango clients read Latin-1: with utf-8 they "
        "see each octet as a letter of its own outside ASCII."
    ),
]
EventKind = Annotated[
    int | str,
    Meta(
        description="The kind of event: 0 or change, 2 or periodic, 3 or archive, 4 or user, "
        "9 or alarm."
    ),
]
Stateless = Annotated[
    bool,
    Meta(
        description="True: start even when the device is away, and try to reach it every 10 s. "
        "False: a device that is away when the exchange starts is a fault."
    ),
]
OverflowPolicy = Annotated[
    OverflowName,
    Meta(
        description="What becomes of an event that finds buffer_size events waiting for the "
        "exchange. drop_oldest, drop_newest: one is dropped, counted, and told as a gap. "
        "latest_only: only the newest waits, whatever buffer_size is. block: Tango's event thread "
        "waits, and with it every other subscription of the process; beyond its own buffers Tango "
        "drops events, which is counted. fail: the group goes to FAULT."
    ),
]
# What release 4.0.0 of the SKA LMC Queue Connector dropped.
_READ_ONLY: Final = {"access": "the attributes of sinks are read-only; leave it out"}
_NOT_POLLED: Final = dict.fromkeys(
    ("poll_period", "abs_change", "rel_change"),
    "attributes are not polled, each new value is pushed as a change event; leave it out",
)
_TRL = re.compile(r"(tango://[^/\s]+/)?[^/\s#]+/[^/\s#]+/[^/\s#]+(#dbase=(no|yes))?")


def event_type(etype: int | str) -> int:
    """The number of an event kind; raises `ConfigError` (empty path)."""
    number = EVENT_TYPES.get(etype.lower()) if isinstance(etype, str) else etype
    if number is not None and number in EVENT_TYPES.values():
        return number
    reason = f" ({_NO_VALUE[etype]})" if isinstance(etype, int) and etype in _NO_VALUE else ""
    allowed = ", ".join(f"{number} or {name}" for name, number in EVENT_TYPES.items())
    raise ConfigError.at("", f"found {etype!r}{reason}; allowed: {allowed}")


def _check_device_name(name: str) -> None:
    if not _TRL.fullmatch(name):
        raise ConfigError.at(
            "",
            f"found {name!r}; a device is domain/family/member, or "
            "tango://host:port/domain/family/member",
        )


def _check_remote_attribute(name: str) -> None:
    if not name.strip() or "/" in name:
        raise ConfigError.at("", f"found {name!r}; allowed: the name of one attribute")


@attrs.frozen
class TangoSubscriptionSourceDescriptor(SourceDescriptor):
    """Each event of an attribute of another Tango device is a record."""

    device_name: DeviceName
    attribute_name: Annotated[
        str, Meta(description="The attribute of that device.", examples=["achievedPointing"])
    ]
    etype: EventKind = 0
    stateless: Stateless = True
    string_encoding: TextEncoding = "utf-8"
    heartbeat_s: Annotated[
        float,
        Meta(
            description="So often, in seconds, the device is asked for a sign of life, once for "
            "all its attributes. When it fails, or comes from a server that was restarted, the "
            "attribute is read until its events are proven again, and the gap is told. 0: never; "
            "after a restart of the device events may be lost for ten seconds without a sign.",
            ge=0,
        ),
    ] = 0.5
    poll_s: Annotated[
        float,
        Meta(
            description="So often, in seconds, the attribute is read while its events are not "
            "proven.",
            gt=0,
        ),
    ] = 0.25
    overflow: OverflowPolicy = "drop_oldest"
    buffer_size: Annotated[
        int, Meta(description="So many events wait for the exchange at most.", ge=1)
    ] = 100_000

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Refuses what no attribute can carry, and events without a value."""
        with collect() as problems:
            problems.at("device_name", _check_device_name, self.device_name)
            problems.at("attribute_name", _check_remote_attribute, self.attribute_name)
            problems.at("etype", event_type, self.etype)
            problems.at("", self.check_spec, spec)

    def check_spec(self, spec: DataSpec) -> None:
        """Raise `ConfigError` when no Tango attribute gives values of `spec`."""
        tango_type(spec)
        check_attribute(attrs.evolve(spec, shape=tuple(max(size, 1) for size in spec.shape)))


@attrs.frozen
class TangoPointingSubscriptionSourceDescriptor(TangoSubscriptionSourceDescriptor):
    """Each event of a dish's pointing [seconds since 2000 TAI, azimuth, elevation] is one row.

    The exchange's structured dtype chooses the fields by name: `antenna_name` (text), `ts`
    (datetime64 on the TAI scale, or float64 seconds as received), `az` and `el` (float64, not
    converted).
    """

    example: ClassVar[Mapping[str, Any]] = {
        "dtype": [["antenna_name", "U8"], ["ts", "datetime64[ns]"], ["az", "f8"], ["el", "f8"]]
    }

    antenna_name: Annotated[
        str | None,
        Meta(
            description="The name of the antenna in each row. Left out: the word of device_name "
            "that begins with ska or mkt and a digit, in capitals."
        ),
    ] = None

    def check_spec(self, spec: DataSpec) -> None:
        """Refuses fields that a pointing does not have."""
        pointing.check(spec, self.antenna)

    @property
    def antenna(self) -> str:
        """The name for field `antenna_name`; empty when there is none."""
        return self.antenna_name or pointing.antenna_of(self.device_name)


@attrs.frozen
class TangoLocalAttributeSinkDescriptor(SinkDescriptor):
    """Each record becomes the value of one attribute of the connector's device."""

    former_options: ClassVar[Mapping[str, str]] = _READ_ONLY | _NOT_POLLED

    attribute_name: AttributeName
    default_value: DefaultValue = None
    string_encoding: TextEncoding = "utf-8"

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Refuses dtypes and shapes that an attribute cannot carry."""
        self.claims(spec)

    def claims(self, spec: DataSpec) -> Sequence[Claim]:
        """The attribute."""
        return [
            attribute_claim(
                self.attribute_name, spec, self.default_value, self.string_encoding,
                path="attribute_name",
            )
        ]  # fmt: skip


@attrs.frozen
class TangoRemoteAttributeSinkDescriptor(SinkDescriptor):
    """Each record is written to an attribute of another Tango device.

    Where the device is away or takes no value now the exchange waits and goes on; values that the
    device refuses are dropped and counted.
    """

    device_name: DeviceName
    attribute_name: Annotated[
        str,
        Meta(
            description="The attribute of that device: writable, of the dtype and number of "
            "dimensions of the exchange, and at least as large."
        ),
    ]
    string_encoding: TextEncoding = "utf-8"

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Refuses dtypes and shapes that no attribute can carry."""
        with collect() as problems:
            problems.at("device_name", _check_device_name, self.device_name)
            problems.at("attribute_name", _check_remote_attribute, self.attribute_name)
            problems.at("", check_attribute, spec)


@attrs.frozen
class TangoArrayScatterAttributeSinkDescriptor(SinkDescriptor):
    """Each array is split along one axis, one attribute for each part."""

    former_options: ClassVar[Mapping[str, str]] = _READ_ONLY

    attribute_names: Annotated[
        list[str], Meta(description="One attribute for each part, in order.", min_length=1)
    ]
    axis: Annotated[int, Meta(description="The axis that is split; negative: from the last.")] = 0
    default_value: DefaultValue = None
    attribute_shape_names: Annotated[
        list[str] | None,
        Meta(
            description="One attribute for each part that holds the sizes of its dimensions; parts "
            "of more than two dimensions are flattened."
        ),
    ] = None
    indices: Annotated[
        list[int] | None,
        Meta(
            description="Where each part but the first begins, along the axis. Left out: parts of "
            "nearly equal size, the longer ones first."
        ),
    ] = None
    string_encoding: TextEncoding = "utf-8"

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Refuses scalars, and splits whose parts are not as many as the attributes."""
        self.claims(spec)

    def claims(self, spec: DataSpec) -> Sequence[Claim]:
        """The attributes of the parts, and those of their shapes."""
        return scatter_array.claims(self, spec)


@attrs.frozen
class TangoAttributeDescriptor:
    """One attribute of an object scatter sink."""

    former_options: ClassVar[Mapping[str, str]] = _READ_ONLY

    attribute_name: AttributeName
    dtype: Annotated[Any, DtypeLiteral(), Meta(description="The dtype of the attribute.")]
    shape: Annotated[
        list[int], Meta(description="The largest size of each dimension; empty: a scalar.")
    ] = attrs.field(factory=list)
    path: Annotated[
        str,
        Meta(description="JMESPath of the value in the record; null there: no update."),
    ] = "@"
    filter: Annotated[
        str | None,
        Meta(description="JMESPath of a condition on the record: no update unless it holds."),
    ] = None
    default_value: DefaultValue = None
    string_encoding: TextEncoding = "utf-8"


@attrs.frozen
class TangoObjectScatterAttributeSinkDescriptor(SinkDescriptor):
    """Values are picked out of each record by JMESPath, one attribute for each.

    Structured arrays are lists of objects by field name, arrays and tuples are lists.
    """

    attributes: Annotated[
        list[TangoAttributeDescriptor], Meta(description="What goes where.", min_length=1)
    ]

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Refuses expressions that are no JMESPath, and (label, octets) pairs."""
        self.claims(spec)

    def claims(self, spec: DataSpec) -> Sequence[Claim]:
        """The attributes."""
        return scatter_object.claims(self, spec)
