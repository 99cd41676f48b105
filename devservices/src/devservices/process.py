"""Child processes that never outlive this one, and conditions to wait for instead of sleeping."""

import atexit
import contextlib
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from . import _guardian
from ._guardian import signal_group
from .errors import ServiceFailed

T = TypeVar("T")

HOST = "127.0.0.1"
POLL_S = 0.02
LOG_TAIL_LINES = 40


def wait_until(condition: Callable[[], T], timeout_s: float, what: str) -> T:
    """Call ``condition`` until it returns something true, and return that.

    Raises TimeoutError, naming ``what`` was awaited, after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(POLL_S)
    return result


# Below the range from which the kernel takes source ports (32768 and up on Linux): a port from
# there could be taken by any outgoing connection while its service restarts.
_PORTS = range(20_000, 32_000)
_given_out: set[int] = set()


def free_port() -> int:
    """Return a free loopback TCP port, never the same one twice in this process."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in _given_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _given_out.add(port)
        return port
    raise RuntimeError(f"no free port on {HOST} in {_PORTS.start}-{_PORTS.stop - 1}")


def is_listening(port: int) -> bool:
    """Return whether something accepts TCP connections on the loopback ``port``."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


class _Guard:
    """This process's side of the guardian: one directory, and the groups to end with us."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="devservices-"))
        self.owner = os.getpid()
        self._lock = threading.Lock()
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", _guardian.__file__, str(self.directory)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._close)

    def add(self, group: int) -> None:
        self._say(f"+{group}\n")

    def remove(self, group: int) -> None:
        self._say(f"-{group}\n")

    def _say(self, line: str) -> None:
        assert self._guardian.stdin is not None
        with self._lock:
            self._guardian.stdin.write(line)
            self._guardian.stdin.flush()

    def _close(self) -> None:
        if os.getpid() == self.owner:
            self._guardian.communicate()


_guard_lock = threading.Lock()
_guard_value: _Guard | None = None


def _guard() -> _Guard:
    global _guard_value
    with _guard_lock:
        # A forked child must not share its parent's guardian: it would be cleaned up with it.
        if _guard_value is None or _guard_value.owner != os.getpid():
            _guard_value = _Guard()
        return _guard_value


def temporary_directory(name: str) -> Path:
    """Return a new directory that is removed, at the latest, when this process ends."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=_guard().directory))


class ManagedProcess:
    """A program in a process group of its own, whose output goes to a log file.

    The whole group ends with ``stop()`` and, whatever happens, with this process. The log is
    appended to, so that it tells the story of a service over its restarts.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Start ``command``; ``environment`` is added to that of this process."""
        self.name = name
        self.command = list(command)
        self.log = log
        self._swept = False
        guard = _guard()
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self._popen.pid
        guard.add(self.pid)

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended (a paused one has not)."""
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the program runs."""
        return self._popen.poll()

    def write_line(self, text: str) -> None:
        """Write one line to the program's standard input (needs ``stdin=subprocess.PIPE``)."""
        assert self._popen.stdin is not None, "started without stdin=subprocess.PIPE"
        self._popen.stdin.write(text.encode() + b"\n")
        self._popen.stdin.flush()

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Return the last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_until(self, condition: Callable[[], T], timeout_s: float, what: str) -> T:
        """Wait as the function of that name does, but no longer than the program lives.

        Raises ServiceFailed with the end of the log when it ended or the time is over.
        """

        def condition_while_running() -> T:
            if not self.is_running:
                raise self._failure(f"ended with exit code {self.exit_code} before {what}")
            return condition()

        try:
            return wait_until(condition_while_running, timeout_s, what)
        except TimeoutError as error:
            raise self._failure(str(error)) from None

    def _failure(self, problem: str) -> ServiceFailed:
        return ServiceFailed(
            f"{self.name}: {problem}\ncommand: {shlex.join(self.command)}\n"
            f"end of its log:\n{self.log_tail()}"
        )

    def pause(self) -> None:
        """Freeze every process of the group (SIGSTOP): connections stay open, unanswered."""
        signal_group(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused group run on (SIGCONT)."""
        signal_group(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the group at once (SIGKILL), as a crash does, and wait for the end."""
        self.stop(grace_s=0.0)

    def stop(self, grace_s: float = 10.0) -> None:
        """Terminate the group, kill what is left of it after ``grace_s`` seconds; idempotent."""
        if self._swept:
            return
        if self.is_running and grace_s > 0:
            signal_group(self.pid, signal.SIGTERM)
            signal_group(self.pid, signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace_s)
        signal_group(self.pid, signal.SIGKILL)
        self._popen.wait()
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        _guard().remove(self.pid)
        self._swept = True
