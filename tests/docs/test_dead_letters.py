"""What the page about dead letters shows is executed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks

PAGE = "docs/how-to/dead-letters.md"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader is, with the file that the page shows."""
    folder = tmp_path_factory.mktemp("reader")
    (configuration,) = blocks(PAGE, "json")
    (folder / "temperatures.json").write_text(configuration)
    return folder


@pytest.fixture(scope="module")
def shell(folder: Path) -> str:
    """What the shell prints for all lines of the page, one block after the other."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", "".join(blocks(PAGE, "sh"))],
        cwd=folder, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_commands_print_what_the_page_says(shell: str) -> None:
    (balance,) = blocks(PAGE, "")

    assert balance in shell
    assert "dead_lettered=1" in shell
    assert "letter 1: 21.5" in shell
    assert "nothing to drive again" in shell


def test_the_record_is_where_it_should_have_been(shell: str, folder: Path) -> None:
    assert shell
    records = [json.loads(line) for line in (folder / "checked.jsonl").read_text().splitlines()]

    assert records == [{"value": "20.5"}, {"value": "22.5"}, {"value": "21.5", "key": "dish-1"}]
