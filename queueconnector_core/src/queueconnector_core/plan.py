"""Proves a configuration before anything runs, and builds what it describes.

Types are followed from the sources through the pipes to the sinks; what is claimed (attribute
names) is claimed once. A plan is a value: equal plans need no restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

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
    ExchangeDescriptor,
    QueueConnectorDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.errors import ConfigError, Problem, join_path
from queueconnector_core.exchange import Exchange
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json, structure

__all__ = ("ComponentPlan", "ExchangePlan", "Plan", "make_plan", "read_plan")

Result = TypeVar("Result")
Placed = TypeVar("Placed")


@attrs.frozen
class ComponentPlan:
    """A component with the spec that leaves it (source), enters it (pipe) or reaches it (sink)."""

    type: ComponentType
    descriptor: Descriptor
    spec: DataSpec


@attrs.frozen
class ExchangePlan:
    """One exchange, proven."""

    name: str
    """Group and place in it: `default[0]`."""
    sources: tuple[ComponentPlan, ...]
    pipes: tuple[ComponentPlan, ...]
    sinks: tuple[ComponentPlan, ...]
    claims: tuple[Claim, ...]

    def build(self, registry: Registry, services: Services) -> Exchange:
        """Make the exchange; nothing is connected yet."""

        def made(plans: Sequence[ComponentPlan]) -> list[object]:
            return [
                plan.type.factory(
                    plan.descriptor, BuildContext(plan.spec, registry, services, self.name)
                )
                for plan in plans
            ]

        return Exchange(self.name, made(self.sources), made(self.pipes), made(self.sinks))  # type: ignore[arg-type]


@attrs.frozen
class Plan:
    """A whole configuration, proven: exchanges by group."""

    groups: Mapping[str, tuple[ExchangePlan, ...]] = attrs.field(factory=dict)

    @property
    def claims(self) -> list[Claim]:
        """Everything that is claimed, in order."""
        return [claim for group in self.groups.values() for plan in group for claim in plan.claims]


def read_plan(text: str, registry: Registry, services: Services) -> Plan:
    """Read and prove JSON text; empty text is an empty configuration.

    Raises `ConfigError` with all problems found; a document that does not structure is not proven
    further.
    """
    document = read_json(text) if text.strip() else None
    return make_plan(structure(document, registry), registry, services)


def make_plan(descriptor: QueueConnectorDescriptor, registry: Registry, services: Services) -> Plan:
    """Prove a structured configuration; raises `ConfigError` with all problems found."""
    problems: list[Problem] = []
    groups: dict[str, tuple[ExchangePlan, ...]] = {}
    in_groups = isinstance(descriptor.exchanges, Mapping)
    for group, exchanges in descriptor.groups.items():
        prefix = f"exchanges.{group}" if in_groups else "exchanges"
        plans = []
        for index, exchange in enumerate(exchanges):
            prover = _Prover(registry, services, problems, f"{prefix}[{index}]")
            plans.append(prover.prove(f"{group}[{index}]", exchange))
        groups[group] = tuple(plan for plan in plans if plan is not None)
    plan = Plan(groups)
    _check_claims(plan.claims, services, problems)
    if problems:
        raise ConfigError(problems)
    return plan


@attrs.frozen
class _Prover:
    """Follows the types through one exchange and gathers its problems."""

    registry: Registry
    services: Services
    problems: list[Problem]
    path: str

    def prove(self, name: str, exchange: ExchangeDescriptor) -> ExchangePlan | None:
        spec = self._try("", lambda: DataSpec.of(exchange.dtype, exchange.shape))
        if spec is None:
            return None
        sources = [self._source(*placed, spec) for placed in _placed("source", exchange.source)]
        pipes: list[ComponentPlan] = []
        for path, pipe in _placed("pipe", exchange.pipe):
            pipes.append(self._component(ComponentKind.PIPE, path, pipe, spec))
            output = self._try(path, lambda pipe=pipe, spec=spec: pipe.output(spec))  # type: ignore[misc]
            if output is None:
                return None
            spec = output
        sinks: list[ComponentPlan] = []
        claims: list[Claim] = []
        for path, sink in _placed("sink", exchange.sink):
            before = len(self.problems)
            sinks.append(self._sink(path, sink, spec))
            if len(self.problems) == before:
                claims.extend(self._claims(path, sink, spec))
        return ExchangePlan(name, tuple(sources), tuple(pipes), tuple(sinks), tuple(claims))

    def _source(self, path: str, source: SourceDescriptor, spec: DataSpec) -> ComponentPlan:
        self._try(path, lambda: source.check(spec, self.registry))
        return self._component(ComponentKind.SOURCE, path, source, spec)

    def _sink(self, path: str, sink: SinkDescriptor, spec: DataSpec) -> ComponentPlan:
        self._try(path, lambda: sink.check(spec, self.registry))
        return self._component(ComponentKind.SINK, path, sink, spec)

    def _claims(self, path: str, sink: SinkDescriptor, spec: DataSpec) -> Sequence[Claim]:
        claims = self._try(path, lambda: sink.claims(spec)) or ()
        place = join_path(self.path, path)
        return [attrs.evolve(claim, path=join_path(place, claim.path)) for claim in claims]

    def _component(
        self, kind: ComponentKind, path: str, descriptor: Descriptor, spec: DataSpec
    ) -> ComponentPlan:
        component = self.registry.of_descriptor(type(descriptor), kind)
        missing = [need for need in component.requires if need not in self.services]
        if missing:
            needs = ", ".join(need.__name__ for need in missing)
            text = f"{component.name} needs {needs}, which this host does not offer"
            self._add(Problem(path, f"{text}; run it in the device server SDPQueueConnector"))
        return ComponentPlan(component, descriptor, spec)

    def _try(self, path: str, action: Callable[[], Result]) -> Result | None:
        try:
            return action()
        except ConfigError as error:
            for problem in error.under(path).problems:
                self._add(problem)
            return None

    def _add(self, problem: Problem) -> None:
        self.problems.append(problem.under(self.path))


def _placed(option: str, descriptors: Sequence[Placed]) -> list[tuple[str, Placed]]:
    """Each descriptor with its path; one alone stands without an index, as it is mostly written."""
    if len(descriptors) == 1:
        return [(option, descriptors[0])]
    return [(f"{option}[{index}]", found) for index, found in enumerate(descriptors)]


def _check_claims(claims: Sequence[Claim], services: Services, problems: list[Problem]) -> None:
    seen: dict[tuple[type[Claim], str], Claim] = {}
    for claim in claims:
        first = seen.setdefault((type(claim), claim.name.casefold()), claim)
        if first is not claim:
            text = f"{claim.resource} {claim.name!r} is already used at {first.path}"
            problems.append(Problem(claim.path, f"{text}; names must differ, case ignored"))
    for host in services.resource_hosts():
        try:
            host.check([claim for claim in claims if isinstance(claim, host.claim_type)])
        except ConfigError as error:
            problems.extend(error.problems)
