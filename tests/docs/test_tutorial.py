"""The tutorial, executed as it stands, by a reader who types as fast as a computer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.pages import Block, all_blocks

PAGE = "docs/tutorial/write-a-plugin.md"
BIN = Path(sys.executable).parent
TEN_MINUTES_S = 600
WORDS_PER_MINUTE = 200
"""How fast people read technical text."""

SEES_BOTH = """
import glob, os, site
if "VIRTUAL_ENV" in os.environ:
    for folder in glob.glob(os.environ["VIRTUAL_ENV"] + "/lib/python*/site-packages"):
        site.addsitedir(folder)
site.addsitedir({here!r})
"""
"""What is installed here counts as installed in the environment of the reader, and the programs of
here see what the reader installs; so nothing is fetched from a package index."""


SAVED = re.compile(r"Save this as `([^`]+)`")


def lines(block: Block) -> str:
    """What a reader types for a block: nothing for one that only shows something."""
    saved = SAVED.search(block.before.rpartition("```\n")[2])
    if saved:
        return f"cat > {saved[1]} <<'END OF BLOCK'\n{block.text}END OF BLOCK\n"
    if block.language == "diff":
        return f"git apply <<'END OF BLOCK'\n{block.text}END OF BLOCK\n"
    return block.text if block.language == "sh" else ""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of the reader's shell."""
    folder = tmp_path_factory.mktemp("site")
    here = next((BIN.parent / "lib").glob("python*/site-packages"))
    (folder / "sitecustomize.py").write_text(SEES_BOTH.format(here=str(here)))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "VIRTUAL_ENV"))}
    return kept | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the other way round
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the reader begins."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def typed(reader: Path, environment: dict[str, str]) -> tuple[str, float]:
    """What the shell prints, and how many seconds all of it takes."""
    script = "".join(map(lines, all_blocks(PAGE)))
    began_s = time.monotonic()
    output = run(["bash", "-euxc", script], reader, environment)
    return output, time.monotonic() - began_s


def run(command: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, timeout=500, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


@pytest.mark.timeout(600)
def test_from_nothing_to_a_record_through_the_device(typed: tuple[str, float]) -> None:
    output, _ = typed

    assert "SpoolSource" in output
    assert re.search(r"^SpoolSource +\d+ tests passed", output, re.MULTILINE)
    assert not re.search(r"\d+ (failed|error)", output)
    assert "the attribute latest is 2.5" in output


def test_reading_and_running_it_takes_less_than_ten_minutes(typed: tuple[str, float]) -> None:
    _, took_s = typed
    prose = Path(__file__).parents[2].joinpath(PAGE).read_text("utf-8").split()
    reading_s = 60 * len(prose) / WORDS_PER_MINUTE
    print(f"the tutorial: {took_s:.0f} s of commands, {reading_s:.0f} s of reading")

    assert took_s + reading_s < TEN_MINUTES_S


@pytest.mark.usefixtures("typed")
def test_the_record_was_taken_from_the_folder(reader: Path) -> None:
    assert list((reader / "queueconnector-spool" / "in").iterdir()) == []


@pytest.mark.timeout(300)
def test_a_plugin_as_generated_is_typed_and_builds(
    reader: Path, environment: dict[str, str]
) -> None:
    run(["queueconnector", "new-plugin", "as-made", "--directory", "made"], reader, environment)
    folder = reader / "made" / "queueconnector-as-made"

    typed = run(["mypy", "src", "tests"], folder, environment)
    run(["ruff", "check", "--isolated"], folder, environment)
    built = run(["python", "-m", "build", "--no-isolation", "--wheel"], folder, environment)

    assert "Success: no issues found" in typed
    assert "queueconnector_as_made-0.1.0-py3-none-any.whl" in built
