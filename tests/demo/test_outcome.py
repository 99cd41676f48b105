"""The verdict on a run, and how it is shown."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from pointing_loop.display import View, live_table, scan_line, summary_table
from pointing_loop.history import Correction, DishHistory, Residual, result
from pointing_loop.picture import draw
from pointing_loop.scans import Scans

SCANS = Scans(1000.0, 5.0)


def history(dish: str, first_arcsec: float, last_arcsec: float) -> DishHistory:
    """Four scans whose error goes from the first to the last in equal steps."""
    made = DishHistory(dish, state="ON", azimuth=210.25, elevation=41.5)
    for scan, error in enumerate(np.linspace(first_arcsec, last_arcsec, 4), start=1):
        for time in np.arange(SCANS.end(scan - 1), SCANS.end(scan), 0.1):
            made.residuals.append(Residual(time, 0.6 * error, -0.8 * error))
        if scan < 4:
            made.corrections.append(Correction(SCANS.end(scan) + 0.4, scan, 0.01, -0.02))
    return made


def shown(*renderables: object) -> str:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(*renderables)
    return capture.get()


def test_an_error_that_fell_to_less_than_a_third_is_a_success() -> None:
    verdict = result(history("SKA001", 120.0, 4.0), SCANS, 4)
    assert verdict.first == pytest.approx(120.0)
    assert verdict.last == pytest.approx(4.0)
    assert verdict.factor == pytest.approx(30.0)
    assert verdict.corrections == 3
    assert verdict.problem is None


def test_each_way_to_fail_is_named() -> None:
    fell_little = result(history("SKA001", 100.0, 50.0), SCANS, 4)
    assert fell_little.problem is not None
    assert "SKA001: the error fell by a factor of 2.0 only" in fell_little.problem
    deaf = history("SKA002", 100.0, 4.0)
    deaf.corrections.clear()
    assert result(deaf, SCANS, 4).problem == "SKA002: no offset ever arrived"
    silent = result(DishHistory("SKA003"), SCANS, 4).problem
    assert silent == "SKA003: no pointings in the first or in the last scan"


def view(now: float) -> View:
    return View(
        source="3C 273",
        broker="Apache Kafka",
        connector_state="ON",
        connector_status="2 received, 2 delivered",
        scans=SCANS,
        scan_count=4,
        now=now,
        histories=[history("SKA001", 120.0, 4.0), DishHistory("SKA002")],
    )


def test_the_table_shows_what_each_dish_does_in_eighty_columns() -> None:
    text = shown(live_table(view(SCANS.end(4) - 0.5)))
    for expected in ("following 3C 273", "scan 4 of 4", "Queue Connector ON", "2 delivered"):
        assert expected in text
    row = next(line for line in text.splitlines() if line.startswith("SKA001"))
    for expected in ("210.25", "41.50", "120.0", "4.0", "+36.0  -72.0", "▇"):
        assert expected in row


def test_a_line_of_a_scan_shows_the_error_of_each_dish() -> None:
    line = scan_line(view(SCANS.end(1)), 1)
    assert line.startswith("scan   1  connector ON")
    assert "SKA001  120.0" in line


def test_the_summary_shows_first_and_last_scan() -> None:
    table = summary_table([result(history("SKA001", 120.0, 4.0), SCANS, 4)])
    row = next(line for line in shown(table).splitlines() if "SKA001" in line)
    assert [word for word in row.split() if word[0].isdigit()] == ["120.0", "4.0", "30.0", "3"]


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("dishes", [1, 16])
def test_a_picture_is_drawn(tmp_path: Path, ending: str, dishes: int) -> None:
    histories = [history(f"SKA{n:03d}", 100.0 + n, 4.0) for n in range(dishes)]
    path = tmp_path / f"picture.{ending}"
    draw([*histories, DishHistory("SKA999")], SCANS, 4, "3C 273", path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    assert len(content) > 20_000
