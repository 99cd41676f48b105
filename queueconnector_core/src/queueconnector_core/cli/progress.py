"""Shows what a connector does: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.table import Table
from rich.text import Text

from queueconnector_core.cli.gaps import gap_line, gap_table
from queueconnector_core.cli.table import PIPED_WIDTH, new_console, new_table
from queueconnector_core.connector import Connector
from queueconnector_core.exchange import Exchange
from queueconnector_core.gaps import Gap
from queueconnector_core.group import Group
from queueconnector_core.health import ailments

__all__ = ("Progress",)

REFRESH_S = 0.25

COUNTS = (
    *("received", "delivered", "dropped", "letters"),
    *("gaps", "in flight", "per s"),
)


class Progress:
    """A context manager that reports to standard error while its body runs, and once at the end."""

    def __init__(self, connector: Connector, interval_s: float) -> None:
        self._connector = connector
        self._console = new_console(stderr=True)
        self._interval_s = REFRESH_S if self._console.is_terminal else interval_s
        self._live = Live(console=self._console, auto_refresh=False)
        self._rates = _Rates()
        self._told: set[tuple[str, Gap]] = set()
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        self._task = asyncio.create_task(self._report())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        self._show()
        self._live.stop()
        if gaps := self._gaps():
            if not self._console.is_terminal:
                self._console.width = PIPED_WIDTH
            self._console.print(gap_table(gaps))
        for group in self._connector.groups.values():
            if (fault := group.fault) is not None:
                place = f"{group.name}[{fault.exchange}]: " if fault.exchange is not None else ""
                self._console.print(f"group {group.name} failed: {place}{fault}", markup=False)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._show()

    def _gaps(self) -> list[tuple[str, Gap]]:
        exchanges = (each for group in self._connector.groups.values() for each in group.exchanges)
        return [(exchange.name, gap) for exchange in exchanges for gap in exchange.gaps]

    def _show(self) -> None:
        closed = [told for told in self._gaps() if told[1].to_ns is not None]
        for name, gap in closed:
            if (name, gap) not in self._told:
                self._console.print(gap_line(name, gap), markup=False, highlight=False)
        self._told = set(closed)
        if self._console.is_terminal:
            self._live.update(self._table(), refresh=True)
            return
        for group in self._connector.groups.values():
            for exchange in group.exchanges:
                self._console.print(self._line(group, exchange), markup=False, highlight=False)

    def _line(self, group: Group, exchange: Exchange) -> str:
        stats = exchange.statistics
        note = _trouble(group, exchange)
        return (
            f"{exchange.name} {group.state.value} received={stats.received} "
            f"delivered={stats.delivered} dropped={stats.dropped} in_flight={stats.in_flight} "
            f"dead_lettered={stats.dead_lettered} gaps={exchange.gaps.total} "
            f"rate={self._rates.of(exchange):.0f}/s{note and ' '}{note}"
        )

    def _table(self) -> Table:
        table = new_table("exchange", "state")
        for column in COUNTS:
            table.add_column(column, justify="right")
        table.add_column("")
        for group in self._connector.groups.values():
            for exchange in group.exchanges:
                stats = exchange.statistics
                counts = (
                    *(stats.received, stats.delivered, stats.dropped, stats.dead_lettered),
                    *(exchange.gaps.total, stats.in_flight),
                )
                table.add_row(
                    exchange.name,
                    group.state.value,
                    *(f"{count:,}" for count in counts),
                    f"{self._rates.of(exchange):,.0f}",
                    _note(group, exchange),
                )
        return table


def _trouble(group: Group, exchange: Exchange) -> str:
    """Whom it waits for, or what else is wrong with it now."""
    if degraded := exchange.statistics.degraded:
        return f"waiting: {degraded.text}"
    wrong = ailments([group]).get(exchange.name)
    return f"unhealthy: {wrong}" if wrong else ""


def _note(group: Group, exchange: Exchange) -> Text:
    """What an operator should know now: what is wrong, or the last failure."""
    failures = exchange.statistics.failures
    return Text(_trouble(group, exchange) or (failures[-1].text if failures else ""))


class _Rates:
    """Delivered records per second of each exchange, between two looks at it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def of(self, exchange: Exchange) -> float:
        now, delivered = time.monotonic(), exchange.statistics.delivered
        before, count = self._seen.get(exchange.name, (now, 0))
        self._seen[exchange.name] = now, delivered
        return (delivered - count) / (now - before) if now > before else 0.0
