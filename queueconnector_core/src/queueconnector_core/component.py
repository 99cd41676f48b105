"""Registered facts about a component type, and what a component is built from."""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import FatalError, PluginError, Problem
from queueconnector_core.gaps import GapLedger

if TYPE_CHECKING:
    from queueconnector_core.descriptors import Descriptor
    from queueconnector_core.protocols import ResourceHost
    from queueconnector_core.registry import Registry

__all__ = (
    "ComponentKind",
    "Guarantee",
    "Stability",
    "Claim",
    "Services",
    "BuildContext",
    "Probe",
    "ComponentType",
)

Service = TypeVar("Service")


class ComponentKind(enum.Enum):
    """What a component is; its type name ends in the same word (a codec's is an encoding label)."""

    SOURCE = "Source"
    PIPE = "Pipe"
    SINK = "Sink"
    CODEC = "Codec"
    CONFIG_SOURCE = "ConfigSource"

    @property
    def word(self) -> str:
        """What it is called in messages and tables, such as `config source`."""
        return self.name.lower().replace("_", " ")


class Guarantee(enum.Enum):
    """What a source or sink promises about each record while processes and networks fail."""

    AT_MOST_ONCE = "at most once"
    AT_LEAST_ONCE = "at least once"
    NOT_APPLICABLE = "not applicable"


class Stability(enum.Enum):
    """How much a component may still change; the promises are in `docs/spec/component.md`."""

    EXPERIMENTAL = "experimental"
    BETA = "beta"
    STABLE = "stable"


@attrs.frozen
class Claim:
    """Something that a component needs for itself alone as long as it is configured.

    Subclasses add the definition of what is claimed. Two claims of one class with the same name
    (case ignored) are refused when a configuration is read.
    """

    name: str
    path: str = attrs.field(kw_only=True, default="", eq=False)
    """Where it stands: the JSON path below the descriptor, then below the configuration."""

    @property
    def resource(self) -> str:
        """What is claimed, for messages."""
        return "resource"


@attrs.frozen
class Services:
    """What a host offers to components, looked up by protocol."""

    offered: Mapping[type, object] = attrs.field(factory=dict)

    def get(self, protocol: type[Service]) -> Service:
        """The service behind `protocol`; raises `FatalError` when the host has none."""
        try:
            return self.offered[protocol]  # type: ignore[return-value]
        except KeyError:
            raise FatalError(f"this host offers no {protocol.__name__}") from None

    def __contains__(self, protocol: type) -> bool:
        return protocol in self.offered

    def resource_hosts(self) -> list[ResourceHost]:
        """The services that keep claimed resources."""
        return [service for service in self.offered.values() if hasattr(service, "claim_type")]  # type: ignore[misc]


@attrs.frozen
class BuildContext:
    """What a component is built from, beside its descriptor."""

    spec: DataSpec
    """The dtype and shape that leave a source, enter a pipe, or reach a sink."""
    registry: Registry
    services: Services = attrs.field(factory=Services)
    name: str = ""
    """The exchange, for messages: `default[0]`."""
    gaps: GapLedger = attrs.field(factory=GapLedger)
    """Where a source tells what it could not give."""
    configuration: str = ""
    """A short hash of the exchange's configuration; travels with records as their provenance."""


Probe: TypeAlias = Callable[[Any, Any], Awaitable[Iterable[Problem]]]
"""`probe(descriptor, context)` asks the live far end whether what is configured is there.

It returns, or raises as `ConfigError`, each problem at the path of the option that is wrong. It
changes nothing at the far end, and may be cancelled; the context is that of the factory.
"""

NAME_PATTERN = re.compile(r"[A-Z][A-Za-z0-9]{2,62}")


@attrs.frozen
class ComponentType:
    """One entry of the registry.

    `factory(descriptor, context)` builds the component; it imports the transport library itself,
    so that registering never does. A codec has no descriptor: its factory gets `None`. A config
    source is given a `ConfigContext` instead of a `BuildContext`.
    """

    name: str
    kind: ComponentKind
    factory: Callable[[Any, Any], Any]
    descriptor: type[Descriptor] | None = None
    guarantee: Guarantee = Guarantee.NOT_APPLICABLE
    stability: Stability = Stability.BETA
    aliases: tuple[str, ...] = ()
    requires: tuple[type, ...] = ()
    """Protocols of the host's services without which it cannot be built."""
    former_names: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """Names of it that are no longer accepted, each with what else is to be changed, if anything.

    A name that is still accepted is an alias."""
    probe: Callable[[], Probe] | None = None
    """Imports the function that asks the live far end whether what is configured is there."""

    def __attrs_post_init__(self) -> None:
        if self.kind is ComponentKind.CODEC:
            return
        if not NAME_PATTERN.fullmatch(self.name) or not self.name.endswith(self.kind.value):
            raise PluginError(
                f"type name {self.name!r} must be CamelCase letters and digits "
                f"and end in {self.kind.value!r}"
            )
        if self.descriptor is None:
            raise PluginError(f"{self.name} has no descriptor class")

    @property
    def descriptor_class(self) -> type[Descriptor]:
        """The class that a configuration of this type is read into; a codec has none."""
        if self.descriptor is None:
            raise TypeError(f"{self.name} is a codec; it has no descriptor")
        return self.descriptor
