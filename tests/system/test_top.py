"""`queueconnector top` in a terminal: it is looked at, and its keys are pressed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from queueconnector_core.cli.top_view import TopView
from tests.screen import COMMAND, Screen

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - for tests


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a run of two exchanges that obeys the token of `token`."""
    tmp_path = tmp_path_factory.mktemp("top")
    exchanges = [
        {
            "source": {"type": "InMemorySource", "data": ["tick"] * 20_000, "delay": 0.01},
            "sink": {"type": "InMemorySink", "key": key},
        }
        for key in ("one", "two")
    ]
    (tmp_path / "config.json").write_text(json.dumps({"exchanges": {"clock": exchanges}}))
    (tmp_path / "token").write_text(TOKEN)
    arguments = ["run", "config.json", "--web-port", "0", "--web-token-file", "token"]
    with subprocess.Popen(
        [COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        yield next(line for line in process.stderr if "status page" in line).split()[-1]
        process.terminate()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """The file of an operator with the token."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return path


def test_an_exchange_is_chosen_paused_resumed_and_restarted_by_keys(
    host: str, token_file: Path
) -> None:
    screen = Screen(host, "--token-file", str(token_file))
    try:
        screen.shows(r"2 of 2 exchanges +sorted by name")
        screen.shows(r"clock\[0\] +ON +\d")
        screen.press(b"\x1b[B")
        screen.press(b"\x1b[B")
        screen.press(b"p")
        screen.shows(r"clock\[1\]: pause: done")
        screen.shows(r"clock\[1\] +ON paused")
        screen.press(b"r")
        screen.shows(r"clock\[1\]: resume: done")
        screen.press(b"R")
        screen.shows(r"clock\[1\]: restart: done")
        screen.press(b"s")
        screen.shows(r"sorted by state")
        screen.press(b"/[0\r")
        screen.shows(r"1 of 2 exchanges +sorted by state +filter: \[0")
        screen.press(b"q")
        assert screen.code() == 0
    finally:
        screen.close()


def test_without_a_token_a_command_is_refused(host: str) -> None:
    screen = Screen(host)
    try:
        screen.shows(r"clock\[0\] +ON +\d")
        screen.press(b"p")
        screen.shows(r"clock\[0\]: pause: send the header Authorization")
        screen.press(b"q")
        assert screen.code() == 0
    finally:
        screen.close()


# Without a terminal


def status(*names: str, **values: object) -> dict[str, object]:
    row = {
        **dict.fromkeys(("received_hz", "delivered_hz", "in_flight", "gaps", "dropped"), 0),
        **dict.fromkeys(("dead_lettered", "waiting_s"), 0), "latency_s": None, "lag": None,
        "state": "ON", "paused": False, "unhealthy": None, "last_failure": None,
    }  # fmt: skip
    rows = [row | {"name": name} | values for name in names]
    return {"name": "host", "state": "ON", "exchanges": rows}


def test_keys_act_on_the_chosen_exchange_and_stay_within_the_list() -> None:
    view = TopView()
    assert view.press("p") is None, "there is nothing to pause"
    view.update(status("a", "b"))
    assert view.press("p") == ("a", "pause")
    for _ in range(5):
        view.press("j")
    assert view.press("R") == ("b", "restart")
    for _ in range(5):
        view.press("up")
    assert view.press("r") == ("a", "resume")


def test_keys_are_text_while_a_filter_is_typed() -> None:
    view = TopView()
    view.update(status("pq", "x"))
    for key in ("/", "q", "z", "\x7f", "\r"):
        assert view.press(key) is None
    assert not view.is_done
    assert view.press("p") == ("pq", "pause")
    for key in ("/", "\x1b"):
        view.press(key)
    view.press("j")
    view.press("j")
    assert view.press("p") == ("x", "pause")


def test_a_column_sorts_the_largest_first() -> None:
    view = TopView()
    few, many = status("few", gaps=1), status("many", gaps=5)
    view.update(few | {"exchanges": [*few["exchanges"], *many["exchanges"]]})  # type: ignore[misc]
    for _ in range(6):
        view.press("s")
    assert view.press("p") == ("many", "pause")
