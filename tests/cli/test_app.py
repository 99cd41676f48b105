"""The command line as a whole: help, completion, exit codes, no traceback for a user's error."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from queueconnector_core.cli.app import COMMANDS, make_app
from tests.docs.pages import ROOT

PROGRAM = str(Path(sys.executable).with_name("queueconnector"))
FUNCTIONS = [name for name, (target, _) in COMMANDS.items() if not target.endswith(":app")]


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_line_of_help_is_short_and_the_longer_help_tells_exit_codes(name: str) -> None:
    target, line = COMMANDS[name]
    module, function = target.split(":")
    help_text = inspect.getdoc(
        getattr(importlib.import_module(f"queueconnector_core.cli.{module}"), function)
    )

    assert line.endswith(".")
    assert help_text is not None
    if name not in {"schema", "list"}:
        assert "Exit codes:" in help_text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_app([name, "--help"])([name, "--help"])
    assert f"queueconnector {name}" in capsys.readouterr().out


def test_help_and_the_table_of_commands_import_no_numpy_and_no_transport() -> None:
    code = (
        "import sys; from queueconnector_core.cli.app import make_app; make_app()(['--help']);"
        "heavy = {'numpy', 'aiokafka', 'tango', 'cattrs'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "check" in done.stdout


def test_completion_is_installed_where_it_is_told(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"

    done = run("--install-completion", "--shell", "bash", "--output", str(script))

    assert done.returncode == 0, done.stderr
    assert "explain" in script.read_text()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "/no/such/file"], 2),
        (["check", "/"], 2),
        (["check", "-"], 2),
        (["convert", "-"], 2),
        (["explain", "Nothing"], 2),
        (["nonsense"], 2),
    ],
)
def test_an_error_of_the_user_has_an_exit_code_and_no_traceback(
    arguments: list[str], code: int
) -> None:
    done = run(*arguments, text="\ud800 {".encode(errors="surrogatepass").decode(errors="replace"))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout + done.stderr


def test_a_reader_that_goes_away_is_no_error_to_tell() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{PROGRAM} schema | head -c 10; echo; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] in {"0", "141"}
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_what_no_terminal_can_show_is_shown_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"exchanges": [{"dtype": "\ud800"}]}))

    done = run("check", str(path))

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "exchanges[0].dtype" in done.stdout


def test_names_are_printed_as_they_are_written() -> None:
    exchange = {
        "dtype": "int64",
        "source": {"type": "InMemorySource", "data": [1]},
        "sink": {"type": "InMemorySink", "key": "kept"},
    }
    done = run("run", "-", text=json.dumps({"exchanges": {":bomb:": [exchange]}}))
    assert done.returncode == 0
    assert ":bomb:[0] OFF received=1" in done.stderr


def test_the_examples_of_the_repository_pass_their_own_tests() -> None:
    configs = sorted(
        str(path)
        for path in (ROOT / "examples" / "configurations").glob("*.json")
        if not path.name.endswith(".test.json")
    )
    done = run("test", *configs)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed")
