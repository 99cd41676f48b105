"""Where letters are driven to: an exchange of a configuration, or a sink."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from queueconnector_core.component import BuildContext, ComponentKind, Services
from queueconnector_core.dead_letters.letter import Letter
from queueconnector_core.dead_letters.redrive import Route, to_exchange, to_sink
from queueconnector_core.dead_letters.writing import LETTER_SPEC
from queueconnector_core.descriptors import (
    ExchangeDescriptor,
    QueueConnectorDescriptor,
    SinkDescriptor,
)
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.plan import ExchangePlan, Surroundings, make_plan
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json, structure, structure_as

__all__ = ("Router", "exchange_router", "sink_router")

Router: TypeAlias = Callable[[Sequence[Letter]], Route]
"""Finds the way of some letters; raises `ConfigError` when they cannot go there."""


def exchange_router(text: str, name: str | None, registry: Registry, *, forced: bool) -> Router:
    """Into the exchange of that name; without one, into that which the letters tell.

    `forced`: also letters of other exchanges. Raises `ConfigError` for a configuration that cannot
    be read.
    """
    try:
        descriptor = structure(read_json(text), registry)
    except ConfigError as error:
        raise error.under("--config") from None

    def route(letters: Sequence[Letter]) -> Route:
        told = sorted({letter.told("exchange") for letter in letters})
        if name is None and len(told) > 1:
            raise ConfigError.at("--exchange", f"the letters are of {', '.join(told)}; name one")
        chosen = name or told[0]
        plan = _plan(descriptor, chosen, registry)
        strangers = [each.number for each in letters if each.told("exchange") != chosen]
        if strangers and not forced:
            numbers = " ".join(map(str, strangers))
            raise ConfigError.at(
                "--exchange", f"letters {numbers} are not of {chosen}; choose letters with --only"
            )
        return to_exchange(plan, registry, Services())

    return route


def _plan(descriptor: QueueConnectorDescriptor, name: str, registry: Registry) -> ExchangePlan:
    """One exchange, proven alone: others may need what a command line cannot offer."""
    exchanges: dict[str, ExchangeDescriptor] = {
        f"{group}[{index}]": exchange
        for group, members in descriptor.groups.items()
        for index, exchange in enumerate(members)
    }
    if name not in exchanges:
        allowed = ", ".join(exchanges) or "none"
        raise ConfigError.at("--exchange", f"found {name!r}; the configuration has {allowed}")
    alone = QueueConnectorDescriptor([exchanges[name]])
    try:
        plan = make_plan(alone, registry, Services(), Surroundings())
    except ConfigError as error:
        problems = (
            Problem(problem.path.replace("exchanges[0]", name, 1), problem.message)
            for problem in error.problems
        )
        raise ConfigError(problems).under("--config") from None
    (made,) = plan.groups["default"]
    return attrs.evolve(made, name=name)


def sink_router(text: str, registry: Registry) -> Router:
    """To a sink, given as JSON, with key and headers; raises `ConfigError`."""
    try:
        sink = structure_as(read_json(text), SinkDescriptor, registry)
        sink = sink.for_dead_letters()
        sink.check(LETTER_SPEC, registry)
    except ConfigError as error:
        raise error.under("--to") from None
    component = registry.of_descriptor(type(sink), ComponentKind.SINK)
    missing = [need.__name__ for need in component.requires]
    if missing:
        raise ConfigError.at("--to", f"{component.name} needs {missing[0]}; use another sink")

    context = BuildContext(LETTER_SPEC, registry, name="redrive")
    return lambda _: to_sink(component.factory(sink, context))
