"""The kit finds each defect, with the one test that is named for it, and nothing where nothing is.

The components in `broken/` have one defect each; all suites run in one process of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from queueconnector_core.testing import Suite
from queueconnector_core.testing.rules import rule_of
from tests.conformance import page
from tests.conformance.broken.suites import BY_KIND, DEFECTS

ROOT = Path(__file__).parents[2]
SUITES = Path(__file__).parent / "broken" / "suites.py"


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The tests that failed, by suite."""
    report = tmp_path_factory.mktemp("broken") / "report.json"
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            str(SUITES),
            "-q",
            "--tb=short",
            "--override-ini=addopts=",
        ),
        *("--import-mode=importlib", "-p", "queueconnector_core.testing.plugin"),
        # What the defects leave behind is no error here.
        *("-p", "no:cacheprovider", "-p", "no:xdist", "-W", "default"),
        f"--conformance-report={report}",
    ]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert report.exists(), done.stdout
    found: dict[str, set[str]] = defaultdict(set)
    for row in json.loads(report.read_text()):
        assert row["outcome"] != "waived"
        if row["outcome"] == "failed":
            found[row["suite"]].add(row["test"])
        else:
            found.setdefault(row["suite"], set())
    return found


# Beside it other tests may run, and it waits for what must not come.
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", BY_KIND)
def test_each_defect_fails_exactly_its_test(kind: str, failed: dict[str, set[str]]) -> None:
    expected = {f"Test{cls.__name__}": {cls.caught_by} for cls in DEFECTS[kind]}

    assert {name: failed[name] for name in expected} == expected


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", BY_KIND)
def test_where_nothing_is_wrong_nothing_fails(kind: str, failed: dict[str, set[str]]) -> None:
    right = [name for name in BY_KIND[kind] if name.startswith("TestRight")]

    assert right
    assert {name: failed[name] for name in right} == {name: set() for name in right}


def test_the_page_of_the_kit_is_up_to_date() -> None:
    assert page.PATH.read_text("utf-8") == page.text(), "run `make reference`"


def suite_tests() -> list[tuple[type[Suite], str]]:
    return [(suite, name) for suite in page.SUITES for name in page.tests_of(suite)]


def test_every_rule_that_a_test_cites_stands_in_the_contract() -> None:
    rules = page.rules()
    cited = {
        (f"{suite.__name__}.{name}", number)
        for suite, name in suite_tests()
        for number in page.numbers_of(suite, name)
    }

    assert cited
    assert {(test, number) for test, number in cited if number not in rules} == set()


def test_every_test_of_the_kit_cites_a_rule_and_says_what_it_proves() -> None:
    for suite, name in suite_tests():
        assert rule_of(getattr(suite, name)), f"{suite.__name__}.{name} cites no rule"
        assert getattr(suite, name).__doc__, f"{suite.__name__}.{name} has no docstring"


def test_what_a_test_stands_on_runs_before_it() -> None:
    for suite in page.SUITES:
        names = page.tests_of(suite)
        for name in names:
            rule = rule_of(getattr(suite, name))
            assert rule is not None
            before = names[: names.index(name)]
            assert set(rule.after) <= set(before), f"{suite.__name__}.{name}: {rule.after}"
