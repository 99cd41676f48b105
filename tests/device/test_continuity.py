"""Subscribers of what does not change miss nothing; those of what changes hear it at once."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.deafness import Hearer, cured, hearer, table, uncured
from devservices.process import wait_until
from devservices.tango import TangoDeviceServer
from tests.device.conftest import ConnectorServer, exchange

RECONFIGURATIONS = 100
COUNTERS = ("relayed", "counted")


@pytest.fixture
def ramp() -> Iterator[TangoDeviceServer]:
    script = [sys.executable, str(Path(__file__).parent / "ramp_device.py")]
    with TangoDeviceServer(script, "ramp_device", "steady", "Ramp", ["test/ramp/4"]) as server:
        server.proxy().Begin([1_000_000, 200])
        yield server


def steady(ramp: TangoDeviceServer) -> list[dict[str, Any]]:
    source = {
        "type": "TangoSubscriptionSource", "device_name": ramp.trl(), "attribute_name": "count",
    }  # fmt: skip
    sink = {"type": "TangoLocalAttributeSink", "attribute_name": "relayed"}
    return [
        {"dtype": "int64", "source": source, "sink": sink},
        exchange(list(range(1, 10_000)), "counted", dtype="int64", delay=0.005),
    ]


def changing(turn: int) -> list[dict[str, Any]]:
    """Two exchanges: one with other data each time, one with another type now and then."""
    return [
        exchange(list(range(turn, turn + 1000)), "other", delay=0.01),
        exchange([turn], "retyped", dtype=("int32", "float32")[turn // 10 % 2]),
    ]


def numbers_of(client: Hearer, name: str) -> list[Any]:
    return [value for _, attribute, value in client.heard if attribute == name]


def test_two_subscribers_miss_nothing_through_a_hundred_reconfigurations(
    make_server: Callable[..., ConnectorServer], ramp: TangoDeviceServer
) -> None:
    server = make_server().start()
    kept = steady(ramp)
    server.configure(*kept, *changing(0))
    server.proxy().Start()
    server.wait_for_state("ON")
    states = server.listen("State")
    with hearer(server.trl(), *COUNTERS) as one, hearer(server.trl(), *COUNTERS) as two:
        for turn in range(1, RECONFIGURATIONS + 1):
            server.configure(*kept, *changing(turn))
        server.wait_for_state("ON")
        last = {name: server.read(name).value for name in COUNTERS}
        for client, name in itertools.product((one, two), COUNTERS):
            assert wait_for_more(client, name, last[name])
            numbers = numbers_of(client, name)[1:]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert len(numbers) > RECONFIGURATIONS
    heard = [str(state) for state in states.heard]
    assert set(itertools.pairwise(heard)) == {("ON", "OPEN"), ("OPEN", "ON")}
    assert heard.count("ON") > RECONFIGURATIONS / 4


def wait_for_more(client: Hearer, name: str, last: int) -> bool:
    def came() -> bool:
        client.listen()
        return any(not isinstance(v, str) and v and v > last for v in numbers_of(client, name))

    return wait_until(came, 10, f"more of {name}")


def test_who_stays_subscribed_hears_a_changed_attribute_within_a_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    silences = cured()
    without = uncured(cap_s=3)
    with capsys.disabled():
        print(f"\n{table([*silences, without])}")
    for silence in silences:
        assert silence.heard
        assert silence.seconds < 1
        told = ("QueueConnector_AttributeRemoved",)
        assert silence.errors == (() if "same definition" in silence.case else told)
    assert not without.heard
    assert without.errors == ()
