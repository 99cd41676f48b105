"""`queueconnector top`: the exchanges of a running host, live, with keys to act on them."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.live import Live

from queueconnector_core.cli.problems import refuse, told
from queueconnector_core.cli.remote import Remote, RemoteError
from queueconnector_core.cli.table import new_console, print_table
from queueconnector_core.cli.top_view import TopView

__all__ = ("top",)

_KEYS: Final = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down"}


def top(
    url: str,
    /,
    *,
    interval_s: Annotated[float, Parameter(validator=Number(gt=0))] = 1.0,
    once: Annotated[bool, Parameter(negative=())] = False,
    token_file: Path | None = None,
) -> int:
    """Show the exchanges of a running host: states, rates, latency, lag, gaps, the last error.

    Keys: up and down choose an exchange; s sorts by the next column, / filters; p pauses, r
    resumes, R restarts the chosen one (with a token); q quits.

    Exit codes: 0, 1 when the host does not answer, 2 for wrong arguments, 130 after Ctrl-C.

    Parameters
    ----------
    url
        The status page of the host, such as http://127.0.0.1:8080.
    interval_s
        Seconds between two looks at the host.
    once
        Print one table and end, for scripts.
    token_file
        A file with the token of the host, to pause, resume and restart.
    """

    def command() -> int:
        remote = Remote(url, token_file)
        view = TopView()
        if once:
            view.update(remote.get("api/status"))
            print_table(view.table())
            return 0
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return refuse("top needs a terminal; --once prints one table")
        _watch(remote, view, interval_s)
        return 0

    return told(command)


def _watch(remote: Remote, view: TopView, interval_s: float) -> None:
    """Look and listen to the keyboard until `q`."""
    console = new_console(soft_wrap=False)
    next_s = 0.0
    with _keyboard() as descriptor, Live(console=console, auto_refresh=False, screen=True) as live:
        while not view.is_done:
            if time.monotonic() >= next_s:
                _look(remote, view)
                next_s = time.monotonic() + interval_s
            live.update(view.screen(console.height), refresh=True)
            wait_s = max(0.0, next_s - time.monotonic())
            if not select.select([descriptor], [], [], wait_s)[0]:
                continue
            for key in _pressed(os.read(descriptor, 1024)):
                if (command := view.press(key)) is not None:
                    view.note = _act(remote, *command)
                    next_s = 0.0


def _look(remote: Remote, view: TopView) -> None:
    try:
        view.update(remote.get("api/status"))
    except RemoteError as error:
        view.lost(str(error))


def _act(remote: Remote, exchange: str, command: str) -> str:
    try:
        remote.command(exchange, command)
    except RemoteError as error:
        return f"{exchange}: {command}: {error}"
    return f"{exchange}: {command}: done"


@contextmanager
def _keyboard() -> Iterator[int]:
    """Keys come at once and are not echoed; the terminal is as before afterwards."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _pressed(octets: bytes) -> list[str]:
    """The names of keys that the octets of a terminal stand for."""
    found: list[str] = []
    while octets:
        for code, name in _KEYS.items():
            if octets.startswith(code):
                found.append(name)
                octets = octets[len(code) :]
                break
        else:
            found.append(octets[:1].decode("latin-1"))
            octets = octets[1:]
    return found
