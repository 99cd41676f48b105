"""The picture of a run: how the residuals fell, and how each beam came home to the source."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import FuncFormatter

from pointing_loop.history import DishHistory
from pointing_loop.mount import WIND_ARCSEC
from pointing_loop.scans import Scans
from pointing_loop.track import Floats

__all__ = ("draw",)

LEGEND_ROWS = 12
LOWEST_ARCSEC = 0.5
INK, GRID = "#333333", "#dddddd"


def draw(
    histories: Sequence[DishHistory], scans: Scans, scan_count: int, source: str, path: Path
) -> None:
    """Write the picture; the ending of ``path`` decides its format."""
    figure = Figure(figsize=(14, 6), dpi=140, layout="constrained")
    figure.suptitle(
        f"Pointing loop through Queue Connector: {len(histories)} dishes following {source}",
        fontsize=15,
        color=INK,
    )
    over_time, on_sky = figure.subplots(1, 2, width_ratios=(1.5, 1))
    colours = _colours(len(histories))
    _draw_over_time(over_time, histories, colours, scans, scan_count)
    _draw_on_sky(on_sky, histories, colours, scans)
    figure.savefig(path)


def _colours(count: int) -> list[tuple[float, ...]]:
    if count <= 10:
        return [colormaps["tab10"](index) for index in range(count)]
    return [colormaps["turbo"](value) for value in np.linspace(0.05, 0.95, count)]


def _draw_over_time(
    axes: Axes,
    histories: Sequence[DishHistory],
    colours: Sequence[tuple[float, ...]],
    scans: Scans,
    scan_count: int,
) -> None:
    axes.set_title("True pointing error", fontsize=12, color=INK)
    for history, colour in zip(histories, colours, strict=True):
        values = _residuals(history)
        seconds, distance = values[:, 0] - scans.start_s, np.hypot(values[:, 1], values[:, 2])
        axes.plot(seconds, distance, ".", color=colour, markersize=2.5, alpha=0.3)
        axes.plot(seconds, _smooth(distance), color=colour, linewidth=1.8, label=history.dish)
    moments = sorted({_shared_moment(c.tai_s, scans) for h in histories for c in h.corrections})
    for number, moment in enumerate(moments):
        label = "offsets applied" if number == 0 else None
        axes.axvline(moment, color=INK, linewidth=0.9, linestyle=(0, (2, 3)), label=label)
    # The median length of a vector with normal components, as the lines are medians too.
    floor = np.sqrt(2 * np.log(2)) * WIND_ARCSEC
    axes.axhline(floor, color=INK, linewidth=1, label="wind: no offset can cure it")
    axes.set_yscale("log")
    axes.set_ylim(bottom=LOWEST_ARCSEC)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(0, scan_count * scans.length_s)
    axes.set_xlabel("time since the start of scan 1 (s)")
    axes.set_ylabel("angle between beam and source (arcsec)")
    axes.grid(which="major", color=GRID)
    axes.set_axisbelow(True)
    columns = 1 + len(histories) // LEGEND_ROWS
    axes.legend(loc="upper right", fontsize=9, framealpha=0.95, ncols=columns)


def _draw_on_sky(
    axes: Axes,
    histories: Sequence[DishHistory],
    colours: Sequence[tuple[float, ...]],
    scans: Scans,
) -> None:
    axes.set_title("Way of each beam to the source", fontsize=12, color=INK)
    farthest = 1.0
    for history, colour in zip(histories, colours, strict=True):
        stops = _mean_of_each_scan(history, scans)
        axes.plot(stops[:, 0], stops[:, 1], "-", color=colour, linewidth=1.2, alpha=0.8)
        axes.plot(stops[:, 0], stops[:, 1], "o", color=colour, markersize=4)
        axes.plot(stops[:1, 0], stops[:1, 1], "o", color=colour, markersize=9)
        farthest = max(farthest, float(np.abs(stops).max(initial=0.0)))
    for radius in (60, 120, 180):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=GRID))
    axes.plot(0, 0, "+", color=INK, markersize=16, markeredgewidth=1.5)
    limit = 1.12 * farthest
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    axes.set_xlabel("cross-elevation error (arcsec)")
    axes.set_ylabel("elevation error (arcsec)")
    axes.set_axisbelow(True)


def _residuals(history: DishHistory) -> Floats:
    values = [(known.tai_s, known.cross, known.elevation) for known in history.residuals]
    return np.array(values, dtype=np.float64).reshape(-1, 3)


def _smooth(values: Floats, width: int = 11) -> Floats:
    """Return a running median: unlike a mean, it keeps the steps of corrections sharp."""
    if values.size < width:
        return values
    padded = np.pad(values, width // 2, mode="reflect")
    smoothed: Floats = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    return smoothed


def _shared_moment(tai_s: float, scans: Scans) -> float:
    """Return the time to a tenth of a second: one line for what all dishes did at once."""
    return round(tai_s - scans.start_s, 1)


def _mean_of_each_scan(history: DishHistory, scans: Scans) -> Floats:
    values = _residuals(history)
    numbers = np.floor((values[:, 0] - scans.start_s) / scans.length_s)
    settled = values[:, 0] - scans.start_s - numbers * scans.length_s > 0.3 * scans.length_s
    stops = [
        values[settled & (numbers == number), 1:].mean(axis=0)
        for number in np.unique(numbers[settled & (numbers >= 0)])
    ]
    return np.array(stops, dtype=np.float64).reshape(-1, 2)
