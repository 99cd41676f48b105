"""`queueconnector top` in a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

from devservices.process import wait_until

COMMAND = str(Path(sys.executable).parent / "queueconnector")
TIMEOUT_S = 40.0


class Screen:
    """A terminal of 120 columns with `top` in it: what it shows, and a keyboard."""

    def __init__(self, *arguments: str) -> None:
        self._keyboard, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 120))
        os.set_blocking(self._keyboard, False)
        self._process = subprocess.Popen(
            [COMMAND, "top", *arguments, "--interval-s", "0.2"],
            stdin=terminal, stdout=terminal, stderr=terminal,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )  # fmt: skip
        os.close(terminal)
        self._shown = ""

    def _look(self, pattern: str) -> bool:
        with contextlib.suppress(OSError):  # nothing more for now
            while octets := os.read(self._keyboard, 65536):
                self._shown += re.sub(
                    r"\x1b\[[0-9;?]*[a-zA-Z]", "", octets.decode(errors="replace")
                )
        return re.search(pattern, self._shown) is not None

    def shows(self, pattern: str) -> None:
        """Wait until it does; then what it showed before is forgotten."""
        try:
            wait_until(lambda: self._look(pattern), TIMEOUT_S, pattern)
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} in {self._shown[-3000:]}") from None
        self._shown = ""

    def press(self, keys: bytes) -> None:
        """Type these."""
        os.write(self._keyboard, keys)

    def code(self) -> int:
        """Wait for its end; its exit code."""
        wait_until(
            lambda: self._look("") and self._process.poll() is not None, TIMEOUT_S, "its end"
        )
        return self._process.wait()

    def close(self) -> None:
        """End it, however it is."""
        self._process.kill()
        self._process.wait()
        os.close(self._keyboard)
