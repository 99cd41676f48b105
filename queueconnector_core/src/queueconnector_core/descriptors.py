"""What a user writes: the bases of every component's descriptor, and the two of core itself.

Each option is declared once, as `Annotated[type, Meta(description=…, ge=…)]`; that line feeds the
reading, the checks, the JSON schema, `queueconnector explain` and the reference pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import attrs
from msgspec import Meta

from queueconnector_core.component import Claim
from queueconnector_core.dataspec import DataSpec

if TYPE_CHECKING:
    from queueconnector_core.protocols import Codec
    from queueconnector_core.registry import Registry

__all__ = (
    "Descriptor",
    "SourceDescriptor",
    "PipeDescriptor",
    "SinkDescriptor",
    "ConfigSourceDescriptor",
    "OneOrMany",
    "DtypeLiteral",
    "ErrorPolicyDescriptor",
    "ExchangeDescriptor",
    "RestartDescriptor",
    "QueueConnectorDescriptor",
)


class Descriptor:
    """Base of every descriptor; subclasses are frozen attrs classes."""

    __slots__ = ()

    former_options: ClassVar[Mapping[str, str]] = {}
    """Options of older releases that are refused, each with the reason and the way out."""
    example: ClassVar[Mapping[str, Any]] = {}
    """dtype and shape of an exchange in which it works, where the usual ones do not."""


class SourceDescriptor(Descriptor):
    """Base of the descriptors of sources."""

    __slots__ = ()

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when this source cannot yield values of `spec`."""

    def octets_codec(self, spec: DataSpec, registry: Registry) -> Codec | None:
        """How it reads the octets that it receives; None: it receives values."""
        return None


class PipeDescriptor(Descriptor):
    """Base of the descriptors of pipes."""

    __slots__ = ()

    def output(self, spec: DataSpec) -> DataSpec:
        """What leaves the pipe when `spec` enters; raises `ConfigError` when it cannot enter."""
        return spec


class SinkDescriptor(Descriptor):
    """Base of the descriptors of sinks."""

    __slots__ = ()

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` when this sink cannot take values of `spec`."""

    def claims(self, spec: DataSpec) -> Sequence[Claim]:
        """What this sink needs for itself alone, such as the names of its attributes."""
        return ()

    def octets_codec(self, spec: DataSpec, registry: Registry) -> Codec | None:
        """How it makes the octets that it writes; None: it writes values."""
        return None

    def members(self) -> Sequence[tuple[str, SinkDescriptor]]:
        """The sinks inside it, each with its path; core checks them, and sees to their claims."""
        return ()

    def for_dead_letters(self) -> SinkDescriptor:
        """This sink as the place of dead letters: key and headers of records must travel."""
        return self


@attrs.frozen(kw_only=True)
class ConfigSourceDescriptor(Descriptor):
    """Base of the descriptors of configuration sources."""

    start: Annotated[
        bool, Meta(description="Start to stream as soon as something new is configured.")
    ] = True
    invalid: Annotated[
        Literal["keep", "fault"],
        Meta(
            description="What a document that cannot be used does to what it configured before: "
            "keep lets it run on, fault stops it in state FAULT until there is a better one."
        ),
    ] = "keep"

    def check(self) -> None:
        """Raise `ConfigError` when its options do not go together.

        May look at the disk, so that it is not for the event loop.
        """


@attrs.frozen
class OneOrMany:
    """Marks a tuple option that is written as one value or as a list of them."""


@attrs.frozen
class DtypeLiteral:
    """Marks the option that names a dtype."""

    optional: bool = False
    """Whether null is accepted as well."""


@attrs.frozen
class ErrorPolicyDescriptor:
    """What an exchange does with records that a codec, a pipe or a sink refuses."""

    action: Annotated[
        Literal["skip", "fail", "dead_letter"],
        Meta(
            description="skip: go on without them, counted as dropped. fail: stop in state "
            "FAULT; a source that can gives them again after the next start. dead_letter: keep "
            "them in dead_letters, counted as such, and go on."
        ),
    ] = "skip"
    dead_letters: Annotated[
        SinkDescriptor | None,
        Meta(
            description="The sink that keeps them, such as a topic or a file: the octets as they "
            "were received, with the reason and the place in headers."
        ),
    ] = None
    retries: Annotated[
        int,
        Meta(
            description="How often a value that a sink refuses, or a pipe that maps value by "
            "value, is tried again before that. Later records wait meanwhile.",
            ge=0,
        ),
    ] = 0
    retry_wait_s: Annotated[
        float,
        Meta(
            description="Seconds before it is tried again; doubled each time, less a random part.",
            gt=0,
        ),
    ] = 0.1
    retry_longest_wait_s: Annotated[
        float, Meta(description="No wait is longer, in seconds.", gt=0)
    ] = 5.0
    max_in_a_row: Annotated[
        int | None,
        Meta(
            description="So many records that failed without one delivered between them put the "
            "group in FAULT; null: never.",
            ge=1,
        ),
    ] = 100


@attrs.frozen
class ExchangeDescriptor:
    """One stream: sources, merged, through a chain of pipes, to sinks."""

    source: Annotated[
        tuple[SourceDescriptor, ...],
        OneOrMany(),
        Meta(description="One source, or a list of sources merged into one stream.", min_length=1),
    ]
    sink: Annotated[
        tuple[SinkDescriptor, ...],
        OneOrMany(),
        Meta(
            description="One sink, or a list of sinks that each receive every record.", min_length=1
        ),
    ]
    dtype: Annotated[
        Any,
        DtypeLiteral(),
        Meta(
            description="The data type of the sources: a Python, numpy or Tango name, or a list of "
            "structured fields [name, dtype] or [name, dtype, shape]."
        ),
    ] = "str"
    shape: Annotated[
        list[int],
        Meta(
            description="The size of each dimension; empty for a scalar; one may be negative: "
            "any size."
        ),
    ] = attrs.field(factory=list)
    pipe: Annotated[
        tuple[PipeDescriptor, ...],
        OneOrMany(),
        Meta(description="One pipe, or a chain of pipes; left out: values pass unchanged."),
    ] = ()
    errors: Annotated[
        ErrorPolicyDescriptor, Meta(description="What is done with records that fail.")
    ] = attrs.field(factory=ErrorPolicyDescriptor)
    gaps: Annotated[
        SinkDescriptor | None,
        Meta(
            description="A sink that is told, as an object, of every gap: what was lost, from when "
            "to when, and why. The gaps also stand in the ledger of the host."
        ),
    ] = None
    health_limit_s: Annotated[
        float,
        Meta(
            description="Seconds without a sign of life after which the exchange is unhealthy: "
            "records in flight of which none is delivered, a far end that does not answer. Time "
            "for which pipes hold records back comes on top.",
            gt=0,
        ),
    ] = 15.0


@attrs.frozen
class RestartDescriptor:
    """What a group in FAULT does by itself."""

    attempts: Annotated[
        int,
        Meta(
            description="How often in a row to start again; 0: FAULT lasts until Reset or a new "
            "configuration.",
            ge=0,
        ),
    ] = 0
    wait_s: Annotated[
        float,
        Meta(description="Seconds before the first attempt; doubled before each next one.", gt=0),
    ] = 1.0
    longest_wait_s: Annotated[
        float,
        Meta(
            description="No wait is longer, in seconds. A group that was ON for so long has "
            "recovered, and may use all attempts once more.",
            gt=0,
        ),
    ] = 60.0


@attrs.frozen
class QueueConnectorDescriptor:
    """The whole configuration: exchanges in one group, or in several named ones."""

    exchanges: Annotated[
        Mapping[str, Sequence[ExchangeDescriptor]] | Sequence[ExchangeDescriptor] | None,
        Meta(
            description='A list of exchanges (the group "default"), or an object of such lists by '
            "group name; null or empty: nothing is configured."
        ),
    ] = None
    restart: Annotated[
        RestartDescriptor,
        Meta(description="What the groups of this configuration do after a fault, by themselves."),
    ] = attrs.field(factory=RestartDescriptor)
    outage_limit_s: Annotated[
        float | None,
        Meta(
            description="Seconds for which an exchange waits for a far end that is away before its "
            "group goes to FAULT; null: for ever.",
            gt=0,
        ),
    ] = None

    @property
    def groups(self) -> dict[str, Sequence[ExchangeDescriptor]]:
        """The exchanges by name of their group; groups without exchanges are left out."""
        if isinstance(self.exchanges, Mapping):
            return {name: group for name, group in self.exchanges.items() if group}
        return {"default": self.exchanges} if self.exchanges else {}
