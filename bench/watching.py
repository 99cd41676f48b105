"""What it costs to be watched: `python -m bench.watching [rounds]`.

The same exchange streams alone, with metrics asked for once a second, and with a tap that takes all
it is given; each between two runs that nobody watches. Compared are records per second of processor
time, which on a busy machine differ by some per cent from run to run; and measured is how much of
the processor's time went to all but the exchange, which hardly depends on the neighbours.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

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
    time.sleep(1)  # the pace of a scraper
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


class Meter:
    """Measures what the callbacks of the event loop take, but for those of one task."""

    def __init__(self) -> None:
        self.others_s = 0.0
        self._exchange = asyncio.current_task()
        self._run = asyncio.Handle._run  # noqa: SLF001 - what every callback passes

    def __enter__(self) -> Self:
        def run(handle: Any) -> None:
            began_s = time.thread_time()
            self._run(handle)
            if getattr(handle._callback, "__self__", None) is not self._exchange:  # noqa: SLF001
                self.others_s += time.thread_time() - began_s

        asyncio.Handle._run = run  # type: ignore[method-assign,assignment]  # noqa: SLF001
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.Handle._run = self._run  # type: ignore[method-assign]  # noqa: SLF001


async def run(watch: str) -> tuple[float, float]:
    """Records per second of processor time of one run, and the share of all but the exchange."""
    connector = Connector(discover().registry)
    exchange = Exchange("x[0]", [Source()], [], [Sink()])
    document = connector.documents[0]
    document.groups["x"] = Group("x", [exchange])
    server = await serve(connector, WebOptions(0))
    async with watching(watch, server.address):
        await exchange.start()
        with Meter() as meter:
            before_s, thread_s = time.process_time(), time.thread_time()
            await exchange.run()
            # Not by the clock: whoever looks, and others here, take processor time as well.
            took_s = time.process_time() - before_s
            threads_s = took_s - (time.thread_time() - thread_s)
        await exchange.stop()
    await server.close()
    return exchange.statistics.delivered / took_s, (meter.others_s + threads_s) / took_s


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
    """Print the medians; the ratios are to the two runs around it that nobody watches."""
    ratios: dict[str, list[float]] = {"nothing": [], "metrics": [], "tap": []}
    shares: dict[str, list[float]] = {watch: [] for watch in ratios}
    before, _ = await run("nothing")
    for _ in range(rounds):
        for watch, found in ratios.items():
            rate, share = await run(watch)
            after, _ = await run("nothing")
            found.append(2 * rate / (before + after))
            shares[watch].append(share)
            before = after
    for watch, found in ratios.items():
        took = f"{100 * statistics.median(shares[watch]):.2f} % of the processor's time"
        print(f"{watch}: {statistics.median(found):.4f} {spread(found)} of the records; {took}")


def spread(found: Sequence[float]) -> str:
    """The smallest and the largest."""
    return f"({min(found):.3f} to {max(found):.3f})"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
