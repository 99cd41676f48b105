"""The terminal side: a live table on a terminal, one line a scan elsewhere."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pointing_loop.history import DishHistory, Result
from pointing_loop.pointing_model import ARCSEC_PER_DEG
from pointing_loop.scans import Scans

__all__ = ("View", "live_table", "scan_line", "summary_table")

BLOCKS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 16
SPARKLINE_RANGE_ARCSEC = (2.0, 300.0)
STATE_STYLES = {"ON": "green", "ALARM": "yellow", "FAULT": "red"}


@dataclass(frozen=True, slots=True)
class View:
    """All that is shown at one moment; ``now`` in TAI seconds since 2000."""

    source: str
    broker: str
    connector_state: str
    connector_status: str
    scans: Scans
    scan_count: int
    now: float
    histories: Sequence[DishHistory]

    @property
    def scan(self) -> int:
        """The scan that is going on, from 1 to ``scan_count``."""
        return min(max(1, self.scans.index(self.now)), self.scan_count)


def live_table(view: View) -> RenderableType:
    """Return the table of all dishes as it is now."""
    left = max(0.0, view.scans.end(view.scan_count) - view.now)
    heading = Text.assemble(
        ("Pointing loop", "bold"),
        f"  following {view.source}   scan {view.scan} of {view.scan_count}, {left:.0f} s left\n",
        "Queue Connector ",
        _state(view.connector_state),
        f"   Kafka: {view.broker}\n",
        (view.connector_status, "dim"),
    )
    # Titles of two lines, to fit a terminal of 80 columns.
    table = Table("\ndish", "\nstate", header_style="bold", box=None, padding=(0, 1, 0, 0))
    for title in ("azim.\n°", "elev.\n°", "error\nstart ″", "error\nnow ″"):
        table.add_column(title, justify="right")
    table.add_column("offset applied\nxel, el ″", justify="right")
    table.add_column("off-\nsets", justify="right")
    table.add_column("error over time\n(log)")
    for history in view.histories:
        table.add_row(*_row(history, view))
    return Group(heading, Text(), table)


def scan_line(view: View, scan: int) -> str:
    """Return the residual of each dish in a scan that is over, in arcseconds."""
    start, end = view.scans.end(scan - 1), view.scans.end(scan)
    errors = "  ".join(
        f"{history.dish} {history.rms(start, end):6.1f}" for history in view.histories
    )
    return f"scan {scan:3d}  connector {view.connector_state:7s} RMS error in arcsec: {errors}"


def summary_table(results: Sequence[Result]) -> Table:
    """Return how far the error of each dish fell."""
    table = Table("dish", title="RMS pointing error, arcseconds", title_justify="left")
    for title in ("first scan", "last scan", "times smaller", "offsets applied"):
        table.add_column(title, justify="right")
    for entry in results:
        style = "red" if entry.problem else "green"
        factor = f"[{style}]{entry.factor:.1f}[/]"
        numbers = (f"{entry.first:.1f}", f"{entry.last:.1f}", factor, str(entry.corrections))
        table.add_row(entry.dish, *numbers)
    return table


def _row(history: DishHistory, view: View) -> list[str | Text]:
    begin = view.scans.start_s
    first = history.rms(begin, min(view.now, view.scans.end(1)))
    recent = history.rms(view.now - 1.0, view.now)
    applied = "-"
    if history.corrections:
        last = history.corrections[-1]
        cross, along = last.cross * ARCSEC_PER_DEG, last.elevation * ARCSEC_PER_DEG
        applied = f"{cross:+.1f} {along:+6.1f}"
    return [
        history.dish,
        _state(history.state),
        _number(history.azimuth, 2),
        _number(history.elevation, 2),
        _number(first, 1),
        _number(recent, 1),
        applied,
        str(len(history.corrections)),
        _sparkline(history, view),
    ]


def _number(value: float, decimals: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{decimals}f}"


def _state(state: str) -> Text:
    return Text(state, style=STATE_STYLES.get(state, "default"))


def _sparkline(history: DishHistory, view: View) -> str:
    edges = np.linspace(view.scans.start_s, view.scans.end(view.scan_count), SPARKLINE_WIDTH + 1)
    low, high = np.log(SPARKLINE_RANGE_ARCSEC)
    line = ""
    for start, end in itertools.pairwise(edges):
        error = history.rms(float(start), float(end))
        if np.isnan(error):
            break
        level = np.clip((np.log(max(error, 1e-9)) - low) / (high - low), 0.0, 1.0)
        line += BLOCKS[round(float(level) * (len(BLOCKS) - 1))]
    return line
