"""Runs cases in turns, compares the medians of their rounds, and judges them by goals.

A benchmark is a function from `Options` to `Comparison`s; `bench.__main__` lists them.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

__all__ = (
    "Comparison",
    "Figure",
    "Goal",
    "Measurement",
    "Options",
    "at_least",
    "at_most",
    "check_equal",
    "compare",
    "grid",
    "percentile",
    "word",
)

Figure = str
"""What is compared: `rate`, `cpu_us`, `cpu_rate`, or a name in `Measurement.more`."""


@attrs.frozen
class Options:
    """How much is measured."""

    rounds: int = 5
    records: int = 100_000
    """Records of 1 KiB in a round; cases of larger or slower records take fewer."""


@attrs.frozen
class Measurement:
    """What one case did in one round."""

    records: int
    wall_s: float
    cpu_s: float
    """CPU time of the process that carries the records, in seconds."""
    more: Mapping[Figure, float] = attrs.field(factory=dict)
    """Further figures; their names end in the unit, such as `p50_ms` and `kb_each`."""

    @property
    def rate(self) -> float:
        """Records per second."""
        return self.records / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per record."""
        return 1e6 * self.cpu_s / self.records

    @property
    def cpu_rate(self) -> float:
        """Records per second of CPU."""
        return self.records / self.cpu_s if self.cpu_s else math.inf

    def figure(self, name: Figure) -> float:
        """One of the figures by its name. Raises `KeyError`."""
        return float(getattr(self, name)) if name in OWN else self.more[name]


OWN: Final = frozenset({"rate", "cpu_us", "cpu_rate"})

Kind = Literal["ratio", "difference", "absolute"]


@attrs.frozen
class Goal:
    """What a figure of a case has to be; made by `at_least` and `at_most`."""

    case: str
    figure: Figure
    limit: float
    is_least: bool
    """Whether the figure may not be below `limit`; else it may not be above."""
    kind: Kind = "ratio"
    """Compared with `limit`: the ratio to another case, the difference, or the figure itself."""
    beside: str | None = None
    """The other case; None: the base."""
    row: int | None = None
    """The row of the goals that are written down; see `bench.page.ROWS`."""

    def met(self, found: float, *, loosely: bool = False) -> bool:
        """Whether `found` reaches the goal; `loosely`: with twice its slack."""
        limit = self._loose_limit() if loosely else self.limit
        return found >= limit if self.is_least else found <= limit

    def _loose_limit(self) -> float:
        """For short runs on busy machines: twice as far from the base.

        A goal that asks for more than the base has no slack: there half of it has to be reached,
        yet never less than the base.
        """
        if self.kind != "ratio":
            return self.limit / 2 if self.is_least else self.limit * 2
        if self.is_least:
            return 2 * self.limit - 1 if self.limit < 1 else max(1.0, self.limit / 2)
        return 2 * self.limit - 1 if self.limit > 1 else min(1.0, self.limit * 2)

    def text(self, base: str) -> str:
        """The goal for people."""
        sign = "≥" if self.is_least else "≤"
        beside = self.beside or base
        return {
            "ratio": f"{self.figure} {sign} {self.limit:g} x {beside}",
            "difference": f"{self.figure} {sign} {beside} + {self.limit:g}",
            "absolute": f"{self.figure} {sign} {self.limit:g}",
        }[self.kind]


def at_least(
    limit: float,
    figure: Figure,
    case: str,
    *,
    kind: Kind = "ratio",
    beside: str | None = None,
    row: int | None = None,
) -> Goal:
    """A figure of `case` is to be at least `limit` (times that of the base, or of `beside`)."""
    return Goal(case, figure, limit, True, kind, beside, row)


def at_most(
    limit: float,
    figure: Figure,
    case: str,
    *,
    kind: Kind = "ratio",
    beside: str | None = None,
    row: int | None = None,
) -> Goal:
    """A figure of `case` is to be at most `limit` (times that of the base, or of `beside`)."""
    return Goal(case, figure, limit, False, kind, beside, row)


@attrs.frozen
class Comparison:
    """All rounds of the cases of one benchmark; the first case is the base of every ratio."""

    name: str
    rounds: tuple[dict[str, Measurement], ...]
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()
    """What there is to know, such as a case that could not be had here."""

    @property
    def base(self) -> str:
        """The hand-written loop that the others are compared with."""
        return next(iter(self.rounds[0]))

    def ratio(self, case: str, figure: Figure, beside: str | None = None) -> float:
        """A figure of `case` beside that of another: the median of the rounds' ratios."""
        other = beside or self.base
        return statistics.median(
            _quotient(r[case].figure(figure), r[other].figure(figure)) for r in self.rounds
        )

    def rate_ratio(self, case: str) -> float:
        """The throughput of `case` beside the base: the median of the rounds' ratios."""
        return self.ratio(case, "rate")

    def cpu_ratio(self, case: str) -> float:
        """The CPU per record of `case` beside the base: the median of the rounds' ratios."""
        return self.ratio(case, "cpu_us")

    def median(self, case: str, figure: Figure) -> float:
        """A figure of `case`: the median of the rounds."""
        return statistics.median(r[case].figure(figure) for r in self.rounds)

    def found(self, goal: Goal) -> float:
        """What a goal is compared with; it may be asked of a case that was not measured."""
        other = goal.beside or self.base
        if goal.case not in self.rounds[0] or other not in self.rounds[0]:
            return math.nan
        if goal.kind == "ratio":
            return self.ratio(goal.case, goal.figure, other)
        own = (r[goal.case].figure(goal.figure) for r in self.rounds)
        if goal.kind == "absolute":
            return statistics.median(own)
        others = (r[other].figure(goal.figure) for r in self.rounds)
        return statistics.median(a - b for a, b in zip(own, others, strict=True))

    @property
    def missed(self) -> list[str]:
        """The goals that were not reached, each with what was found."""
        return self._missed(loosely=False)

    @property
    def far_missed(self) -> list[str]:
        """The goals that were not even reached with twice their slack."""
        return self._missed(loosely=True)

    def _missed(self, *, loosely: bool) -> list[str]:
        return [
            f"{goal.case}: {goal.text(self.base)}, found {found:.3g}"
            for goal in self.goals
            if not math.isnan(found := self.found(goal)) and not goal.met(found, loosely=loosely)
        ]

    def row(self) -> str:
        """The last case beside the base, on one line."""
        case = list(self.rounds[0])[-1]
        figures = "".join(f"{self.median(each, 'cpu_us'):>12,.2f}" for each in (self.base, case))
        goal = next((f"{goal.limit:>8.1f}" for goal in self.goals if goal.case == case), "")
        return f"{self.name:40}{figures}{self.ratio(case, 'cpu_rate'):>8.1f}{goal}"

    def lines(self) -> list[str]:
        """One JSON line a case, one a goal, one a note."""
        told = [self._summary(case) for case in self.rounds[0]]
        told += [self._verdict(goal) for goal in self.goals]
        told += [{"benchmark": self.name, "note": note} for note in self.notes]
        return [json.dumps(line, ensure_ascii=False) for line in told]

    def table(self) -> str:
        """The same figures for people."""
        more = self._more()
        width = max(42, *(len(case) + 1 for case in self.rounds[0]))
        head = f"{'case':{width}}{'records/s':>12}{'CPU us':>10}{'rate x':>8}{'CPU x':>8}"
        rows = [self.name, head + "".join(f"{name:>10}" for name in more)]
        for case in self.rounds[0]:
            found = self._summary(case)
            rows.append(
                f"{case:{width}}{found['rate']:>12,.0f}{found['cpu_us']:>10.2f}"
                f"{found['rate_ratio']:>8.2f}{found['cpu_ratio']:>8.2f}"
                + "".join(f"{found[n]:>10.4g}" if n in found else f"{'':10}" for n in more)
            )
        rows += [
            f"  {word(told['met']):14}{told['found'] if told['met'] is not None else '':>8.4}   "
            f"{told['case']}: {told['goal']}"
            for told in map(self._verdict, self.goals)
        ]
        rows += [f"  note: {note}" for note in self.notes]
        return "\n".join(rows)

    def _more(self) -> list[Figure]:
        return list(dict.fromkeys(name for m in self.rounds[0].values() for name in m.more))

    def _summary(self, case: str) -> dict[str, Any]:
        first = self.rounds[0][case]
        return {
            "benchmark": self.name,
            "case": case,
            "records": first.records,
            "rounds": len(self.rounds),
            "rate": round(self.median(case, "rate"), 1),
            "cpu_us": round(self.median(case, "cpu_us"), 3),
            "rate_ratio": round(self.rate_ratio(case), 3),
            "cpu_ratio": round(self.cpu_ratio(case), 3),
            **{name: round(self.median(case, name), 4) for name in first.more},
        }

    def _verdict(self, goal: Goal) -> dict[str, Any]:
        found = self.found(goal)
        measured = not math.isnan(found)
        return {
            "benchmark": self.name,
            "row": goal.row,
            "case": goal.case,
            "goal": goal.text(self.base),
            "found": round(found, 3) if measured else None,
            "met": goal.met(found) if measured else None,
        }


WORDS: Final = {True: "met", False: "MISSED", None: "not measured"}


def word(met: bool | None) -> str:
    """A verdict for people."""
    return WORDS[met]


def _quotient(figure: float, base: float) -> float:
    if base:
        return figure / base
    return math.inf if figure else 1.0


def grid(comparisons: Sequence[Comparison]) -> str:
    """Many comparisons of two cases for people, one on a line."""
    base, case = comparisons[0].rounds[0]
    head = f"{'CPU us each':40}{base:>12}{case:>12}{'less x':>8}{'goal':>8}"
    return "\n".join((head, *(comparison.row() for comparison in comparisons)))


def compare(
    name: str,
    cases: Sequence[tuple[str, Callable[[], Measurement]]],
    rounds: int,
    goals: Iterable[Goal] = (),
    notes: Sequence[str] = (),
) -> Comparison:
    """Run every case once per round, in turns, so that load from elsewhere hits all alike."""
    results = tuple({case: run() for case, run in cases} for _ in range(rounds))
    return Comparison(name, results, tuple(goals), tuple(notes))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` per cent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(percent / 100 * len(ordered)) - 1))]


def check_equal(found: object, expected: object) -> None:
    """Raise `AssertionError` when a case lost or changed something: a fast wrong copy is none."""
    if found != expected:
        raise AssertionError("the copy is not equal to what was sent")
