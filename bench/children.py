"""Programs of a benchmark in processes of their own, and what they cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from devservices.tango import TangoDeviceServer

__all__ = ("Child", "child", "cpu_of", "device", "module", "resident_kb")

NO_LOSS: Final = {"TANGO_DS_EVENT_BUFFER_HWM": "300000", "TANGO_EVENT_BUFFER_HWM": "300000"}
"""ZeroMQ keeps a whole burst, so that all that is pushed arrives."""

CONNECTOR: Final = "test-sdp/queueconnector/01"


class Child:
    """A program that tells each of its news as a line of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("its input and its output must be pipes")
        self.pid = process.pid
        self._process = process
        self._input, self._output = process.stdin, process.stdout

    def told(self) -> Any:
        """Wait for the next line. Raises `RuntimeError` when the program ended without one."""
        if not (line := self._output.readline()):
            raise RuntimeError(f"{self._process.args!r} ended: {self._process.wait()}")
        return json.loads(line)

    def tell(self) -> None:
        """Let it go on."""
        self._input.write("\n")
        self._input.flush()


@contextmanager
def child(name: str, *arguments: object) -> Iterator[Child]:
    """Run a module of this package until the end of the body."""
    command = [sys.executable, "-m", f"bench.{name}", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **NO_LOSS},
    )
    try:
        yield Child(process)
    finally:
        process.kill()
        process.communicate()


def module(name: str) -> Sequence[str]:
    """The command of a device server."""
    return [sys.executable, "-m", name]


def device(
    name: str = "", device_class: str = "", environment: Mapping[str, str] | None = None
) -> TangoDeviceServer:
    """A server with one device: a module of this package, or the connector."""
    given = {**NO_LOSS, **(environment or {})}
    if name:
        command, trl = module(f"bench.{name}"), f"test/{name}/1"
        return TangoDeviceServer(command, name, "bench", device_class, [trl], environment=given)
    server, command = "SDPQueueConnector", module("queueconnector_tango.server")
    return TangoDeviceServer(command, server, "bench", server, [CONNECTOR], environment=given)


def cpu_of(process: int) -> float:
    """Seconds of processor time that a process has used, all its threads together."""
    # The clock of another process, as `clock_getcpuclockid` numbers it on Linux.
    return time.clock_gettime(~process << 3 | 2)


def resident_kb(process: int) -> int:
    """The memory of a process that is in use, in kB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
