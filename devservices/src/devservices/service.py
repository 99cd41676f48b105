"""What all services have in common: start on a readiness condition, stop, kill, pause, restart."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from .process import ManagedProcess, temporary_directory


class Service(ABC):
    """A real program that serves on loopback; also a context manager.

    ``start()`` returns when the service answers. Its data, ports and log live as long as this
    object's process does, so that a stopped or killed service can be started again.
    """

    start_timeout_s: ClassVar[float] = 30.0
    stop_grace_s: ClassVar[float] = 10.0
    stdin: ClassVar[int] = subprocess.DEVNULL

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = temporary_directory(name)
        self.log = self.directory / f"{name}.log"
        self._process: ManagedProcess | None = None

    @classmethod
    @abstractmethod
    def check(cls) -> str:
        """Return the name and version of what would run, without running it.

        Raises ServiceUnavailable naming what is missing and how to get it.
        """

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """Return the command line; raises ServiceUnavailable as ``check()`` does."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return whether a real request is answered."""

    def _environment(self) -> Mapping[str, str]:
        """Return what to add to this process's environment."""
        return {}

    @property
    def process(self) -> ManagedProcess:
        """The program; raises RuntimeError when it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started; call start() first")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.is_running

    def start(self) -> Self:
        """Start the program and wait until it answers; nothing happens when it runs already.

        Raises ServiceUnavailable when something is missing on this machine, ServiceFailed, with
        the end of the log, when the program ends or does not answer in time.
        """
        if self.is_running:
            return self
        self._process = ManagedProcess(
            self.name,
            self._command(),
            log=self.log,
            environment=self._environment(),
            stdin=self.stdin,
        )
        try:
            self._process.wait_until(self._is_ready, self.start_timeout_s, "its first answer")
        except BaseException:
            self._process.kill()
            raise
        return self

    def stop(self) -> None:
        """End the program in order, or by force when it does not; idempotent."""
        if self._process is not None:
            self._process.stop(self.stop_grace_s)

    def kill(self) -> None:
        """End the program at once, as a crash does."""
        self.process.kill()

    def pause(self) -> None:
        """Freeze the program: its connections stay open, unanswered."""
        self.process.pause()

    def resume(self) -> None:
        """Let a paused program run on."""
        self.process.resume()

    def restart(self) -> Self:
        """Stop (a killed service: just start) with data and ports kept."""
        self.stop()
        return self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
