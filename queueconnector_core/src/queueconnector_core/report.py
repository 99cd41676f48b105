"""What a host knows of its exchanges, as plain JSON values: for attributes, files and programs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from queueconnector_core.exchange import Exchange
from queueconnector_core.gaps import KEPT_GAPS
from queueconnector_core.group import Group
from queueconnector_core.health import ailments

__all__ = ("Report", "statistics_report", "gaps_report")

Report: TypeAlias = dict[str, Any]


def statistics_report(groups: Iterable[Group]) -> Report:
    """The balance and the health of each exchange, by its name."""
    known = list(groups)
    wrong = ailments(known)
    return {
        exchange.name: {
            "group": group.name,
            "state": group.state.value,
            "paused": exchange.is_paused,
            "unhealthy": wrong.get(exchange.name) or wrong.get(group.name),
            **_balance(exchange),
        }
        for group, exchange in _exchanges(known)
    }


def gaps_report(groups: Iterable[Group]) -> list[Report]:
    """The latest gaps of all exchanges, at most `KEPT_GAPS`, oldest first.

    Each has the fields of `queueconnector_core.gaps.Gap`, and its exchange.
    """
    found: list[Report] = [
        {"exchange": exchange.name, **gap.as_json()}
        for _, exchange in _exchanges(groups)
        for gap in exchange.gaps
    ]
    return sorted(found, key=lambda gap: gap["from_ns"])[-KEPT_GAPS:]


def _exchanges(groups: Iterable[Group]) -> Iterator[tuple[Group, Exchange]]:
    return ((group, exchange) for group in groups for exchange in group.exchanges)


def _balance(exchange: Exchange) -> Report:
    counts, gaps = exchange.statistics, exchange.gaps
    degraded = counts.degraded
    return {
        "received": counts.received,
        "delivered": counts.delivered,
        "filtered": counts.filtered,
        "dropped": counts.dropped,
        "dead_lettered": counts.dead_lettered,
        "in_flight": counts.in_flight,
        "lag": exchange.lag(),
        "flight_s": round(counts.flight_s, 6),
        "gaps": gaps.total,
        "records_lost": gaps.records_lost,
        "gaps_uncounted": gaps.uncounted,
        "waiting_s": 0.0 if degraded is None else max(0.0, time.time() - degraded.time_s),
        "last_failure": counts.failures[-1].text if counts.failures else None,
    }
