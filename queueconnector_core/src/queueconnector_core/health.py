"""Whether an exchange is well: it moves, or it is proven that there is nothing to move."""

from __future__ import annotations

import time
from collections.abc import Iterable

from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.states import State

__all__ = ("ailment", "ailments")

AT_REST = frozenset({State.OFF, State.STANDBY, State.INIT})


def ailment(exchange: Exchange) -> str | None:
    """What is wrong with an exchange that streams; None: it is well."""
    limit_s = exchange.health_limit_s
    if degraded := exchange.statistics.degraded:
        return f"waits for {time.time() - degraded.time_s:.0f} s: {degraded.text}"
    if in_flight := exchange.statistics.in_flight:
        stuck_s = time.monotonic() - exchange.statistics.moved_s
        if stuck_s > limit_s + exchange.longest_hold_s:
            return f"{in_flight} records are in flight, and none was delivered for {stuck_s:.0f} s"
    silent_s = 0.0 if exchange.is_paused else exchange.silent_s()
    if silent_s > limit_s:
        return f"no sign of life from a source for {silent_s:.0f} s"
    return exchange.impaired()


def ailments(groups: Iterable[Group]) -> dict[str, str]:
    """What is wrong, by name of the exchange (or of the group that is in FAULT)."""
    found: dict[str, str] = {}
    for group in groups:
        if group.state is State.FAULT:
            found[group.name] = str(group.fault)
        elif group.state not in AT_REST:
            found |= {
                exchange.name: text
                for exchange in group.exchanges
                if (text := ailment(exchange)) is not None
            }
    return found
