"""An exchange from a Tango attribute that counts up to a sink that takes its time, as a program.

`slow_exchange.py DEVICE OVERFLOW BUFFER_SIZE SECONDS_A_RECORD QUIET_S` prints a line of JSON with
its memory and its balance twice a second. A line on standard input makes it wait until nothing
more comes for QUIET_S, end, and print `{"report": ...}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.errors import FatalError
from queueconnector_core.exchange import Exchange
from queueconnector_core.gaps import GapLedger
from queueconnector_core.record import Batch
from queueconnector_tango.descriptors import TangoSubscriptionSourceDescriptor

SAMPLE_S = 0.5


class SlowSink:
    """Accepts everything, so many seconds a record, and remembers the numbers by their steps."""

    def __init__(self, seconds: float) -> None:
        self.delivered = 0
        self.last = 0
        self.missing = 0
        self.repeated = 0
        self._seconds = seconds

    async def start(self) -> None:
        pass

    async def write(self, batch: Batch) -> None:
        await asyncio.sleep(self._seconds * len(batch))
        for value in batch.values:
            number = int(value)  # type: ignore[arg-type]
            self.delivered += 1
            self.missing += max(0, number - self.last - 1)
            # The subscription begins with the value of before, which is 0.
            self.repeated += number <= self.last and number > 0
            self.last = max(self.last, number)

    async def stop(self) -> None:
        pass


def resident_kb() -> int:
    """The memory of this process that is in use."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


class Program:
    """The exchange, and what is told of it."""

    def __init__(
        self, device: str, overflow: str, buffer_size: str, seconds: str, quiet: str
    ) -> None:
        self._quiet_s = float(quiet)
        registry = discover().registry
        self._gaps = GapLedger()
        descriptor = TangoSubscriptionSourceDescriptor(
            device,
            "count",
            overflow=overflow,  # type: ignore[arg-type]
            buffer_size=int(buffer_size),
        )
        component = registry.lookup(ComponentKind.SOURCE, "TangoSubscriptionSource")
        context = BuildContext(DataSpec.of("int64"), registry, name="slow[0]", gaps=self._gaps)
        self._sink = SlowSink(float(seconds))
        source = component.factory(descriptor, context)
        self._exchange = Exchange("slow[0]", [source], [], [self._sink], gaps=self._gaps)

    async def run(self) -> None:
        await self._exchange.start()
        running = asyncio.create_task(self._exchange.run())
        sampling = asyncio.create_task(self._sample())
        await asyncio.to_thread(sys.stdin.readline)
        await self._quiet()
        sampling.cancel()
        await self._exchange.drain()
        fault = ""
        try:
            await running
        except FatalError as error:
            fault = str(error)
        in_flight = self._exchange.statistics.in_flight
        await self._exchange.stop()
        sink = self._sink
        told = {"fault": fault, "in_flight": in_flight, "last": sink.last}
        told |= {"missing": sink.missing, "repeated": sink.repeated, "in_sink": sink.delivered}
        print(json.dumps({"report": self._balance() | told}), flush=True)

    def _balance(self) -> dict[str, Any]:
        counted = self._exchange.statistics
        return {
            "received": counted.received,
            "delivered": counted.delivered,
            "dropped": counted.dropped,
            "dead_lettered": counted.dead_lettered,
            "gaps": self._gaps.total,
            "records_lost": self._gaps.records_lost,
            "uncounted": self._gaps.uncounted,
        }

    async def _sample(self) -> None:
        while True:
            print(json.dumps({"resident_kb": resident_kb()} | self._balance()), flush=True)
            await asyncio.sleep(SAMPLE_S)

    async def _quiet(self) -> None:
        """Wait until all was delivered, and nothing more is received."""
        counted, before = self._exchange.statistics, -1
        while counted.in_flight or before != counted.received:
            before = counted.received
            await asyncio.sleep(self._quiet_s)


if __name__ == "__main__":
    asyncio.run(Program(*sys.argv[1:]).run())
