"""`queueconnector gaps`, and how gaps are shown to people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from queueconnector_core.cli.problems import told
from queueconnector_core.cli.table import new_table, print_table
from queueconnector_core.errors import ConfigError
from queueconnector_core.gaps import Gap, GapReason
from queueconnector_core.provenance import time_text

__all__ = ("gaps", "gap_line", "gap_table")


def gaps(
    report: Path, /, *, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False
) -> int:
    """Print what a run knows to be missing, from the file that `run --report` writes.

    Exit codes: 0, 2 when the file is no such report.

    Parameters
    ----------
    report
        The path of the report.
    as_json
        Print a JSON list of objects; times are nanoseconds since the Unix epoch.
    """

    def command() -> int:
        found = _read(report)
        if as_json:
            rows = [{"exchange": name, **gap.as_json()} for name, gap in found]
            print(json.dumps(rows, indent=2))
        elif found:
            print_table(gap_table(found))
        else:
            print("no gaps")
        return 0

    return told(command)


def _read(path: Path) -> list[tuple[str, Gap]]:
    try:
        document = json.loads(path.read_text("utf-8"))
        return [(gap.pop("exchange"), _gap(gap)) for gap in document["gaps"]]
    except OSError as error:
        raise ConfigError.at("", f"cannot read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        text = f"{path} is no report of a run; queueconnector run --report FILE writes one"
        raise ConfigError.at("", text) from None


def _gap(written: dict[str, Any]) -> Gap:
    return Gap(**{**written, "reason": GapReason(written["reason"])})


def gap_table(found: Iterable[tuple[str, Gap]]) -> Table:
    """A row for each gap, with its exchange."""
    table = new_table("exchange", "source", "reason", "from", "to", "records", "")
    for name, gap in found:
        until = "goes on" if gap.to_ns is None else time_text(gap.to_ns)
        cells = (name, gap.source, gap.reason.value, time_text(gap.from_ns), until, _records(gap))
        table.add_row(*map(Text, (*cells, gap.text)))
    return table


def gap_line(exchange: str, gap: Gap) -> str:
    """One gap in one line."""
    until = "now" if gap.to_ns is None else time_text(gap.to_ns)
    text = f" ({gap.text})" if gap.text else ""
    return (
        f"{exchange} gap: {gap.source}: {gap.reason.value} from {time_text(gap.from_ns)} "
        f"to {until}, records missing: {_records(gap)}{text}"
    )


def _records(gap: Gap) -> str:
    if gap.records is None:
        return "unknown"
    return str(gap.records) if gap.is_exact else f"about {gap.records}"
