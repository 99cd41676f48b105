"""The part of the kit that pytest loads: order of judgement, and the report at the end.

Load it explicitly, with `pytest_plugins = ["queueconnector_core.testing.plugin"]` in the top-level
`conftest.py`, or with `-p queueconnector_core.testing.plugin`.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Final

import pytest

from queueconnector_core.testing.report import Report, Row, row_of
from queueconnector_core.testing.rules import rule_of
from queueconnector_core.testing.suite import Suite

__all__ = ()

ROW: Final = "conformance"
"""The property of a test report that holds a row of the conformance report."""
BLOCKED: Final = "not judged"

_failed = pytest.StashKey[set[tuple[type, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the place of the report."""
    group = parser.getgroup("conformance", "the conformance kit of Queue Connector")
    group.addoption(
        "--conformance-report",
        metavar="FILE",
        type=Path,
        help="write what was proven of each component to this file, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing failed."""
    config.stash[_failed] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell with the first test of each suite which tests it does not have."""
    told: set[type] = set()
    for item in items:
        cls = getattr(item, "cls", None)
        if not isinstance(cls, type) or not issubclass(cls, Suite) or not cls.component:
            continue
        name = getattr(item, "originalname", item.name)
        item.user_properties.append((ROW, row_of(cls, name, rule_of(getattr(cls, name))).as_json()))
        if cls not in told:
            told.add(cls)
            for missing in cls.not_applicable:
                row = Row(
                    cls.__name__, cls.component, missing.test, missing.numbers,
                    "not applicable", missing.reason,
                )  # fmt: skip
                item.user_properties.append((ROW, row.as_json()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out a test that could only say again what another one of its suite has said."""
    cls = getattr(item, "cls", None)
    rule = rule_of(getattr(item, "obj", None))
    if cls is None or rule is None:
        return
    failed = [name for name in rule.after if (cls, name) in item.config.stash[_failed]]
    if failed:
        # So that whatever stands on this one is left out as well.
        item.config.stash[_failed].add((cls, _name(item)))
        pytest.skip(f"{BLOCKED}: {failed[0]} failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember what failed."""
    report = yield
    cls = getattr(item, "cls", None)
    if report.failed and cls is not None:
        item.config.stash[_failed].add((cls, _name(item)))
    return report


def _name(item: pytest.Item) -> str:
    return str(getattr(item, "originalname", item.name))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was proven of each component, and write it where it was asked for."""
    report = Report()
    for outcome, reports in terminalreporter.stats.items():
        for found in reports:
            rows = [value for name, value in getattr(found, "user_properties", ()) if name == ROW]
            if getattr(found, "when", None) == "call" or (rows and outcome in {"skipped", "error"}):
                report.add(outcome, rows)
    if not report.rows:
        return
    terminalreporter.section("conformance")
    for line in report.lines():
        terminalreporter.write_line(line)
    path: Path | None = config.getoption("--conformance-report")
    if path is not None:
        path.write_text(report.as_json(), "utf-8")
