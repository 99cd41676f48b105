"""Runs cases in turns and compares their medians."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence

import attrs

__all__ = ("Measurement", "Comparison", "check_equal", "compare", "grid")


@attrs.frozen
class Measurement:
    """What one case did in one round."""

    records: int
    wall_s: float
    cpu_s: float
    """CPU time of the process that carries the records, in seconds."""

    @property
    def rate(self) -> float:
        """Records per second."""
        return self.records / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per record."""
        return 1e6 * self.cpu_s / self.records


@attrs.frozen
class Comparison:
    """All rounds of the cases of one benchmark; the first case is the base of every ratio."""

    name: str
    rounds: tuple[dict[str, Measurement], ...]
    goals: dict[str, float] = attrs.field(factory=dict)
    """The least throughput that a case must reach, as a ratio to the base."""

    def rate_ratio(self, case: str) -> float:
        """The throughput of `case` beside the base: the median of the rounds' ratios."""
        return statistics.median(r[case].rate / r[self.base].rate for r in self.rounds)

    def cpu_ratio(self, case: str) -> float:
        """The CPU per record of `case` beside the base: the median of the rounds' ratios."""
        return statistics.median(r[case].cpu_us / r[self.base].cpu_us for r in self.rounds)

    @property
    def base(self) -> str:
        """The hand-written loop that the others are compared with."""
        return next(iter(self.rounds[0]))

    @property
    def missed(self) -> list[str]:
        """The cases that did not reach their goal."""
        return [case for case, goal in self.goals.items() if self.rate_ratio(case) < goal]

    def row(self) -> str:
        """The last case beside the base, on one line."""
        case = list(self.rounds[0])[-1]
        base, found = self._summary(self.base), self._summary(case)
        goal = f"{self.goals[case]:>8.1f}" if case in self.goals else ""
        return f"{self.name:40}{_us(base):>12}{_us(found):>12}{found['rate_ratio']:>8.1f}{goal}"

    def lines(self) -> list[str]:
        """One JSON line a case."""
        return [json.dumps(self._summary(case)) for case in self.rounds[0]]

    def table(self) -> str:
        """The same figures for people."""
        head = f"{self.name}\n{'case':42}{'records/s':>12}{'CPU us':>9}{'rate x':>8}{'CPU x':>8}"
        rows = []
        for case in self.rounds[0]:
            found = self._summary(case)
            rows.append(
                f"{case:42}{found['records_per_s']:>12,.0f}{found['cpu_us']:>9.2f}"
                f"{found['rate_ratio']:>8.2f}{found['cpu_ratio']:>8.2f}"
            )
        return "\n".join((head, *rows))

    def _summary(self, case: str) -> dict[str, str | float]:
        measured = [r[case] for r in self.rounds]
        return {
            "benchmark": self.name,
            "case": case,
            "records": measured[0].records,
            "rounds": len(measured),
            "records_per_s": round(statistics.median(m.rate for m in measured), 1),
            "cpu_us": round(statistics.median(m.cpu_us for m in measured), 3),
            "rate_ratio": round(self.rate_ratio(case), 3),
            "cpu_ratio": round(self.cpu_ratio(case), 3),
        }


def _us(summary: Mapping[str, str | float]) -> str:
    return f"{1e6 / float(summary['records_per_s']):,.2f}"


def grid(comparisons: Sequence[Comparison]) -> str:
    """Many comparisons of two cases for people, one on a line."""
    base, case = comparisons[0].rounds[0]
    head = f"{'us each':40}{base:>12}{case:>12}{'ratio':>8}{'goal':>8}"
    return "\n".join((head, *(comparison.row() for comparison in comparisons)))


def compare(
    name: str,
    cases: Sequence[tuple[str, Callable[[], Measurement]]],
    rounds: int,
    goals: dict[str, float],
) -> Comparison:
    """Run every case once per round, in turns, so that load from elsewhere hits all alike."""
    results = tuple({case: run() for case, run in cases} for _ in range(rounds))
    return Comparison(name, results, goals)


def check_equal(found: object, expected: object) -> None:
    """Raise `AssertionError` when a case lost or changed something: a fast wrong copy is none."""
    if found != expected:
        raise AssertionError("the copy is not equal to what was sent")
