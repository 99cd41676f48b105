"""A test run says which real services it used and what it could not run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
def test_tango(tango_test): assert tango_test.proxy().ping() > 0
def test_kafka(kafka_broker): assert kafka_broker.admin.answers()
def test_kafka_again(kafka_broker): assert kafka_broker.admin.answers()
def test_foreign_client(kcat): assert kcat.kcat_version()
def test_none(): pass
"""


def run(directory: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_example.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "devservices.pytest_plugin"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "--rootdir", str(directory), str(directory), *options],
        env={**os.environ, "CI": "", **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def path_without_java_and_kcat(tmp_path: Path) -> str:
    """A PATH with only what Python and the Tango fixtures need."""
    programs = tmp_path / "bin"
    programs.mkdir()
    query = shutil.which("dpkg-query")
    if query is not None:
        (programs / "dpkg-query").symlink_to(query)
    return str(programs)


@pytest.mark.parametrize("workers", [[], ["-p", "xdist", "-n", "2"]], ids=["alone", "workers"])
def test_the_summary_names_each_service_that_was_used(tmp_path: Path, workers: list[str]) -> None:
    result = run(tmp_path, *workers)
    assert "5 passed" in result.stdout
    line = next(line for line in result.stdout.splitlines() if "real services used" in line)
    for service in ("pytango-db ", "TangoTest ", "Apache Kafka ", "kcat "):
        assert service in line


def test_a_service_is_only_started_for_a_test_that_needs_it(tmp_path: Path) -> None:
    result = run(tmp_path, "-k", "none")
    assert "1 passed" in result.stdout
    assert "real services used: none" in result.stdout


def test_missing_services_skip_and_are_counted(
    tmp_path: Path, path_without_java_and_kcat: str
) -> None:
    result = run(tmp_path, PATH=path_without_java_and_kcat)
    assert result.returncode == 0
    assert "2 passed, 3 skipped" in result.stdout
    assert "NOT RUN, 2 tests: Apache Kafka is not available: no java on PATH" in result.stdout
    assert "NOT RUN, 1 tests: kcat is not available: no kcat on PATH" in result.stdout


def test_missing_services_fail_in_continuous_integration(
    tmp_path: Path, path_without_java_and_kcat: str
) -> None:
    result = run(tmp_path, PATH=path_without_java_and_kcat, CI="true")
    assert result.returncode == 1
    assert "2 passed, 3 errors" in result.stdout
    assert "NOT RUN, 2 tests: Apache Kafka is not available" in result.stdout
