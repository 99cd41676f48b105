"""Reading attributes: the device beside a bare synchronous and an asyncio one; and while it pushes.

In the second part three clients read and hear the attribute that the device pushes.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

from bench.children import child, cpu_of, device
from bench.measure import Comparison, Measurement, Options, at_least, at_most, compare, percentile
from bench.pushing_device import SIZE
from devservices.process import wait_until
from devservices.tango import TangoDeviceServer

__all__ = ("benchmark", "reads", "reads_while_pushing")

BARE: Final = "bare synchronous device"
GREEN: Final = "asyncio device"
CONNECTOR: Final = "SDPQueueConnector"
RATE: Final = 3_000
READERS: Final = 3


def benchmark(options: Options) -> list[Comparison]:
    """Both parts."""
    return [reads(3_000, options.rounds), reads_while_pushing(30.0)]


def reads(records: int, rounds: int) -> Comparison:
    """One client reads a number again and again; the processor time is that of the server."""
    with ExitStack() as servers:
        given = {
            BARE: servers.enter_context(device("pushing_device", "Pushing")),
            CONNECTOR: servers.enter_context(device()),
            GREEN: servers.enter_context(device("green_device", "Green")),
        }
        source = {"type": "InMemorySource", "data": [1.0], "delay": 0.01}
        sink = {"type": "TangoLocalAttributeSink", "attribute_name": "scalar"}
        exchange = {"dtype": "float64", "source": source, "sink": sink}
        connector = given[CONNECTOR].proxy()
        connector.Configure(json.dumps({"exchanges": [exchange]}))
        connector.Start()
        wait_until(lambda: connector.scalar == 1.0, 10, "the value")
        return compare(
            f"reads of an attribute, {records:,} by one client",
            [(name, partial(_read, server, records)) for name, server in given.items()],
            rounds,
            (
                at_least(0.9, "rate", CONNECTOR, row=9),
                at_least(3.0, "rate", CONNECTOR, beside=GREEN, row=9),
            ),
        )


def _read(server: TangoDeviceServer, records: int) -> Measurement:
    read = server.proxy().read_attribute
    took: list[float] = []
    used_s = cpu_of(server.process.pid)
    for _ in range(records):
        begun = time.perf_counter()
        read("scalar")
        took.append(time.perf_counter() - begun)
    more = {f"p{p}_ms": 1e3 * percentile(took, p) for p in (50, 99)}
    return Measurement(records, sum(took), cpu_of(server.process.pid) - used_s, more)


def reads_while_pushing(seconds: float, rate: int = RATE) -> Comparison:
    """No read fails and no value is torn while it is pushed `rate` times a second."""
    with device("pushing_device", "Pushing") as publisher, device() as connector:
        proxy = connector.proxy()
        proxy.Configure(json.dumps({"exchanges": [_relay(publisher.trl())]}))
        proxy.Start()
        wait_until(lambda: str(proxy.state()) == "ON", 10, "ON")
        pushed = str(int(rate * (seconds + 2)))
        publisher.proxy().Push(["spectrum", pushed, str(rate)])

        def measured() -> Measurement:
            pid = connector.process.pid
            used_s = cpu_of(pid)
            counts = _hammered(connector.trl(), seconds)
            counts["alive"] = float(connector.is_running and str(proxy.state()) == "ON")
            return Measurement(int(counts["reads"]), seconds, cpu_of(pid) - used_s, counts)

        case = f"{READERS} clients"
        return compare(
            f"reads of a spectrum that is pushed {rate:,} times a second, {seconds:g} s",
            ((case, measured),),
            1,
            (
                at_most(0, "failed", case, kind="absolute", row=10),
                at_most(0, "torn", case, kind="absolute", row=10),
                at_least(1, "alive", case, kind="absolute", row=10),
            ),
        )


def _hammered(trl: str, seconds: float) -> dict[str, float]:
    """What all clients together have counted."""
    with ExitStack() as started:
        clients = [
            started.enter_context(child("reading_client", trl, "relayed", seconds))
            for _ in range(READERS)
        ]
        for client in clients:
            client.told()
        counts: list[dict[str, float]] = [client.told() for client in clients]
    return {name: float(sum(each[name] for each in counts)) for name in counts[0]}


def _relay(trl: str) -> dict[str, Any]:
    return {
        "dtype": "float64",
        "shape": [SIZE],
        "source": {
            "type": "TangoSubscriptionSource",
            "device_name": trl,
            "attribute_name": "spectrum",
        },
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "relayed"},
    }
