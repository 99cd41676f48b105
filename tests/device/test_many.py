"""A thousand attributes: what they cost, and that the cost of each stays the same.

Prints a table of seconds and megabytes. `QUEUECONNECTOR_MANY=3000` measures larger ones too.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import tango

from queueconnector_tango.claims import OWN_ATTRIBUTES
from tests.device.conftest import ConnectorServer

LARGEST = int(os.environ.get("QUEUECONNECTOR_MANY", "1000"))
SIZES = tuple(size for size in (100, 300, 1000, 3000) if size <= LARGEST)
ROUNDS = {100: 4, 300: 1}
PER_EXCHANGE = 5
RATIO = 1.5
"""The time for each of a thousand attributes may be so many times that for each of a hundred."""
STEPS = ("configure", "start", "read", "change one", "clear")


@attrs.frozen
class Round:
    """What one size cost, once."""

    seconds: dict[str, float]
    resident_kb: int
    """The memory of the server while it streamed, in kB."""


@pytest.fixture
def server() -> Iterator[ConnectorServer]:
    observed = [sys.executable, str(Path(__file__).parent / "observed_server.py")]
    with ConnectorServer(command=observed) as server:
        yield server


def scattered(number: int, first: float) -> dict[str, Any]:
    """One exchange with five attributes: arrays, or objects by JMESPath, in turn."""
    names = [f"a{number}_{part}" for part in range(PER_EXCHANGE)]
    values = [first + part for part in range(PER_EXCHANGE)]
    if number % 2:
        source: dict[str, Any] = {"type": "InMemorySource", "data": [{"v": values}]}
        picks = [
            {"attribute_name": name, "dtype": "float64", "path": f"v[{part}]"}
            for part, name in enumerate(names)
        ]
        sink = {"type": "TangoObjectScatterAttributeSink", "attributes": picks}
        return {"dtype": "object", "source": source, "sink": sink}
    source = {"type": "InMemorySource", "data": [values]}
    sink = {"type": "TangoArrayScatterAttributeSink", "attribute_names": names}
    return {"dtype": "float64", "shape": [PER_EXCHANGE], "source": source, "sink": sink}


def measure(server: ConnectorServer, size: int) -> Round:
    proxy = server.proxy()
    proxy.set_timeout_millis(60_000)
    seconds: dict[str, float] = {}

    def timed(step: str, action: Callable[[], object], done: Callable[[], bool]) -> None:
        begun = time.monotonic()
        action()
        server.process.wait_until(done, 60, step)
        seconds[step] = time.monotonic() - begun

    def configure(first: float) -> None:
        rest = [scattered(number, 0.0) for number in range(1, size // PER_EXCHANGE)]
        text = json.dumps({"exchanges": [scattered(0, first), *rest]})
        proxy.Configure(text)

    def read_all() -> None:
        names = [
            f"a{n}_{part}" for n in range(size // PER_EXCHANGE) for part in range(PER_EXCHANGE)
        ]
        values = [float(np_value(found)) for found in proxy.read_attributes(names)]
        assert values == [float(part) for part in range(PER_EXCHANGE)] * (size // PER_EXCHANGE)

    def has(number: int) -> bool:
        return (
            len(proxy.get_attribute_list()) == number + len(OWN_ATTRIBUTES)
            and "applied at" in proxy.status()
        )

    def is_off() -> bool:
        return str(proxy.state()) == "OFF"

    timed("configure", lambda: configure(0.0), lambda: has(size))
    timed("start", proxy.Start, is_off)
    timed("read", read_all, lambda: True)
    resident = int(json.loads(proxy.Inventory())["resident_kb"])
    timed("change one", lambda: configure(7.0), lambda: has(size))
    timed("clear", lambda: proxy.Configure(""), lambda: str(proxy.state()) == "STANDBY")
    return Round(seconds, resident)


def np_value(found: tango.DeviceAttribute) -> Any:
    return found.value[0] if hasattr(found.value, "__len__") else found.value


def table(rounds: dict[int, list[Round]]) -> str:
    """Medians, as a table in Markdown."""
    lines = [f"| attributes | {' | '.join(STEPS)} | memory |", "|---" * (len(STEPS) + 2) + "|"]
    for size, found in rounds.items():
        medians = [median(found, step) for step in STEPS]
        cells = " | ".join(f"{seconds:.3f} s" for seconds in medians)
        lines.append(f"| {size} | {cells} | {found[0].resident_kb // 1000} MB |")
    return "\n".join(lines)


def median(rounds: list[Round], step: str) -> float:
    return statistics.median(found.seconds[step] for found in rounds)


@pytest.mark.timeout(600)
def test_the_cost_of_an_attribute_does_not_grow_with_their_number(
    server: ConnectorServer, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(server, 100)
    rounds: dict[int, list[Round]] = {size: [] for size in SIZES}
    for turn in range(max(ROUNDS.values())):
        for size in SIZES:
            if turn < ROUNDS.get(size, 2):
                rounds[size].append(measure(server, size))
    with capsys.disabled():
        print(f"\n{table(rounds)}")
    totals = {size: sum(median(found, step) for step in STEPS) for size, found in rounds.items()}
    assert totals[1000] / 1000 <= RATIO * totals[100] / 100
