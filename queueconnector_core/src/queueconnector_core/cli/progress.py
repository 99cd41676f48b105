"""Shows what a connector does: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from queueconnector_core.connector import Connector
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group

__all__ = ("Progress",)

REFRESH_S = 0.25


class Progress:
    """A context manager that reports to standard error while its body runs, and once at the end."""

    def __init__(self, connector: Connector, interval_s: float) -> None:
        self._connector = connector
        self._console = Console(stderr=True, soft_wrap=True)
        self._interval_s = REFRESH_S if self._console.is_terminal else interval_s
        self._live = Live(console=self._console, auto_refresh=False)
        self._rates = _Rates()
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
        for group in self._connector.groups.values():
            if (fault := group.fault) is not None:
                place = f"{group.name}[{fault.exchange}]: " if fault.exchange is not None else ""
                self._console.print(f"group {group.name} failed: {place}{fault}", markup=False)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._show()

    def _show(self) -> None:
        if self._console.is_terminal:
            self._live.update(self._table(), refresh=True)
            return
        for group in self._connector.groups.values():
            for exchange in group.exchanges:
                self._console.print(self._line(group, exchange), markup=False, highlight=False)

    def _line(self, group: Group, exchange: Exchange) -> str:
        stats = exchange.statistics
        waiting = f" waiting: {stats.degraded.text}" if stats.degraded else ""
        return (
            f"{exchange.name} {group.state.value} received={stats.received} "
            f"delivered={stats.delivered} dropped={stats.dropped} in_flight={stats.in_flight} "
            f"rate={self._rates.of(exchange):.0f}/s{waiting}"
        )

    def _table(self) -> Table:
        table = Table("exchange", "state", box=None, pad_edge=False)
        for column in ("received", "delivered", "dropped", "in flight", "per second"):
            table.add_column(column, justify="right")
        table.add_column("note")
        for group in self._connector.groups.values():
            for exchange in group.exchanges:
                stats = exchange.statistics
                counts = (stats.received, stats.delivered, stats.dropped, stats.in_flight)
                table.add_row(
                    exchange.name,
                    group.state.value,
                    *(f"{count:,}" for count in counts),
                    f"{self._rates.of(exchange):,.0f}",
                    _note(exchange),
                )
        return table


def _note(exchange: Exchange) -> str:
    """What an operator should know now: whom it waits for, or the last failure."""
    stats = exchange.statistics
    if stats.degraded:
        return f"waiting: {stats.degraded.text}"
    return stats.failures[-1].text if stats.failures else ""


class _Rates:
    """Delivered records per second of each exchange, between two looks at it."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}

    def of(self, exchange: Exchange) -> float:
        now, delivered = time.monotonic(), exchange.statistics.delivered
        before, count = self._seen.get(exchange.name, (now, 0))
        self._seen[exchange.name] = now, delivered
        return (delivered - count) / (now - before) if now > before else 0.0
