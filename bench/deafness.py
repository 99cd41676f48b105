"""How long subscribers hear nothing after an attribute was renewed, with our cure and without.

`python -m bench.deafness` prints a table; `--cap 260` waits so many seconds for a plain PyTango
server, whose subscribers are deaf for more than 200 s.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from devservices.process import ManagedProcess, temporary_directory, wait_until
from devservices.tango import TangoDeviceServer

__all__ = ("Hearer", "Silence", "CHANGES", "cured", "hearer", "main", "table", "uncured")

HERE = Path(__file__).parent
FIRST, SECOND = 1_000, 100_000
"""What the attribute counts from before and after the change."""

CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "removed": ("same type, after removal", {"dtype": "float64"}),
    "retyped": ("other type", {"dtype": "int32"}),
    "reshaped": ("other shape", {"dtype": "float64", "shape": [3]}),
    "unchanged": ("same definition, other source", {"dtype": "float64"}),
}
"""By attribute: what happens to it, and its new definition; all are float64 before."""


@attrs.frozen
class Silence:
    """What one subscriber lived through."""

    case: str
    seconds: float
    """From the return of the call that renewed the attribute to the first new value."""
    heard: bool
    """False: nothing was heard within these seconds."""
    errors: tuple[str, ...] = ()
    """The reasons of the error events that came first."""


class Hearer:
    """A subscriber in another process."""

    def __init__(self, process: ManagedProcess) -> None:
        self.heard: list[tuple[float, str, Any]] = []
        self._process = process
        self._answers = 1

    def listen(self) -> list[tuple[float, str, Any]]:
        """All that was heard so far."""
        self._process.write_line("")
        self._answers += 1
        lines = self._process.wait_until(self._lines, 10, "the subscriber's answer")
        self.heard += json.loads(lines[-1])
        return self.heard

    def _lines(self) -> list[str]:
        text = self._process.output()
        lines = text[: text.rfind("\n") + 1].splitlines()
        return lines if len(lines) >= self._answers else []

    def wait_for_number(self, least: float, timeout_s: float, names: Sequence[str]) -> bool:
        """Whether a number of at least so much was heard in time, of each attribute."""

        def came() -> bool:
            heard = {name for _, name, value in self.listen() if _number(value) >= least}
            return heard >= set(names)

        try:
            wait_until(came, timeout_s, "a value")
        except TimeoutError:
            return False
        return True


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else -1.0


@contextmanager
def hearer(trl: str, *names: str) -> Iterator[Hearer]:
    """Start a subscriber and wait until it has subscribed."""
    process = ManagedProcess(
        "hearing-client",
        [sys.executable, str(HERE / "hearing_client.py"), trl, *names],
        log=temporary_directory("hearing") / "log",
        stdin=subprocess.PIPE,
    )
    try:
        process.wait_until(lambda: "ready" in process.output(), 10, "its subscription")
        yield Hearer(process)
    finally:
        process.stop()


def uncured(cap_s: float) -> Silence:
    """A plain PyTango server that removes its attribute and adds it again, for at most `cap_s`."""
    command = [sys.executable, str(HERE / "uncured_device.py")]
    with TangoDeviceServer(
        command, "uncured_device", "bench", "Uncured", ["test/uncured/1"]
    ) as server, hearer(server.trl(), "x") as client:  # fmt: skip
        proxy = server.proxy()
        proxy.Push(FIRST)
        while not client.wait_for_number(FIRST, 0.2, "x"):
            proxy.Push(FIRST)
        proxy.Renew()
        begun = time.time()
        while time.time() - begun < cap_s:
            proxy.Push(SECOND)
            if client.wait_for_number(SECOND, 0.5, "x"):
                return _silence("plain PyTango server, no cure", client, "x", begun)
        return _silence("plain PyTango server, no cure", client, "x", begun)


def cured(cap_s: float = 20) -> list[Silence]:
    """Our device, for each kind of change, with one subscriber that stays."""
    command = [sys.executable, "-m", "queueconnector_tango.server"]
    device = "test-sdp/queueconnector/01"
    before = {name: _counting(name, FIRST, dtype="float64") for name in CHANGES}
    after = {name: _counting(name, SECOND, **spec) for name, (_, spec) in CHANGES.items()}
    with TangoDeviceServer(
        command, "SDPQueueConnector", "bench", "SDPQueueConnector", [device]
    ) as server:
        proxy = server.proxy()
        _configure(proxy, *before.values())
        proxy.Start()
        with hearer(server.trl(), *CHANGES) as client:
            if not client.wait_for_number(FIRST, 10, [*CHANGES]):
                raise TimeoutError("nothing was heard before the change")
            _configure(proxy, *(before[name] for name in CHANGES if name != "removed"))
            _configure(proxy, *after.values())
            begun = time.time()
            client.wait_for_number(SECOND, cap_s, [*CHANGES])
        return [_silence(case, client, name, begun) for name, (case, _) in CHANGES.items()]


def _silence(case: str, client: Hearer, name: str, begun: float) -> Silence:
    heard = [(at, value) for at, of, value in client.heard if of == name]
    news = [index for index, (_, value) in enumerate(heard) if _number(value) >= SECOND]
    errors = [value for _, value in heard[: news[0] if news else None] if isinstance(value, str)]
    ended = heard[news[0]][0] if news else time.time()
    return Silence(case, max(0.0, ended - begun), heard=bool(news), errors=tuple(errors))


def _counting(name: str, first: int, **spec: Any) -> dict[str, Any]:
    numbers = list(range(first, first + 5000))
    return {
        **spec,
        "source": {"type": "InMemorySource", "data": numbers, "delay": 0.005},
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": name},
    }


def _configure(proxy: Any, *exchanges: dict[str, Any]) -> None:
    proxy.Configure(json.dumps({"exchanges": exchanges}))


def table(silences: list[Silence]) -> str:
    """The figures as a table in Markdown."""
    lines = ["| change | silent for | error events first |", "|---|---|---|"]
    for found in silences:
        silent = f"{found.seconds:.3f} s" if found.heard else f"more than {found.seconds:.0f} s"
        lines.append(f"| {found.case} | {silent} | {', '.join(found.errors) or 'none'} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.deafness", description=__doc__)
    parser.add_argument("--cap", type=float, default=20, help="seconds for the server without cure")
    options = parser.parse_args()
    print(table([*cured(), uncured(options.cap)]), flush=True)


if __name__ == "__main__":
    main()
