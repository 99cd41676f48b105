"""The audit tells what is not as pinned, and never takes silence of the database for good news."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest

import audit
from audit import CANARY, CONSTRAINTS, Dependency, NotAskedError, pinned, version_problems

HERE = distribution("attrs")
VULNERABLE: Dependency = {
    "name": "urllib3",
    "version": "1.26.4",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.26.5"]}],
}
SKIPPED: Dependency = {"name": "urllib3", "skip_reason": "not found on PyPI"}


def test_what_is_installed_here_passes() -> None:
    command = [sys.executable, audit.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.endswith(", 0 problems\n")
    assert done.returncode == 0


def test_only_the_pins_of_this_machine_count() -> None:
    lines = ["attrs==1", "colorama==2 ; os_name == 'nt'", "x==3 ; python_version > '3'"]
    assert pinned(lines) == {"attrs": "1", "x": "3"}


def test_another_version_and_none_at_all_are_told() -> None:
    assert not list(version_problems([HERE], {"attrs": HERE.version}, set()))
    (other,) = version_problems([HERE], {"attrs": "1"}, set())
    assert other == f"attrs {HERE.version} is installed; constraints.txt has 1"
    (absent,) = version_problems([HERE], {}, set())
    assert absent == f"attrs {HERE.version} is installed and not in constraints.txt"
    assert not list(version_problems([HERE], {}, {"attrs"}))


def test_what_is_shipped_is_found_through_all_that_is_needed() -> None:
    needed = audit.needed_by(["queueconnector-kafka"])
    assert {"aiokafka", "pyerfa", "queueconnector-core", "attrs", "numpy"} <= needed
    assert "pytest" not in needed


@pytest.mark.parametrize("licence", ["MIT", "BSD-3-Clause", "Apache-2.0", "LGPLv3"])
def test_a_licence_on_the_list_passes(licence: str) -> None:
    assert audit.ALLOWED_LICENCES.search(licence)


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "AGPL-3.0", "Proprietary", "not told", "SMIT"])
def test_another_licence_does_not(licence: str) -> None:
    assert not audit.ALLOWED_LICENCES.search(licence)


def asked(*answers: list[Dependency] | NotAskedError) -> tuple[list[Path], int]:
    """What is asked, one after the other, and the exit code."""
    files: list[Path] = []
    waiting = list(answers)

    def asking(requirements: Path) -> list[Dependency]:
        files.append(requirements)
        answer = waiting.pop(0)
        if isinstance(answer, NotAskedError):
            raise answer
        return answer

    return files, audit.vulnerabilities(asking)


@pytest.mark.parametrize("answer", [[SKIPPED], [{"name": "urllib3"}], NotAskedError("no route")])
def test_a_database_that_does_not_know_what_everybody_knows_is_none(
    answer: list[Dependency] | NotAskedError, capsys: pytest.CaptureFixture[str]
) -> None:
    files, code = asked(answer)
    assert (len(files), code) == (1, audit.EXIT_NOT_ASKED)
    assert capsys.readouterr().out.startswith("NOT ASKED: the database of vulnerabilities is not")


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        ([{"name": "attrs", "version": "1", "vulns": []}], 0, "0 vulnerabilities are known, 0 dis"),
        ([VULNERABLE], audit.EXIT_FOUND, "urllib3 1.26.4: PYSEC-1, mended in 1.26.5\n1 vulnerab"),
        ([SKIPPED], audit.EXIT_NOT_ASKED, "NOT ASKED: not found on PyPI\n0 vulnerabilities"),
    ],
)
def test_what_the_database_says_is_told(
    capsys: pytest.CaptureFixture[str], answer: list[Dependency], code: int, told: str
) -> None:
    files, found = asked([VULNERABLE], answer)
    assert files[1] == CONSTRAINTS
    assert CANARY.startswith("urllib3")
    assert found == code
    assert capsys.readouterr().out.startswith(told)
