"""What a host runs, as JSON values: its state, the way of the records, its configuration."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any, Final, TypeAlias
from weakref import WeakKeyDictionary

import attrs
import msgspec

from queueconnector_core.connector import Connector
from queueconnector_core.dataspec import DataSpec, dtype_literal
from queueconnector_core.descriptors import Descriptor
from queueconnector_core.errors import placed
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.hints import options_of
from queueconnector_core.plan import ComponentPlan, ExchangePlan
from queueconnector_core.report import Report
from queueconnector_core.states import State
from queueconnector_core.web.history import History

__all__ = ("status", "configuration", "unready", "Exchanges", "planned")

Exchanges: TypeAlias = Iterator[tuple[Group, Exchange, ExchangePlan]]

VERSION: Final = metadata.version("queueconnector-core")

_SECRETIVE: Final = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|private", re.IGNORECASE
)
_REFERENCE: Final = re.compile(r"(_env|_file|_path|_location)$", re.IGNORECASE)
_LOGIN: Final = re.compile(r"(?<=://)[^/@\s]+@")
MASK: Final = "***"
MAX_MEMBERS: Final = 32
MAX_TEXT: Final = 2_000


def planned(connector: Connector) -> Exchanges:
    """Every exchange with its group and its plan; one that is being replaced is left out."""
    for document in connector.documents:
        plans = document.plans
        for group in document.groups.values():
            for exchange in group.exchanges:
                if exchange in plans:
                    yield group, exchange, plans[exchange]


def unready(connector: Connector) -> list[str]:
    """Why the host does not do all that it was told to, a line each; none: it does."""
    reasons = [] if connector.trouble is None else [connector.trouble]
    reasons += [f"{name}: {text}" for name, text in connector.ailments().items()]
    for name, group in connector.groups.items():
        if group.state in {State.OPEN, State.CLOSE}:
            reasons.append(f"group {name} is {group.state.value}")
    for name, follower in connector.followers.items():
        if follower.problem is not None:
            reasons.append(f"configuration source {name}: {follower.problem.reason}")
    return reasons


def status(connector: Connector, history: History, started_s: float) -> Report:
    """Everything about the host, its groups and its exchanges that changes, and the topology."""
    counts = connector.statistics()
    return {
        "name": connector.name,
        "version": VERSION,
        "time_s": time.time(),
        "started_s": started_s,
        "state": (connector.state if connector.trouble is None else State.FAULT).value,
        "trouble": connector.trouble,
        "healthy": not connector.ailments() and connector.trouble is None,
        "status": connector.status_text(),
        "groups": [_group(group) for group in connector.groups.values()],
        "exchanges": [
            _exchange(exchange, plan, counts[exchange.name], history)
            for _, exchange, plan in planned(connector)
        ],
    }


def _group(group: Group) -> Report:
    return {
        "name": group.name,
        "state": group.state.value,
        "fault": None if group.fault is None else str(group.fault),
        "restarts": group.restarts,
        "restart_at_s": group.restart_at_s,
        "exchanges": [exchange.name for exchange in group.exchanges],
    }


def _exchange(exchange: Exchange, plan: ExchangePlan, counts: Report, history: History) -> Report:
    failures = exchange.statistics.failures
    return {
        "name": exchange.name,
        **counts,
        **attrs.asdict(history.rates(exchange.name)),
        "last_failure_s": failures[-1].time_s if failures else None,
        **_components(exchange, plan),
    }


_told: WeakKeyDictionary[Exchange, dict[str, list[Report]]] = WeakKeyDictionary()
"""The components of an exchange never change, and may hold much data."""


def _components(exchange: Exchange, plan: ExchangePlan) -> dict[str, list[Report]]:
    if exchange not in _told:
        _told[exchange] = _made(plan)
    return _told[exchange]


def _made(plan: ExchangePlan) -> dict[str, list[Report]]:
    return {
        "sources": _stages("source", plan.sources),
        "pipes": _stages("pipe", plan.pipes),
        "sinks": _stages("sink", plan.sinks),
    }


def _stages(stage: str, plans: Sequence[ComponentPlan]) -> list[Report]:
    return [
        {"stage": path, **_component(plan), **_spec(plan.spec)}
        for path, plan in placed(stage, plans)
    ]


def _spec(spec: DataSpec) -> Report:
    return {"dtype": dtype_literal(spec.dtype), "shape": list(spec.shape)}


def _component(plan: ComponentPlan) -> Report:
    return {"type": plan.type.name, "options": options(plan.descriptor)}


def configuration(connector: Connector) -> Report:
    """What is configured, as the plan has it: each option that differs from its default.

    Secrets stand in a configuration by reference only. What looks like one all the same is masked.
    """
    groups: dict[str, list[Report]] = {name: [] for name in connector.groups}
    for group, exchange, plan in planned(connector):
        kept = {"dead_letters": plan.dead_letters, "gaps": plan.gaps}
        groups[group.name].append(
            {
                "name": exchange.name,
                "hash": plan.hash,
                **_components(exchange, plan),
                "errors": options(plan.errors),
                **{name: sink and _component(sink) for name, sink in kept.items()},
                "health_limit_s": plan.health_limit_s,
            }
        )
    documents = [
        {
            "source": document.owner,
            "version": document.running,
            "result": document.result,
            "rejected": document.rejection and masked(str(document.rejection.fault)),
        }
        for document in connector.documents
        if document.groups or document.rejection
    ]
    return {"documents": documents, "groups": groups}


def options(descriptor: Descriptor | object) -> Report:
    """The options of an attrs class that differ from their defaults, masked."""
    written: Report = msgspec.to_builtins(descriptor)
    for name, option in options_of(type(descriptor)).items():
        default = option.default
        made = default.factory() if hasattr(default, "factory") else default
        if made is not attrs.NOTHING and getattr(descriptor, name) == made:
            written.pop(name, None)
    found: Report = masked(written)
    return found


def masked(value: Any, name: str = "") -> Any:
    """The same without what looks like a secret: by the name of its option, or in a URL.

    What is long is cut.
    """
    if isinstance(value, dict):
        return {key: masked(member, str(key)) for key, member in value.items()}
    if _SECRETIVE.search(name) and not _REFERENCE.search(name) and value is not None:
        return MASK
    if isinstance(value, list):
        kept = [masked(member) for member in value[:MAX_MEMBERS]]
        left = len(value) - len(kept)
        return [*kept, f"… {left} more"] if left else kept
    if not isinstance(value, str):
        return value
    short = value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}…"
    return _LOGIN.sub(f"{MASK}@", short)
