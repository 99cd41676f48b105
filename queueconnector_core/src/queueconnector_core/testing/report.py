"""What was proven of each component: rows of component, test, rule and outcome."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from queueconnector_core.testing.rules import Rule
from queueconnector_core.testing.suite import Suite

__all__ = ("Report", "Row", "row_of")

_OUTCOMES: Final[Mapping[str, str]] = {
    "passed": "passed",
    "failed": "failed",
    "error": "failed",
    "xfailed": "waived",
    "xpassed": "failed",
    "skipped": "not judged",
}


@attrs.frozen
class Row:
    """One test of one suite."""

    suite: str
    component: str
    test: str
    rules: tuple[str, ...]
    outcome: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """As plain values, which travel between processes."""
        return attrs.asdict(self)


def row_of(suite: type[Suite], test: str, rule: Rule | None) -> Row:
    """The row of a test, before it has run."""
    numbers = rule.numbers if rule else ()
    return Row(suite.__name__, suite.component, test, numbers, reason=suite.waivers.get(test, ""))


class Report:
    """The rows of a session."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, outcome: str, found: Iterable[Mapping[str, Any]]) -> None:
        """Take the rows that came with the report of a test; `outcome` is a word of pytest."""
        for values in found:
            row = Row(**{**values, "rules": tuple(values["rules"])})
            if not row.outcome:
                row = attrs.evolve(row, outcome=_OUTCOMES.get(outcome, outcome))
            self.rows.append(row)

    def lines(self) -> Iterator[str]:
        """The table, for people: the rules that hold, then what else is to be told."""
        suites = dict.fromkeys((row.component, row.suite) for row in self.rows)
        width = max(len(component) for component, _ in suites)
        for component, suite in suites:
            rows = [row for row in self.rows if (row.component, row.suite) == (component, suite)]
            bad = {
                rule for row in rows if row.outcome in {"failed", "waived"} for rule in row.rules
            }
            good = {rule for row in rows if row.outcome == "passed" for rule in row.rules} - bad
            passed = sum(row.outcome == "passed" for row in rows)
            rules = " ".join(sorted(good, key=_order)) or "none"
            yield f"{component:{width}}  {passed} tests passed; rules that hold: {rules}"
            for row in rows:
                if row.outcome in {"failed", "waived", "not applicable"}:
                    reason = f" ({row.reason})" if row.reason else ""
                    numbers = ", ".join(row.rules)
                    yield f"{'':{width}}  {row.outcome}: {numbers} {row.test}{reason}"

    def as_json(self) -> str:
        """All rows, as a JSON document."""
        return json.dumps([row.as_json() for row in self.rows], indent=2) + "\n"


def _order(number: str) -> tuple[int, ...]:
    return tuple(map(int, number.split(".")))
