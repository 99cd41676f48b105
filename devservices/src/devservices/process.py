"""Child processes that never outlive this one, and conditions to wait for instead of sleeping."""

import atexit
import contextlib
import functools
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
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
PAUSE_TIMEOUT_S = 5.0
LOG_TAIL_LINES = 40


def wait_until(condition: Callable[[], T], timeout_s: float, what: str) -> T:
    """Call ``condition`` until it returns something true, and return that.

    Raises TimeoutError, naming ``what`` was awaited, after ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s in vain for {what}")
        # Other programs and servers tell nobody: the condition is looked at again.
        time.sleep(POLL_S)
    return result


# Below the range from which the kernel takes source ports (32768 and up on Linux): a port from
# there could be taken by any outgoing connection while its service restarts.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a free loopback TCP port, given to nobody else as long as this process lives."""
    # The system's randomness, since tests may seed the shared generator: same seed, same ports.
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        # The UDP port of that number, held for good, is the claim that others of us see: the TCP
        # port itself must stay free until its service binds it, and between two of its runs.
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((HOST, port))
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError:
            claim.close()
            continue
        claim.detach()
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
        self._owner = os.getpid()
        self._running: set[ManagedProcess] = set()
        read_end, self._lifeline = os.pipe()
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", _guardian.__file__, str(self.directory)],
            stdin=read_end,
            start_new_session=True,
        )
        os.close(read_end)
        atexit.register(self._close)

    def add(self, process: "ManagedProcess") -> None:
        self._running.add(process)
        os.write(self._lifeline, f"+{process.pid}\n".encode())

    def remove(self, process: "ManagedProcess") -> None:
        self._running.discard(process)
        os.write(self._lifeline, f"-{process.pid}\n".encode())

    def _close(self) -> None:
        if os.getpid() != self._owner:
            return
        for process in list(self._running):
            process.stop()
        os.close(self._lifeline)
        self._guardian.wait()


@functools.cache
def _guard_of(_pid: int) -> _Guard:
    return _Guard()


def _guard() -> _Guard:
    # A forked child must not share its parent's guardian: it would be cleaned up with it.
    return _guard_of(os.getpid())


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
        self._guard = _guard()
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._popen = subprocess.Popen(
                self.command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._guard.add(self)

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
        if self._popen.stdin is None:
            raise RuntimeError(f"{self.name} was started without stdin=subprocess.PIPE")
        self._popen.stdin.write(text.encode() + b"\n")
        self._popen.stdin.flush()

    def output(self) -> str:
        """Return what this run has written to the log so far."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

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
            f"end of its log:\n{_tail(self.output())}"
        )

    def pause(self) -> None:
        """Freeze every process of the group (SIGSTOP): connections stay open, unanswered.

        Returns when the program stands still, since the signal takes effect a little later, or
        has ended. Raises TimeoutError when it does not within 5 s.
        """
        signal_group(self.pid, signal.SIGSTOP)
        wait_until(self._stands_still, PAUSE_TIMEOUT_S, f"{self.name} to stand still")

    def _stands_still(self) -> bool:
        states = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
        try:
            return os.waitid(os.P_PID, self.pid, states) is not None
        except ChildProcessError:
            return True

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
        self._guard.remove(self)
        self._swept = True


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-LOG_TAIL_LINES:])
