"""Component types for tests of configurations: each option form and each check once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol

import attrs
from msgspec import Meta

from queueconnector_core.component import (
    BuildContext,
    Claim,
    ComponentKind,
    ComponentType,
    Services,
)
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import (
    Descriptor,
    OneOrMany,
    PipeDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.errors import ConfigError, RetryableError
from queueconnector_core.registry import Registry
from queueconnector_core.testing.doubles import RecordingSink, ScriptedSource
from tests.core.doubles import Mapping


@attrs.frozen
class Field:
    """A nested object."""

    name: str
    scale: float = 1.0


@attrs.frozen
class CounterSourceDescriptor(SourceDescriptor):
    """Yields whole numbers, and nothing else."""

    count: Annotated[int, Meta(ge=0)] = 3
    delay: Annotated[float, Meta(ge=0)] = 0.0
    stateless: bool = True
    mode: Literal["change", "archive"] = "change"
    label: str | None = None
    servers: Annotated[tuple[str, ...], OneOrMany(), Meta(min_length=1)] = ("localhost",)
    window: int | list[int] | None = None
    fields: tuple[Field, ...] = ()
    settings: dict[str, float] = attrs.field(factory=dict)
    anything: Any = None
    endless: bool = False
    away: bool = False
    broken: bool = False

    def check(self, spec: DataSpec, registry: Registry) -> None:
        if spec.dtype.kind not in "iu":
            raise ConfigError.at("", f"counts are integers, not {spec}")


@attrs.frozen
class AnySourceDescriptor(SourceDescriptor):
    """Yields whatever it is told to."""

    data: list[Any] = attrs.field(factory=list)


@attrs.frozen
class RatioPipeDescriptor(PipeDescriptor):
    """Turns a number into a float64."""

    divisor: float = attrs.field(default=2.0)

    @divisor.validator
    def _not_zero(self, _: object, divisor: float) -> None:
        if not divisor:
            raise ValueError("nothing can be divided by zero")

    def output(self, spec: DataSpec) -> DataSpec:
        if spec.dtype.kind not in "iuf":
            raise ConfigError.at("", f"a ratio is made of numbers, not {spec}")
        return DataSpec.of("float64", spec.shape)


@attrs.frozen
class AttributeClaim(Claim):
    """An attribute with its definition."""

    definition: str = ""

    @property
    def resource(self) -> str:
        return "attribute"


class AttributeHost(Protocol):
    """What an attribute sink needs of its host."""

    claim_type: type[Claim]

    def check(self, claims: Sequence[Claim]) -> None: ...

    async def reconcile(self, owner: str, claims: Sequence[Claim]) -> None: ...


@attrs.frozen
class AttributeSinkDescriptor(SinkDescriptor):
    """Claims an attribute; takes what has at most one dimension."""

    attribute_name: str
    more: tuple[str, ...] = ()

    def check(self, spec: DataSpec, registry: Registry) -> None:
        if len(spec.shape) > 1:
            raise ConfigError.at("", f"an attribute has at most one dimension, not {spec}")

    def claims(self, spec: DataSpec) -> Sequence[Claim]:
        names = {"attribute_name": self.attribute_name} | {
            f"more[{index}]": name for index, name in enumerate(self.more)
        }
        return [AttributeClaim(name, str(spec), path=path) for path, name in names.items()]


@attrs.frozen
class TopicSinkDescriptor(SinkDescriptor):
    """Takes anything."""

    topic: str


class Made:
    """The components that were built, by exchange, for tests to look into and to disturb."""

    def __init__(self) -> None:
        self.sources: list[tuple[str, ScriptedSource]] = []
        self.sinks: list[tuple[str, RecordingSink]] = []
        self.defect: Exception | None = None
        """What every factory of a sink raises as long as it stands here."""

    def counter(self, descriptor: Descriptor, context: BuildContext) -> ScriptedSource:
        assert isinstance(descriptor, CounterSourceDescriptor)
        script: list[Any] = [[n] for n in range(descriptor.count)]
        if descriptor.broken:
            script.append(ZeroDivisionError("broken"))
        source = ScriptedSource(*script, endless=descriptor.endless)
        if descriptor.away:
            source.unreachable = RetryableError("the far end is away")
        self.sources.append((context.name, source))
        return source

    def anything(self, descriptor: Descriptor, context: BuildContext) -> ScriptedSource:
        assert isinstance(descriptor, AnySourceDescriptor)
        return ScriptedSource(list(descriptor.data))

    def sink(self, _: Descriptor, context: BuildContext) -> RecordingSink:
        if self.defect is not None:
            raise self.defect
        sink = RecordingSink()
        self.sinks.append((context.name, sink))
        return sink


def ratio(descriptor: RatioPipeDescriptor, _: BuildContext) -> Mapping:
    return Mapping(lambda value: value / descriptor.divisor)


def component_types(made: Made) -> list[ComponentType]:
    return [
        ComponentType(
            "CounterSource", ComponentKind.SOURCE, made.counter, CounterSourceDescriptor,
            aliases=("TickSource",),
        ),
        ComponentType("AnySource", ComponentKind.SOURCE, made.anything, AnySourceDescriptor),
        ComponentType("RatioPipe", ComponentKind.PIPE, ratio, RatioPipeDescriptor),
        ComponentType(
            "AttributeSink", ComponentKind.SINK, made.sink, AttributeSinkDescriptor,
            requires=(AttributeHost,),
        ),
        ComponentType("TopicSink", ComponentKind.SINK, made.sink, TopicSinkDescriptor),
    ]  # fmt: skip


def registry_of(made: Made | None = None) -> Registry:
    return Registry().with_(component_types(made or Made()))


class Attributes:
    """An attribute host that notes what it was asked, and refuses reserved names."""

    claim_type: type[Claim] = AttributeClaim

    def __init__(self) -> None:
        self.reconciled: list[list[str]] = []
        self.events: list[str] = []
        self.held: dict[str, set[str]] = {}
        """The names of each owner."""
        self.defect: Exception | None = None
        """What `reconcile` raises as long as it stands here."""

    def check(self, claims: Sequence[Claim]) -> None:
        problems = [
            ConfigError.at(claim.path, f"{claim.name!r} is the device's own")
            for claim in claims
            if claim.name.casefold() in {"state", "status"}
        ]
        if problems:
            raise ConfigError(problem for error in problems for problem in error.problems)

    async def reconcile(self, owner: str, claims: Sequence[Claim]) -> None:
        self.events.append("reconcile")
        if self.defect is not None:
            raise self.defect
        self.held[owner] = {claim.name for claim in claims}
        self.reconciled.append([claim.name for claim in claims])


def services_of(host: Attributes | None = None) -> Services:
    return Services({AttributeHost: host or Attributes()})
