"""Proves a configuration before anything runs, and builds what it describes.

Types are followed from the sources through the pipes to the sinks; what is claimed (attribute
names) is claimed once. A plan is a value: equal plans need no restart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from queueconnector_core._claims import check_claims
from queueconnector_core._lenient import (
    POSSIBLE,
    Unread,
    as_written,
    elsewhere,
    structure_leniently,
)
from queueconnector_core.component import (
    BuildContext,
    Claim,
    ComponentKind,
    ComponentType,
    Services,
)
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.dead_letters.writing import LETTER_SPEC, DeadLetters
from queueconnector_core.descriptors import (
    Descriptor,
    ErrorPolicyDescriptor,
    ExchangeDescriptor,
    QueueConnectorDescriptor,
    RestartDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.error_policy import ErrorPolicy
from queueconnector_core.errors import ConfigError, Problem, join_path, placed
from queueconnector_core.exchange import Exchange
from queueconnector_core.gap_sink import GAP_SPEC
from queueconnector_core.gaps import GapLedger
from queueconnector_core.protocols import Source
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json, structure

__all__ = (
    "ComponentPlan",
    "ExchangePlan",
    "Policy",
    "Plan",
    "Proof",
    "Surroundings",
    "examine",
    "make_plan",
    "prove",
    "read_plan",
)

Case = TypeVar("Case")
Result = TypeVar("Result")


@attrs.frozen
class ComponentPlan:
    """A component with the spec that leaves it (source), enters it (pipe) or reaches it (sink)."""

    type: ComponentType = attrs.field(repr=lambda component: component.name)
    descriptor: Descriptor
    spec: DataSpec


@attrs.frozen
class ExchangePlan:
    """One exchange, proven.

    Two that stream the same way are equal, wherever they stand; compared by what is written, since
    NaN differs from itself.
    """

    name: str = attrs.field(eq=False)
    """Group and place in it: `default[0]`."""
    sources: tuple[ComponentPlan, ...] = attrs.field(eq=False)
    pipes: tuple[ComponentPlan, ...] = attrs.field(eq=False)
    sinks: tuple[ComponentPlan, ...] = attrs.field(eq=False)
    errors: ErrorPolicyDescriptor = attrs.field(eq=False)
    dead_letters: ComponentPlan | None = attrs.field(eq=False)
    gaps: ComponentPlan | None = attrs.field(eq=False)
    health_limit_s: float = attrs.field(eq=False)
    claims: tuple[Claim, ...] = attrs.field(eq=False)
    path: str = attrs.field(eq=False, kw_only=True, default="")
    """Where it stands in its document: `exchanges[0]`."""
    written: bytes = attrs.field(init=False, repr=False)
    """What equal ones have in common, and no others: a digest of what is written."""

    @written.default
    def _digest(self) -> bytes:
        parts = (self.sources, self.pipes, self.sinks, self.errors, self.dead_letters, self.gaps)
        return hashlib.sha256(repr((parts, self.health_limit_s)).encode()).digest()

    def build(
        self, registry: Registry, services: Services, source: Source | None = None
    ) -> Exchange:
        """Make the exchange; nothing is connected yet.

        A `source` takes the place of all those of the plan.
        """
        ledger, configuration = GapLedger(), self.hash

        def made(plan: ComponentPlan) -> Any:
            context = BuildContext(plan.spec, registry, services, self.name, ledger, configuration)
            return plan.type.factory(plan.descriptor, context)

        letters = None
        if self.dead_letters is not None:
            spec = self.sources[0].spec
            letters = DeadLetters(made(self.dead_letters), spec, registry, configuration)
        return Exchange(
            self.name,
            list(map(made, self.sources)) if source is None else [source],
            list(map(made, self.pipes)),
            list(map(made, self.sinks)),
            errors=ErrorPolicy(self.errors, letters),
            gaps=ledger,
            gap_sink=None if self.gaps is None else made(self.gaps),
            health_limit_s=self.health_limit_s,
        )

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that tell this exchange from any that streams otherwise."""
        written = repr((self.sources, self.pipes, self.sinks, self.errors))
        return hashlib.sha256(written.encode()).hexdigest()[:12]


@attrs.frozen
class Policy:
    """What the groups of one document do when something fails."""

    restart: RestartDescriptor = attrs.field(factory=RestartDescriptor)
    outage_limit_s: float | None = None
    """Seconds; None: an exchange waits for ever for a far end that is away."""


@attrs.frozen
class Plan:
    """A whole configuration, proven: exchanges by group."""

    groups: Mapping[str, tuple[ExchangePlan, ...]] = attrs.field(factory=dict)
    policy: Policy = attrs.field(factory=Policy)

    @property
    def claims(self) -> list[Claim]:
        """Everything that is claimed, in order."""
        return [claim for _, claim in self.claims_by_group]

    @property
    def claims_by_group(self) -> list[tuple[str, Claim]]:
        """Everything that is claimed, each with the name of the group."""
        return [
            (name, claim)
            for name, group in self.groups.items()
            for plan in group
            for claim in plan.claims
        ]


@attrs.frozen
class Surroundings:
    """What a document is planned into: the names of its groups, and what others hold."""

    key: str | None = None
    """The document's own name, which goes before those of the groups in it."""
    source: str = ""
    """Where the document comes from; tells groups of the same name apart."""
    groups: Container[str] = ()
    """The names of the groups of all other documents."""
    claims: Sequence[tuple[str, Claim]] = ()
    """What the groups of other documents claim, each with the name of the group."""

    def name(self, group: str, among: int) -> str:
        """The name of one of `among` groups of the document."""
        name = group
        if self.key is not None:
            name = self.key if among == 1 else f"{self.key}.{group}"
        return f"{name}@{self.source}" if name in self.groups else name


def read_plan(
    text: str,
    registry: Registry,
    services: Services,
    surroundings: Surroundings | None = None,
) -> Plan:
    """Read and prove JSON text; empty text is an empty configuration.

    Raises `ConfigError` with all problems found, in all exchanges.
    """
    document = read_json(text) if text.strip() else None
    return examine(document, registry, services, surroundings).accepted()


@attrs.frozen
class Proof:
    """What is known of a configuration: every problem, and what could be planned all the same."""

    plan: Plan
    problems: tuple[Problem, ...] = ()

    def accepted(self) -> Plan:
        """The plan; raises `ConfigError` with all problems when there are any."""
        if self.problems:
            raise ConfigError(self.problems)
        return self.plan


def examine(
    document: object,
    registry: Registry,
    services: Services,
    surroundings: Surroundings | None = None,
) -> Proof:
    """Read and prove a parsed document; null is an empty configuration.

    What cannot be read hides nothing else: the rest is proven as if that were right.
    """
    told: tuple[Problem, ...] = ()
    try:
        descriptor = structure(document, registry)
    except ConfigError as error:
        descriptor, told = structure_leniently(document, registry), error.problems
    rest = prove(descriptor, registry, services, surroundings or Surroundings())
    found = [as_written(problem, document) for problem in rest.problems]
    return Proof(rest.plan, (*told, *elsewhere(found, told)))


def make_plan(
    descriptor: QueueConnectorDescriptor,
    registry: Registry,
    services: Services,
    surroundings: Surroundings,
) -> Plan:
    """Prove a structured configuration; raises `ConfigError` with all problems found."""
    return prove(descriptor, registry, services, surroundings).accepted()


def prove(
    descriptor: QueueConnectorDescriptor,
    registry: Registry,
    services: Services,
    surroundings: Surroundings,
) -> Proof:
    """Prove a structured configuration."""
    problems: list[Problem] = []
    groups: dict[str, tuple[ExchangePlan, ...]] = {}
    claims: list[Claim] = []
    in_groups = isinstance(descriptor.exchanges, Mapping)
    for group, exchanges in descriptor.groups.items():
        name = surroundings.name(group, len(descriptor.groups))
        prefix = f"exchanges.{group}" if in_groups else "exchanges"
        plans = []
        for index, exchange in enumerate(exchanges):
            prover = _Prover(registry, services, problems, claims, f"{prefix}[{index}]")
            plans.append(prover.prove(f"{name}[{index}]", exchange))
        groups[name] = tuple(plan for plan in plans if plan is not None)
    check_claims(claims, surroundings.claims, services, problems)
    policy = Policy(descriptor.restart, descriptor.outage_limit_s)
    return Proof(Plan(groups, policy), tuple(problems))


@attrs.frozen
class _Prover:
    """Follows the types through one exchange and gathers its problems and claims.

    `specs` is what a component has to do with: one, or where that is not known several, of which
    only the problems are told that all of them have.
    """

    registry: Registry
    services: Services
    problems: list[Problem]
    claims: list[Claim]
    path: str

    def prove(self, name: str, exchange: ExchangeDescriptor) -> ExchangePlan | None:
        """The plan of an exchange; None where it is not known what flows through it."""
        begin = len(self.claims)
        specs = self._try("", [()], lambda _: DataSpec.of(exchange.dtype, exchange.shape))
        known, specs = bool(specs), specs or POSSIBLE
        sources = [self._source(*placed, specs) for placed in placed("source", exchange.source)]
        pipes: list[ComponentPlan | None] = []
        for path, pipe in placed("pipe", exchange.pipe):
            pipes.append(self._component(ComponentKind.PIPE, path, pipe, specs))
            outputs = self._try(path, specs, pipe.output, every=True)
            known, specs = known and bool(outputs), outputs or POSSIBLE
        sinks = [self._sink(path, sink, specs) for path, sink in placed("sink", exchange.sink)]
        letters = self._letters(exchange.errors)
        gaps = self._optional_sink("gaps", exchange.gaps, GAP_SPEC)
        if not known or None in (*sources, *pipes, *sinks):
            return None
        return ExchangePlan(
            name,
            tuple(filter(None, sources)),
            tuple(filter(None, pipes)),
            tuple(filter(None, sinks)),
            exchange.errors,
            letters,
            gaps,
            exchange.health_limit_s,
            tuple(self.claims[begin:]),
            path=self.path,
        )

    def _letters(self, errors: ErrorPolicyDescriptor) -> ComponentPlan | None:
        path = "errors.dead_letters"
        kept, sink = errors.action == "dead_letter", errors.dead_letters
        if kept and sink is None:
            self._add(Problem(path, "is required with action dead_letter: a topic, a file"))
        if sink is not None and not kept:
            self._add(Problem(path, f"has no use with action {errors.action}; use dead_letter"))
        return self._optional_sink(path, sink and sink.for_dead_letters(), LETTER_SPEC)

    def _optional_sink(
        self, path: str, sink: SinkDescriptor | None, spec: DataSpec
    ) -> ComponentPlan | None:
        return None if sink is None else self._sink(path, sink, [spec])

    def _source(
        self, path: str, source: SourceDescriptor, specs: Sequence[DataSpec]
    ) -> ComponentPlan | None:
        self._try(path, specs, lambda spec: source.check(spec, self.registry))
        return self._component(ComponentKind.SOURCE, path, source, specs)

    def _sink(
        self, path: str, sink: SinkDescriptor, specs: Sequence[DataSpec]
    ) -> ComponentPlan | None:
        before, place = len(self.problems), join_path(self.path, path)
        self._try(path, specs, lambda spec: sink.check(spec, self.registry))
        plan = self._component(ComponentKind.SINK, path, sink, specs)
        if len(self.problems) == before:
            for claims in self._try(path, specs, sink.claims)[:1]:
                self.claims.extend(
                    attrs.evolve(claim, path=join_path(place, claim.path)) for claim in claims
                )
        for inner, member in sink.members():
            self._sink(join_path(path, inner), member, specs)
        return plan

    def _component(
        self, kind: ComponentKind, path: str, descriptor: Descriptor, specs: Sequence[DataSpec]
    ) -> ComponentPlan | None:
        if isinstance(descriptor, Unread):
            return None
        component = self.registry.of_descriptor(type(descriptor), kind)
        missing = [need for need in component.requires if need not in self.services]
        if missing:
            needs = ", ".join(need.__name__ for need in missing)
            text = f"{component.name} needs {needs}, which this host does not offer"
            self._add(Problem(path, f"{text}; run it in the device server SDPQueueConnector"))
        return ComponentPlan(component, descriptor, specs[0])

    def _try(
        self,
        path: str,
        cases: Sequence[Case],
        action: Callable[[Case], Result],
        *,
        every: bool = False,
    ) -> list[Result]:
        """The result for the first case that passes, or all; else the problems that all have."""
        results: list[Result] = []
        refusals: list[tuple[Problem, ...]] = []
        for case in cases:
            try:
                results.append(action(case))
            except ConfigError as error:
                refusals.append(error.problems)
            if results and not every:
                break
        if results:
            return results
        for problem in refusals[0]:
            # Of several cases only what is wrong with an option, not what is with the case.
            if len(cases) == 1 or (problem.path and all(problem in them for them in refusals)):
                self._add(problem.under(path))
        return []

    def _add(self, problem: Problem) -> None:
        self.problems.append(problem.under(self.path))
