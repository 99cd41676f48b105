"""`queueconnector new-plugin`; what it makes is built, typed and proven in `tests/docs`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from queueconnector_core.cli.new_plugin import FILES, new_plugin


@pytest.mark.parametrize(
    ("name", "package", "title"),
    [
        ("amqp", "queueconnector_amqp", "Amqp"),
        ("acme-scope-2", "queueconnector_acme_scope_2", "AcmeScope2"),
        ("queueconnector-x", "queueconnector_x", "X"),
        ("a" * 30, f"queueconnector_{'a' * 30}", f"A{'a' * 29}"),
    ],
)
def test_a_distribution_is_made_with_names_that_follow_from_one(
    name: str, package: str, title: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_plugin(name, directory=tmp_path) == 0

    (folder,) = tmp_path.iterdir()
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    assert folder.name == package.replace("_", "-")
    assert files == {place.replace("$package", package) for place in FILES}
    assert project["project"]["name"] == folder.name
    assert list(project["project"]["entry-points"]["queueconnector"].values()) == [
        f"{package}.plugin"
    ]
    plugin = (folder / "src" / package / "plugin.py").read_text("utf-8")
    assert f'"{title}Source"' in plugin
    assert f'"{title}Sink"' in plugin
    told = capsys.readouterr().out
    assert f"cd {folder}" in told
    assert "pytest" in told


def test_nothing_of_the_templates_is_left_and_style_does_not_depend_on_the_name(
    tmp_path: Path,
) -> None:
    for name in ("x", "a-name-of-thirty-characters-ab"):
        new_plugin(name, directory=tmp_path)

    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        text = path.read_text("utf-8")
        assert not re.search(r"\$\{?[a-z]", text), path
        if path.suffix == ".py":
            ast.parse(text)
    for command in (("check",), ("format", "--check")):
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ruff"), *command, "--isolated", str(tmp_path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Amqp", "lower-case letters and digits, with hyphens"),
        ("acme_scope", "lower-case"),
        ("-x", "lower-case"),
        ("x--y", "lower-case"),
        ("2x", "lower-case"),
        ("../x", "lower-case"),
        ("", "lower-case"),
        ("a" * 31, "at most 30 characters"),
        ("kafka", "queueconnector-kafka is one of the project's own"),
        ("queueconnector-core", "one of the project's own"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_with_what_can(
    name: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_plugin(name, directory=tmp_path) == 2

    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "queueconnector-x"
    there.mkdir()

    assert new_plugin("x", directory=tmp_path) == 2

    assert f"{there} is there already; nothing was changed" in capsys.readouterr().err
    assert list(there.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert new_plugin("x", directory=tmp_path / "file") == 2

    assert f"cannot write {tmp_path / 'file' / 'queueconnector-x'}" in capsys.readouterr().err
