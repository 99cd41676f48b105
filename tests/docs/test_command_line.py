"""What the pages about the command line show is executed, and every command has its heading."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from queueconnector_core.cli.app import COMMANDS
from tests.docs.pages import ROOT, blocks

REFERENCE = "docs/reference/command-line.md"
HOW_TO = "docs/how-to/check-a-configuration.md"
BIN = Path(sys.executable).parent


def sections() -> dict[str, str]:
    """The text below each heading of the second level."""
    text = (ROOT / REFERENCE).read_text("utf-8")
    _, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    return {part.partition("\n")[0].strip(): part for part in parts}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the reader is, with the configurations of the examples."""
    shutil.copytree(ROOT / "examples" / "configurations", tmp_path, dirs_exist_ok=True)
    (wind,) = blocks(HOW_TO, "json")
    (tmp_path / "wind.json").write_text(wind)
    return tmp_path


def shell(page: str, folder: Path) -> str:
    """What the shell prints for all lines of a page."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "".join(blocks(page, "sh"))],
        cwd=folder, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_every_command_has_its_heading() -> None:
    assert sorted(sections()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", [n for n, (t, _) in COMMANDS.items() if not t.endswith(":app")])
def test_every_option_of_a_command_stands_below_it(name: str) -> None:
    module, function = COMMANDS[name][0].split(":")
    command = getattr(importlib.import_module(f"queueconnector_core.cli.{module}"), function)
    options = [
        parameter.name.removeprefix("as_").rstrip("_").replace("_", "-")
        for parameter in inspect.signature(command).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    for option in options:
        assert f"`--{option}`" in sections()[name]


def test_the_reference_runs(folder: Path) -> None:
    printed = shell(REFERENCE, folder)

    assert "KafkaProducerSink - sink of queueconnector-kafka" in printed
    assert "weather.json: nothing is wrong" in printed
    assert "old.json: nothing is wrong" in printed
    assert "flowchart LR" in printed
    assert "no gaps" in printed


def test_the_page_of_how_to_runs_and_tells_what_it_says(folder: Path) -> None:
    printed = shell(HOW_TO, folder)

    (told,) = blocks(HOW_TO, "")
    found = printed.splitlines()
    for line in told.splitlines():
        assert any(each.startswith(line) for each in found), line
    assert "not all far ends are there" in printed
    assert "4 passed, 0 failed" in printed
    ET.parse(folder / "weather.svg")  # noqa: S314 - it is our own
