"""How long programs take to start: commands, imports, and the first record of an exchange."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from bench.measure import Comparison, Measurement, Options, at_most, compare

__all__ = ("benchmark", "start_up")

TIMEOUT_S: Final = 120
NOTHING: Final = "python -c pass"
HELP: Final = "queueconnector --help"
IMPORTS: Final = (
    "numpy",
    "queueconnector_core.plugin",
    "queueconnector_memory.plugin",
    "queueconnector_kafka.plugin",
    "queueconnector_tango.plugin",
    "queueconnector_sdp.plugin",
)

FIRST_RECORD: Final = {
    "exchanges": [
        {
            "dtype": "float64",
            "source": {"type": "InMemorySource", "data": [1.5]},
            "sink": {"type": "InMemorySink", "key": "start-up"},
        }
    ]
}


def benchmark(options: Options) -> list[Comparison]:
    """The cases of the command line."""
    return [start_up(options.rounds)]


def start_up(rounds: int) -> Comparison:
    """Seconds of a whole process, from its start to its end."""
    python = [sys.executable]
    command = [str(Path(sys.executable).with_name("queueconnector"))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "first.json"
        path.write_text(json.dumps(FIRST_RECORD))
        # Byte code is kept, as it is where programs are installed.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        commands: dict[str, Sequence[str]] = {
            NOTHING: [*python, "-c", "pass"],
            **{f"import {name}": [*python, "-c", f"import {name}"] for name in IMPORTS},
            HELP: [*command, "--help"],
            "queueconnector list": [*command, "list"],
            "queueconnector run, to the end of its first record": [*command, "run", str(path)],
        }
        cases: list[tuple[str, Callable[[], Measurement]]] = []
        for name, each in commands.items():
            _run(each, environment)
            cases.append((name, partial(_run, each, environment)))
        goal = at_most(400, "cpu_ms", HELP, kind="absolute")
        return compare("start-up", cases, rounds, [goal])


def _run(command: Sequence[str], environment: dict[str, str]) -> Measurement:
    before, wall_s = os.times(), time.perf_counter()
    subprocess.run(command, env=environment, capture_output=True, check=True, timeout=TIMEOUT_S)
    wall_s, after = time.perf_counter() - wall_s, os.times()
    cpu_s = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Measurement(1, wall_s, cpu_s, {"wall_ms": 1e3 * wall_s, "cpu_ms": 1e3 * cpu_s})
