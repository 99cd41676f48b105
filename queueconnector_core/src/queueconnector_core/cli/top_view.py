"""What `queueconnector top` shows, and what its keys do to that; no terminal, no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from queueconnector_core.cli.table import new_table

__all__ = ("TopView",)

_TEXTS: Final = ("exchange", "state")
_NUMBERS: Final = (
    "in /s",
    "out /s",
    "latency",
    "lag",
    "in flight",
    "waiting",
    "dropped",
    "letters",
    "gaps",
)
_SORTS: Final = ("name", "state", "delivered_hz", "latency_s", "lag", "in_flight", "gaps")
_RISING: Final = ("name", "state")
_HEAD_LINES: Final = 5
_FILTER_CHARACTERS: Final = 80


class TopView:
    """The newest status of a host, how it is sorted and filtered, and which row is chosen."""

    def __init__(self) -> None:
        self.is_done = False
        self.note = ""
        """What became of the last command."""
        self._status: dict[str, Any] = {"name": "", "state": "?", "exchanges": []}
        self._lost = ""
        self._sort = 0
        self._filter = ""
        self._typing = False
        self._chosen: str | None = None

    def update(self, status: dict[str, Any]) -> None:
        """Show another status from now on."""
        self._status, self._lost = status, ""

    def lost(self, reason: str) -> None:
        """The host does not answer: what is shown is old."""
        self._lost = reason

    def press(self, key: str) -> tuple[str, str] | None:
        """Do what a key says; the exchange and the command that the host is to be sent, if any."""
        if self._typing:
            self._type(key)
            return None
        commands = {"p": "pause", "r": "resume", "R": "restart"}
        if key in commands and (chosen := self._row()) is not None:
            return chosen["name"], commands[key]
        match key:
            case "q":
                self.is_done = True
            case "s":
                self._sort = (self._sort + 1) % len(_SORTS)
            case "/":
                self._typing, self._filter = True, ""
            case "up" | "k":
                self._move(-1)
            case "down" | "j":
                self._move(1)
        return None

    def _type(self, key: str) -> None:
        if key in {"\r", "\n"}:
            self._typing = False
        elif key in {"\x7f", "\b"}:
            self._filter = self._filter[:-1]
        elif key == "\x1b":
            self._typing, self._filter = False, ""
        elif len(key) == 1 and key.isprintable():
            self._filter = (self._filter + key)[:_FILTER_CHARACTERS]

    def _move(self, by: int) -> None:
        names = [row["name"] for row in self._rows()]
        if names:
            place = names.index(self._chosen) + by if self._chosen in names else 0
            self._chosen = names[min(max(place, 0), len(names) - 1)]

    def _row(self) -> dict[str, Any] | None:
        """The chosen exchange; the first one where none was chosen yet."""
        rows = self._rows()
        return next((row for row in rows if row["name"] == self._chosen), rows[0] if rows else None)

    def _rows(self) -> list[dict[str, Any]]:
        wanted = self._filter.casefold()
        rows = [row for row in self._status["exchanges"] if wanted in _searchable(row)]
        column = _SORTS[self._sort]
        if column in _RISING:
            return rows if column == "name" else sorted(rows, key=lambda row: str(row[column]))
        return sorted(rows, key=lambda row: -(row[column] or 0))

    def screen(self, height: int) -> RenderableType:
        """All of it, in a terminal of so many lines."""
        status = self._status
        state = Text(f"{status['name']}  {status['state']}  ", style="bold")
        state.append("does not answer: " + self._lost if self._lost else _health(status))
        sort = f"sorted by {_SORTS[self._sort]}"
        typed = f"  filter: {self._filter}{'_' if self._typing else ''}"
        rows = self._rows()
        sort += typed if self._typing or self._filter else ""
        help_line = "up/down choose  s sort  / filter  p pause  r resume  R restart  q quit"
        return Group(
            state,
            Text(f"{len(rows)} of {len(status['exchanges'])} exchanges  {sort}"),
            self._table(rows, max(1, height - _HEAD_LINES)),
            Text(self.note or help_line, style="" if self.note else "dim"),
        )

    def table(self) -> Table:
        """All rows, for a script."""
        return self._table(self._rows(), None)

    def _table(self, rows: Sequence[dict[str, Any]], lines: int | None) -> Table:
        table = new_table(*_TEXTS)
        for column in _NUMBERS:
            table.add_column(column, justify="right")
        table.add_column("", overflow="ellipsis", no_wrap=True)
        chosen = self._row() if lines is not None else None
        first = 0
        if lines is not None and chosen is not None:
            first = max(0, rows.index(chosen) - lines + 1)
        for row in rows[first : None if lines is None else first + lines]:
            style = "reverse" if row is chosen else ("red" if row["unhealthy"] else "")
            table.add_row(*_cells(row), style=style)
        return table


def _searchable(row: dict[str, Any]) -> str:
    parts = (row["name"], row["state"], row["unhealthy"] or "", "paused" if row["paused"] else "")
    return " ".join(parts).casefold()


def _health(status: dict[str, Any]) -> str:
    ill = sum(1 for row in status["exchanges"] if row["unhealthy"])
    return f"{ill} ill" if ill else "all well"


def _cells(row: dict[str, Any]) -> list[Text]:
    state = f"{row['state']} paused" if row["paused"] else row["state"]
    numbers = (
        _rate(row["received_hz"]),
        _rate(row["delivered_hz"]),
        _seconds(row["latency_s"]),
        "-" if row["lag"] is None else f"{row['lag']:,}",
        f"{row['in_flight']:,}",
        _seconds(row["waiting_s"] or None),
        f"{row['dropped']:,}",
        f"{row['dead_lettered']:,}",
        f"{row['gaps']:,}",
    )
    note = row["unhealthy"] or row["last_failure"] or ""
    return [Text(cell) for cell in (row["name"], state, *numbers, note)]


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f} s" if value >= 1 else f"{value * 1e3:.3g} ms"
