"""What it costs to be watched: `python -m bench.watching [rounds]`.

The same exchange streams alone, with metrics asked for once a second, and with a tap that takes all
it is given; each beside a run that nobody watches. Compared are records per second of processor
time.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.record import Batch
from queueconnector_core.web.options import WebOptions, serve

BATCH: Final = 500
RECORD_BYTES: Final = 1024
RUN_S: Final = 2.0
PACE_S: Final = 0.0005
"""A sink takes so long for a batch: about what a Kafka client costs for 500 records of 1 KiB."""


ASK: Final = """
import sys, time, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
while True:
    with opener.open(sys.argv[1]) as answer:
        while answer.read1():
            pass
    time.sleep(1)
"""
"""A program that asks for something, all of it, once a second."""


class Source:
    """The same batch again and again, for a time."""

    async def start(self) -> None:
        """Nothing to connect to."""

    async def read(self) -> AsyncIterator[Batch]:
        """Batches until the time is over."""
        values = [("", bytes(RECORD_BYTES)) for _ in range(BATCH)]
        # Of the processor's time: on a busy machine, a run does as much work as elsewhere.
        end_s = time.thread_time() + RUN_S
        while time.thread_time() < end_s:
            yield Batch(values)

    async def stop(self) -> None:
        """Nothing to disconnect from."""


class Sink:
    """Works for a while on each batch, as a client library does."""

    async def start(self) -> None:
        """Nothing to connect to."""

    async def write(self, batch: Batch) -> None:
        """Keep the processor busy."""
        end_s = time.thread_time() + PACE_S
        while time.thread_time() < end_s:
            pass

    async def stop(self) -> None:
        """Nothing to disconnect from."""


async def run(watch: str) -> float:
    """Records per second of processor time of one run."""
    connector = Connector(discover().registry)
    exchange = Exchange("x[0]", [Source()], [], [Sink()])
    document = connector.documents[0]
    document.groups["x"] = Group("x", [exchange])
    server = await serve(connector, WebOptions(0))
    async with watching(watch, server.address):
        await exchange.start()
        before_s = time.process_time()
        await exchange.run()
        # Not by the clock: whoever looks, and others on the machine, take processor time as well.
        rate = exchange.statistics.delivered / (time.process_time() - before_s)
        await exchange.stop()
    await server.close()
    return rate


@asynccontextmanager
async def watching(watch: str, address: str) -> AsyncIterator[None]:
    """Another process that looks: at metrics once a second, at every record, or at nothing."""
    path = {"metrics": "metrics", "tap": "api/exchanges/x%5B0%5D/tap"}.get(watch)
    if path is None:
        yield
        return
    asking = await asyncio.create_subprocess_exec(sys.executable, "-c", ASK, address + path)
    await asyncio.sleep(0.5)
    try:
        yield
    finally:
        asking.terminate()
        await asking.wait()


async def main(rounds: int) -> None:
    """Print the median ratio of each watched run to the two runs around it that nobody watches."""
    ratios: dict[str, list[float]] = {"nothing": [], "metrics": [], "tap": []}
    before = await run("nothing")
    for _ in range(rounds):
        for watch, found in ratios.items():
            watched, after = await run(watch), await run("nothing")
            found.append(2 * watched / (before + after))
            before = after
    for watch, found in ratios.items():
        print(f"{watch}: {statistics.median(found):.4f} of {rounds} rounds {spread(found)}")


def spread(found: Sequence[float]) -> str:
    """The smallest and the largest."""
    return f"({min(found):.3f} to {max(found):.3f})"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
