"""`queueconnector run` while it runs: signals, and the live table of a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from devservices.process import wait_until
from tests.packaging.environment import TIMEOUT_S, Environment

STEADY = {
    "source": {"type": "InMemorySource", "data": ["tick"] * 10_000, "delay": 0.02},
    "sink": {"type": "InMemorySink", "key": "ticks"},
}

# The child makes the pseudo-terminal its own, so that Ctrl-C there reaches it.
ON_TERMINAL = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"


def numbers(line: str) -> dict[str, int]:
    """The counts of a line of progress."""
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}


@contextmanager
def running(
    environment: Environment, *arguments: str, config: object = None
) -> Iterator[subprocess.Popen[str]]:
    """`queueconnector run` as a process of its own, reporting fast; killed if it stays."""
    if config is not None:
        arguments += (environment.write("running.json", json.dumps(config)),)
    with subprocess.Popen(
        [environment.command("queueconnector"), "run", *arguments, "--interval-s", "0.1"],
        cwd=environment.work,
        env=environment.variables,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_with(process: subprocess.Popen[str], accept: Callable[[str], bool]) -> str:
    """The first line of its standard error that is accepted."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if accept(line):
            return line
    raise AssertionError(f"ended with {process.wait()} after {seen}")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_drains_and_ends_with_its_code_and_the_totals(
    core_and_memory: Environment, number: signal.Signals, code: int
) -> None:
    with running(core_and_memory, config={"exchanges": [STEADY]}) as process:
        line_with(process, lambda line: " ON " in line and numbers(line)["delivered"] > 0)
        process.send_signal(number)
        _, rest = process.communicate(timeout=TIMEOUT_S)

    last = rest.splitlines()[-1]
    counts = numbers(last)
    assert process.returncode == code
    assert last.startswith("default[0] OFF ")
    assert counts["received"] == counts["delivered"] > 0
    assert counts["dropped"] == counts["in_flight"] == 0
    assert "Traceback" not in rest


def test_a_signal_ends_the_other_groups_when_one_has_failed(core_and_memory: Environment) -> None:
    full = {
        "source": {"type": "InMemorySource", "data": ["tick"] * 2000},
        "sink": {"type": "InMemorySink", "key": "small", "max_records": 1},
    }
    groups = {"full": [full], "steady": [STEADY]}
    with running(core_and_memory, config={"exchanges": groups}) as process:
        line_with(process, lambda line: line.startswith("full[0] FAULT"))
        line_with(process, lambda line: line.startswith("steady[0] ON"))
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 1
    assert "steady[0] OFF" in rest
    assert "group full failed: " in rest


def test_a_signal_ends_the_waiting_for_a_far_end_that_is_away(everything: Environment) -> None:
    away = {
        "source": {"type": "LineFileSource", "path": "not-there.txt"},
        "sink": {"type": "InMemorySink", "key": "lines"},
    }
    with running(everything, config={"exchanges": [away]}) as process:
        line_with(process, lambda line: "OPEN" in line and "cannot open not-there.txt" in line)
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 130
    assert rest.splitlines()[-1].startswith("default[0] OFF received=0")


class Screen:
    """What a program writes to a pseudo-terminal of 120 columns, and a keyboard for it."""

    def __init__(self, environment: Environment, *command: str) -> None:
        self._keyboard, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (30, 120))
        os.set_blocking(self._keyboard, False)
        self._process = subprocess.Popen(
            [sys.executable, "-c", ON_TERMINAL, str(terminal), *command],
            cwd=environment.work,
            env={**environment.variables, "TERM": "xterm"},
            pass_fds=[terminal],
        )
        os.close(terminal)
        self.shown = ""

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def look(self, pattern: str) -> re.Match[str] | None:
        """The pattern in all that was shown so far, without control sequences."""
        try:
            while octets := os.read(self._keyboard, 65536):
                self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", octets.decode())
        except OSError:  # nothing more for now, or for ever
            pass
        return re.search(pattern, self.shown)

    def wait_for(self, pattern: str) -> re.Match[str]:
        try:
            found = wait_until(lambda: self.look(pattern), TIMEOUT_S, pattern)
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} in {self.shown}") from None
        assert found is not None
        return found

    def exit_code(self) -> int:
        def ended() -> bool:
            self.look("")  # a full terminal would hold the program up
            return self._process.poll() is not None

        wait_until(ended, TIMEOUT_S, "the end of the program")
        return self._process.wait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._keyboard)


def test_a_terminal_shows_a_live_table_until_ctrl_c(core_and_memory: Environment) -> None:
    path = core_and_memory.write("live.json", json.dumps({"exchanges": {"clock": [STEADY]}}))
    screen = Screen(core_and_memory, core_and_memory.command("queueconnector"), "run", path)
    try:
        screen.wait_for(r"exchange +state +received +delivered +dropped +letters +gaps +in flight")
        screen.wait_for(r"clock\[0\] +ON +[1-9]\d* +[1-9]\d* +0 +0 +0 +\d+ +[1-9]\d*")
        screen.type(b"\x03")

        assert screen.exit_code() == 130
        totals = screen.wait_for(r"clock\[0\] +OFF +([\d,]+) +([\d,]+) +0 +0 ")
        assert totals[1] == totals[2]
        assert "Traceback" not in screen.shown
    finally:
        screen.close()


# Configurations that are followed


def steady(key: str) -> str:
    """A document of one exchange into a store of that key."""
    sink = {"type": "InMemorySink", "key": key}
    return json.dumps({"exchanges": [STEADY | {"sink": sink}]})


def test_a_followed_folder_is_taken_over_change_by_change(core_and_memory: Environment) -> None:
    folder = core_and_memory.work / "followed"
    folder.mkdir()
    (folder / "one.json").write_text(steady("a"))
    with running(core_and_memory, "--follow", str(folder)) as process:
        line_with(process, lambda line: line.startswith("one[0] ON"))
        (folder / "two.json").write_text(steady("b"))
        line_with(process, lambda line: line.startswith("two[0] ON"))
        (folder / "one.json").write_text('{"exchanges": [{"source": 5}]}')
        line_with(process, lambda line: "followed/one" in line or "exchanges[0].source" in line)
        line_with(process, lambda line: line.startswith("one[0] ON"))
        (folder / "one.json").unlink()
        before = line_with(process, lambda line: line.startswith("two[0] ON"))
        after = line_with(process, lambda line: numbers(line)["delivered"] > 0 and "two" in line)
        assert numbers(after)["delivered"] >= numbers(before)["delivered"]
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 130
    last = rest.splitlines()[-1]
    assert last.startswith("two[0] OFF ")
    assert numbers(last)["received"] == numbers(last)["delivered"] > 0


def test_a_source_that_ends_is_run_to_its_end(core_and_memory: Environment) -> None:
    finite = {
        "source": {"type": "InMemorySource", "data": ["tick"] * 3, "delay": 0.05},
        "sink": {"type": "InMemorySink", "key": "ticks"},
    }
    source = {"type": "json", "text": json.dumps({"exchanges": [finite]})}
    with running(core_and_memory, "--source", json.dumps(source)) as process:
        _, rest = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 0
    assert numbers(rest.splitlines()[-1])["delivered"] == 3


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{", "source[0]: not valid JSON"),
        ('{"type": "FileConfigSource"}', "source[0].path: is required"),
        (
            '{"type": "EtcdConfigSource", "path": "/a"}',
            "that is not installed; pip install queueconnector-sdp",
        ),
    ],
    ids=["malformed", "incomplete", "not installed"],
)
def test_a_source_that_cannot_be_followed_is_refused(
    core_and_memory: Environment, source: str, told: str
) -> None:
    with running(core_and_memory, "--source", source) as process:
        _, rest = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 2
    assert told in rest
