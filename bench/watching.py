"""What it costs to be watched: the same exchange alone, with metrics asked for, with a tap."""

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


class Source:
    """The same batch again and again, for a time."""

    async def start(self) -> None:
        """Nothing to connect to."""

    async def read(self) -> AsyncIterator[Batch]:
        """Batches until the time is over."""
        values = [("", bytes(RECORD_BYTES)) for _ in range(BATCH)]
        end_s = time.perf_counter() + RUN_S
        while time.perf_counter() < end_s:
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
    scripts = {
        "metrics": "while curl -s --noproxy '*' -o /dev/null {}metrics; do sleep 1; done",
        "tap": "curl -s --noproxy '*' -N -o /dev/null '{}api/exchanges/x%5B0%5D/tap'",
        "nothing": "sleep 60",
    }
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", scripts[watch].format(address), start_new_session=True
    )
    await asyncio.sleep(0.3)
    try:
        yield
    finally:
        import os
        import signal

        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


async def main(rounds: int) -> None:
    """Print the median ratio of each watched run to the run beside it that nobody watches."""
    ratios: dict[str, list[float]] = {"nothing": [], "metrics": [], "tap": []}
    for _ in range(rounds):
        for watch, found in ratios.items():
            alone = await run("nothing")
            found.append(await run(watch) / alone)
    for watch, found in ratios.items():
        print(f"{watch}: {statistics.median(found):.4f} of {rounds} rounds {spread(found)}")


def spread(found: Sequence[float]) -> str:
    """The smallest and the largest."""
    return f"({min(found):.3f} to {max(found):.3f})"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
