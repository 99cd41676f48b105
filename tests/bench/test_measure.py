"""How comparisons are judged, and what becomes of them on a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.measure import Comparison, Goal, Measurement, at_least, at_most, percentile
from bench.page import BEGIN, END, markdown, write_into


def comparison(*goals: Goal) -> Comparison:
    rounds = [
        {
            "loop": Measurement(100, 1.0, 1.0, {"p50_ms": 2.0}),
            "exchange": Measurement(100, wall_s, cpu_s, {"p50_ms": 2.4}),
        }
        for wall_s, cpu_s in ((0.5, 0.9), (0.4, 0.7), (9.0, 9.0))
    ]
    return Comparison("copy", tuple(rounds), goals)


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    found = comparison()

    assert found.rate_ratio("exchange") == pytest.approx(2.0)
    assert found.cpu_ratio("exchange") == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("goal", "is_met"),
    [
        (at_least(1.9, "rate", "exchange"), True),
        (at_least(2.1, "rate", "exchange"), False),
        (at_most(0.95, "cpu_us", "exchange"), True),
        (at_most(0.8, "cpu_us", "exchange"), False),
        (at_most(0.5, "p50_ms", "exchange", kind="difference"), True),
        (at_most(0.3, "p50_ms", "exchange", kind="difference"), False),
        (at_most(2.5, "p50_ms", "exchange", kind="absolute"), True),
        (at_most(2.3, "p50_ms", "exchange", kind="absolute"), False),
        (at_least(1.9, "rate", "loop", beside="exchange"), False),
    ],
)
def test_a_goal_is_met_or_missed(goal: Goal, is_met: bool) -> None:
    assert (comparison(goal).missed == []) is is_met


@pytest.mark.parametrize(
    ("goal", "found", "is_met"),
    [
        (at_most(1.15, "cpu_us", "x"), 1.29, True),
        (at_most(1.15, "cpu_us", "x"), 1.31, False),
        (at_least(0.9, "rate", "x"), 0.81, True),
        (at_least(0.9, "rate", "x"), 0.79, False),
        (at_most(0.8, "cpu_us", "x"), 0.99, True),
        (at_most(0.8, "cpu_us", "x"), 1.01, False),
        (at_least(20, "rate", "x"), 10.1, True),
        (at_least(20, "rate", "x"), 9.9, False),
        (at_most(6, "start_s", "x", kind="absolute"), 11.9, True),
        (at_most(6, "start_s", "x", kind="absolute"), 12.1, False),
    ],
)
def test_loosely_a_goal_has_twice_its_slack(goal: Goal, found: float, is_met: bool) -> None:
    assert goal.met(found, loosely=True) is is_met


def test_a_goal_of_a_case_that_could_not_be_had_is_told_as_not_measured() -> None:
    found = comparison(at_least(10, "rate", "exchange", beside="a peer", row=3))

    assert found.missed == []
    assert "not measured" in found.table()
    assert json.loads(found.lines()[2]) | {"found": None, "met": None} == json.loads(
        found.lines()[2]
    )


def test_the_page_has_each_goal_with_its_verdict() -> None:
    lines = [
        json.loads(line) for line in comparison(at_least(3, "rate", "exchange", row=2)).lines()
    ]

    text = markdown(lines)

    assert "| 2 | " in text
    assert "| copy: exchange | rate ≥ 3 x loop | 2 | MISSED |" in text
    assert "not measured in this run" in text


def test_results_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    write_into(page, "new\n")

    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile(range(1, 101), 99) == 99
    assert percentile([3.0], 99) == 3.0
