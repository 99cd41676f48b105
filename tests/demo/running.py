"""The demo as a program that its user runs."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from devservices.process import wait_until

DEMO = [sys.executable, "-m", "pointing_loop"]
MARK = "POINTING_LOOP_TEST"
TIMEOUT_S = 120.0


class Run:
    """The demo as a child process; everything that it starts inherits its mark."""

    def __init__(self, directory: Path, *arguments: str, path: str | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self._log = directory / "output.txt"
        environment = os.environ | {MARK: self.mark} | ({"PATH": path} if path else {})
        with self._log.open("wb") as output:
            self._popen = subprocess.Popen(
                [*DEMO, *arguments],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, text: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until it prints this."""

        def said() -> bool:
            assert self._popen.poll() is None, f"ended before {text!r}:\n{self.output}"
            return text in self.output

        wait_until(said, timeout_s, f"the demo to say {text!r}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def exit_code(self) -> int:
        """Wait for its end."""
        try:
            return self._popen.wait(TIMEOUT_S)
        finally:
            self._popen.kill()
            self._popen.wait()

    def left_behind(self) -> list[str]:
        """Command lines of living processes that the demo started."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue  # It ended meanwhile, or belongs to someone else.
        return found
