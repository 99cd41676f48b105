"""Many exchanges in one device: how long they take to start, what they cost at rest, and a change.

Seconds, kilobytes and processor time of the device; the goals are absolute, for a quiet machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from bench.children import child, cpu_of, device, resident_kb
from bench.measure import Comparison, Goal, Measurement, Options, at_most, compare
from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from devservices.tango import TangoDeviceServer

__all__ = ("benchmark", "idle", "idle_kafka", "reconfigured")

SIZES: Final = (1, 10, 100, 1_000)
KAFKA_SIZES: Final = (1, 10, 100)
SETTLING_S: Final = 2.0
"""What begins with the start has ended after so long."""
TIMEOUT_S: Final = 120.0
HELD: Final = 3600.0

Exchange = dict[str, Any]


def benchmark(options: Options) -> list[Comparison]:
    """All kinds of exchanges, and a change of half of them."""
    kinds = (("in memory", in_memory), ("to local attributes", to_attribute))
    found = [idle(name, make, SIZES, options.rounds) for name, make in kinds]
    return [*found, idle_kafka(KAFKA_SIZES, options.rounds), reconfigured(1_000, options.rounds)]


def in_memory(number: int) -> Exchange:
    """Waits for an hour before its value."""
    source = {"type": "InMemorySource", "data": [1.0], "delay": HELD}
    return _exchange(source, {"type": "InMemorySink", "key": f"k{number}"})


def to_attribute(number: int) -> Exchange:
    """The same, with an attribute of its own."""
    source = {"type": "InMemorySource", "data": [1.0], "delay": HELD}
    return _exchange(source, {"type": "TangoLocalAttributeSink", "attribute_name": f"a{number}"})


def _exchange(source: Exchange, sink: Exchange) -> Exchange:
    return {"dtype": "float64", "source": source, "sink": sink}


def idle(
    kind: str,
    make: Callable[[int], Exchange],
    sizes: Sequence[int],
    rounds: int,
    idle_s: float = 10.0,
) -> Comparison:
    """So many exchanges, started and then left alone."""
    limits = {"start_s": 6.0, "kb_each": 50.0, "idle_percent": 2.0}
    return _idle(kind, make, sizes, rounds, limits, idle_s)


def idle_kafka(sizes: Sequence[int], rounds: int, idle_s: float = 10.0) -> Comparison:
    """Exchanges that each read a topic to which nobody writes."""
    with KafkaBroker() as broker:
        for number in range(max(sizes) + 1):
            broker.create_topic(f"t{number}")

        def reader(number: int) -> Exchange:
            where = {"servers": broker.bootstrap, "topic": f"t{number}"}
            source = {"type": "KafkaConsumerSource", "encoding": "carray", **where}
            return _exchange(source, {"type": "InMemorySink", "key": f"k{number}"})

        limits = {"kb_each": 100.0, "idle_percent": 15.0}
        return _idle("from topics", reader, sizes, rounds, limits, idle_s)


def _idle(
    kind: str,
    make: Callable[[int], Exchange],
    sizes: Sequence[int],
    rounds: int,
    limits: dict[str, float],
    idle_s: float,
) -> Comparison:
    largest = f"{sizes[-1]:,}"
    goals = [
        at_most(limit, name, largest, kind="absolute", row=13) for name, limit in limits.items()
    ]
    cases = [(f"{size:,}", partial(_measure_idle, make, size, idle_s)) for size in sizes]
    return compare(f"idle exchanges {kind}, in one device", cases, rounds, goals)


def _measure_idle(make: Callable[[int], Exchange], size: int, idle_s: float) -> Measurement:
    with device() as server:
        pid, proxy = server.process.pid, _patient(server)
        # What the first one of its kind has loaded is not counted.
        _configure(proxy, [make(size)], 1)
        before_kb, used_s, begun = resident_kb(pid), cpu_of(pid), time.monotonic()
        _configure(proxy, [make(number) for number in range(size)], size)
        configured = time.monotonic()
        proxy.Start()
        _until(proxy, "ON")
        started = time.monotonic()
        start_cpu_s = cpu_of(pid) - used_s
        # Rest is what is measured: so long nothing is asked of the device.
        time.sleep(SETTLING_S)
        rested_s, rested = cpu_of(pid), time.monotonic()
        time.sleep(idle_s)
        idle_percent = 100 * (cpu_of(pid) - rested_s) / (time.monotonic() - rested)
        more = {
            "configure_s": configured - begun,
            "start_s": started - begun,
            "kb_each": (resident_kb(pid) - before_kb) / size,
            "idle_percent": idle_percent,
        }
        return Measurement(size, started - begun, start_cpu_s, more)


def reconfigured(size: int, rounds: int) -> Comparison:
    """Half of the attributes go, others come; what streams into one that stays is whole."""
    case = f"{size:,} attributes, half of them kept"
    goals: list[Goal] = [
        at_most(1.0, "change_s", case, kind="absolute", row=14),
        at_most(0, "lost", case, kind="absolute", row=14),
    ]
    return compare("a new configuration", ((case, partial(_change, size)),), rounds, goals)


def _change(size: int) -> Measurement:
    half, numbers = size // 2, list(range(1, 2_001))
    ticking = _exchange(
        {"type": "InMemorySource", "data": numbers, "delay": 0.002},
        {"type": "TangoLocalAttributeSink", "attribute_name": "ticks"},
    )
    kept = [ticking, *map(to_attribute, range(1, half))]
    with device() as server:
        pid, proxy = server.process.pid, _patient(server)
        _configure(proxy, [*kept, *map(to_attribute, range(half, size))], size)
        with child("counting_client", server.trl(), "ticks", len(numbers)) as client:
            client.told()
            proxy.Start()
            _until(proxy, "ON")
            used_s, begun = cpu_of(pid), time.monotonic()
            _configure(proxy, [*kept, *map(to_attribute, range(size, size + half))], half)
            _until(proxy, "ON")
            change_s, cpu_s = time.monotonic() - begun, cpu_of(pid) - used_s
            more = {"change_s": change_s, "lost": float(client.told()["wrong"])}
            return Measurement(size, change_s, cpu_s, more)


def _patient(server: TangoDeviceServer) -> Any:
    proxy = server.proxy()
    proxy.set_timeout_millis(int(TIMEOUT_S * 1e3))
    return proxy


def _configure(proxy: Any, exchanges: Sequence[Exchange], new: int) -> None:
    """Give a configuration, and wait until it is applied: the command returns before that."""
    proxy.Configure(json.dumps({"exchanges": exchanges}))
    wait_until(lambda: f": {new} exchanges new" in proxy.status(), TIMEOUT_S, "the configuration")


def _until(proxy: Any, state: str) -> None:
    wait_until(lambda: str(proxy.state()) == state, TIMEOUT_S, state)
