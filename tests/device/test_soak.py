"""Several clients read and subscribe while the device pushes and is configured again and again.

`QUEUECONNECTOR_SOAK_S` is how long, in seconds (60).
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devservices.process import ManagedProcess
from devservices.tango import TangoDeviceServer

if TYPE_CHECKING:
    from tests.device.conftest import ConnectorServer

DURATION_S = float(os.environ.get("QUEUECONNECTOR_SOAK_S", "60"))
RATE = 200
"""Values a second, each pushed as a scalar and as a spectrum."""
COUNT = int(DURATION_S * RATE)
BASE = 100_000
"""Each configuration of a changing attribute counts from another multiple of it."""
CHURN = 400
NO_LOSS = {"TANGO_EVENT_BUFFER_HWM": "100000", "TANGO_DS_EVENT_BUFFER_HWM": "100000"}


@pytest.fixture
def ramp() -> Iterator[TangoDeviceServer]:
    script = [sys.executable, str(Path(__file__).parent / "ramp_device.py")]
    with TangoDeviceServer(
        script, "ramp_device", "soak", "Ramp", ["test/ramp/1"], environment=NO_LOSS
    ) as server:
        yield server


def stable(ramp: TangoDeviceServer) -> list[dict[str, Any]]:
    def relay(name: str, **spec: Any) -> dict[str, Any]:
        return {
            **spec,
            "source": {
                "type": "TangoSubscriptionSource",
                "device_name": ramp.trl(),
                "attribute_name": name,
            },
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": name},
        }

    return [relay("count", dtype="int64"), relay("spectrum", dtype="float64", shape=[100])]


def churning(turn: int) -> list[dict[str, Any]]:
    """Three attributes: one of changing type, one of changing shape, one that comes and goes."""

    def counted(name: str, **spec: Any) -> dict[str, Any]:
        data = [turn * BASE + number for number in range(CHURN)]
        return {
            **spec,
            "source": {"type": "InMemorySource", "data": data, "delay": 0.002},
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": name},
        }

    exchanges = [
        counted("retyped", dtype=("float64", "int32")[turn % 2], shape=[50]),
        counted("reshaped", dtype="int64", shape=[[20], [5, 4], [40]][turn % 3]),
    ]
    if turn % 2:
        exchanges.append(counted("sometimes", dtype="int64"))
    return exchanges


def report(process: ManagedProcess) -> dict[str, Any]:
    process.write_line("stop")
    process.wait_until(lambda: process.output().count("\n") >= 2, 30, "its report")
    result: dict[str, Any] = json.loads(process.output().splitlines()[1])
    return result


def runs(numbers: list[int]) -> Iterator[list[int]]:
    """The numbers of each configuration, in the order in which they came."""
    for _, run in itertools.groupby(numbers, lambda number: number // BASE):
        yield list(run)


@pytest.mark.timeout(60 + 3 * DURATION_S)
def test_no_wrong_value_no_lost_event_and_no_crash(
    make_server: Callable[..., ConnectorServer],
    ramp: TangoDeviceServer,
    client: Callable[..., ManagedProcess],
) -> None:
    server = make_server(environment=NO_LOSS).start()
    server.configure(stable=stable(ramp), churn=churning(0))
    churned = ["retyped", "reshaped", "sometimes"]
    names = ["count", "spectrum", *churned]
    readers = [
        client("soak_client.py", "read", server.trl(), pause, *names) for pause in ("0.002", "0.01")
    ]
    server.configure(stable=stable(ramp), churn=churning(1))
    subscribers = [
        client("soak_client.py", "subscribe", server.trl(), "0", *names, **NO_LOSS)
        for _ in range(2)
    ]
    for process in (*readers, *subscribers):
        process.wait_until(lambda process=process: "ready" in process.output(), 10, "start")  # type: ignore[misc]
    server.proxy().Start()
    server.wait_for_state("ON")
    ramp.proxy().Begin([COUNT, RATE])

    begun = time.monotonic()
    for turn in itertools.count(2):
        server.configure(stable=stable(ramp), churn=churning(turn))
        if time.monotonic() - begun > DURATION_S:
            break
        time.sleep(0.1 * (turn % 4))
    server.process.wait_until(lambda: server.read("count").value == COUNT, 30, "the last value")

    for process in readers:
        found = report(process)
        assert found["wrong"] == {}
        assert found["reads"] > DURATION_S * 10
    for process in subscribers:
        found = report(process)
        for name in ("count", "spectrum"):
            numbers = found["numbers"][name]
            assert found["errors"][name] == {}
            first = numbers.index(1)
            assert numbers[first:] == list(range(1, COUNT + 1))
            assert first <= 1
        for name in churned:
            assert set(found["errors"][name]) <= {
                "QueueConnector_AttributeRemoved", "API_AttrNotFound", "API_AttrNotAllowed",
            }  # fmt: skip
            for run in runs(found["numbers"][name]):
                first = run[0] // BASE * BASE
                assert run == list(range(first, first + len(run)))
        heard = sum(1 for _ in runs(found["numbers"]["retyped"]))
        assert heard > 0.9 * turn
    server.stop()
    assert server.process.exit_code == 0, server.process.output()
