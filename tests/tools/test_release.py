"""A release gives all packages one version, and tells what breaks plugins."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from workspace import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository as it is committed, with what is not yet of its tools."""
    folder = tmp_path / "checkout"
    git("clone", "--quiet", "--no-tags", "--shared", str(ROOT), str(folder))
    for tool in (ROOT / "tools").glob("*.py"):
        (folder / "tools" / tool.name).write_bytes(tool.read_bytes())
    return folder


def git(*arguments: str, folder: Path = ROOT) -> None:
    command = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    subprocess.run([*command, "-C", str(folder), *arguments], check=True, timeout=60)


def run(checkout: Path, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "tools" / tool), *arguments]
    return subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, check=False, timeout=120
    )


def versions(checkout: Path) -> dict[str, str]:
    projects = [tomllib.loads(path.read_text()) for path in checkout.glob("*/pyproject.toml")]
    return {project["project"]["name"]: project["project"]["version"] for project in projects}


def test_all_packages_get_the_version_and_need_each_other_of_it(checkout: Path) -> None:
    done = run(checkout, "release.py", "7.3.0")

    assert done.returncode == 0, done.stderr
    assert set(versions(checkout).values()) == {"7.3.0"}
    kafka = tomllib.loads((checkout / "queueconnector_kafka" / "pyproject.toml").read_text())
    assert "queueconnector-core~=7.3.0" in kafka["project"]["dependencies"]
    assert "## 7.3.0 (" in (checkout / "CHANGELOG.md").read_text()
    assert not list((checkout / "changes").glob("*/*.feature.md"))


@pytest.mark.parametrize("version", ["0.0.1", "newest", None])
def test_only_a_later_version_is_taken(checkout: Path, version: str | None) -> None:
    before = versions(checkout)

    done = run(checkout, "release.py", *([] if version is None else [version]))

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert versions(checkout) == before


def test_a_public_name_that_goes_is_told_or_refused(checkout: Path) -> None:
    git("tag", "v0.0.1", folder=checkout)
    merge = checkout / "queueconnector_core" / "src" / "queueconnector_core" / "merge.py"
    assert run(checkout, "check_api.py").returncode == 0

    merge.write_text(merge.read_text().replace("async def close(", "async def close_all("))
    git("commit", "--quiet", "--all", "--message=Rename", folder=checkout)
    refused = run(checkout, "check_api.py")
    (checkout / "changes" / "core" / "9.removal.md").write_text("`close` is `close_all`.\n")
    told = run(checkout, "check_api.py")

    assert refused.returncode == 1
    assert "queueconnector_core.merge.close: Public object was removed" in refused.stdout
    assert told.returncode == 0, told.stdout


def test_before_the_first_release_there_is_nothing_to_compare_with(checkout: Path) -> None:
    done = run(checkout, "check_api.py")

    assert (done.returncode, done.stdout) == (
        0, "no release to compare the public names with yet\n",
    )  # fmt: skip
