"""In-process: the exchange beside the least asyncio loop that does the same, value by value."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Final

from bench.measure import Comparison, Measurement, Options, at_most, check_equal, compare
from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.plan import Surroundings, make_plan
from queueconnector_core.record import Batch
from queueconnector_core.structure import structure
from queueconnector_memory import store

__all__ = ("benchmark", "in_memory")

KEY: Final = "bench"
LOOP: Final = "async generator, pipe, await write per value"
EXCHANGE: Final = "exchange InMemorySource -> InMemorySink"
HUNDREDS: Final = "exchange, in batches of 100"

Timed = tuple[float, float]


def benchmark(options: Options) -> list[Comparison]:
    """The cases of the command line."""
    return [in_memory(options.records, options.rounds, sizes=(100, 1))]


def in_memory(records: int, rounds: int, sizes: Sequence[int] = (100,)) -> Comparison:
    """`records` numbers from a list to a list; also in batches of given sizes."""
    values = [float(number) for number in range(records)]
    cases: list[tuple[str, Callable[[list[float]], Coroutine[None, None, Timed]]]] = [
        (LOOP, _loop),
        (EXCHANGE, _configured),
        *((f"exchange, in batches of {size}", partial(_exchange, size=size)) for size in sizes),
    ]
    return compare(
        f"in memory, {records:,} numbers",
        [(name, partial(_timed, case, values)) for name, case in cases],
        rounds,
        [
            at_most(2.5, "cpu_us", EXCHANGE, row=6),
            at_most(0.5, "cpu_us", HUNDREDS, row=6),
        ],
    )


def _timed(
    case: Callable[[list[float]], Coroutine[None, None, Timed]], values: list[float]
) -> Measurement:
    gc.collect()  # or one case would pay for what another has left
    wall_s, cpu_s = asyncio.run(case(values))
    return Measurement(len(values), wall_s, cpu_s)


def _now() -> Timed:
    return time.perf_counter(), time.process_time()


def _since(start: Timed) -> Timed:
    return time.perf_counter() - start[0], time.process_time() - start[1]


async def _loop(values: list[float]) -> Timed:
    kept: list[float] = []

    async def source() -> AsyncIterator[float]:
        for value in values:
            yield value

    async def pipe(given: AsyncIterator[float]) -> AsyncIterator[float]:
        async for value in given:
            yield value

    async def write(value: float) -> None:
        kept.append(value)

    start = _now()
    async for value in pipe(source()):
        await write(value)
    spent = _since(start)
    check_equal(kept, values)
    return spent


async def _configured(values: list[float]) -> Timed:
    registry, services = discover().registry, Services()
    exchange = {
        "dtype": "float64",
        "source": {"type": "InMemorySource", "data": values},
        "pipe": {"type": "DefaultPipe"},
        "sink": {"type": "InMemorySink", "key": KEY},
    }
    # As text it would be longer than a configuration may be.
    document = structure({"exchanges": [exchange]}, registry)
    plan = make_plan(document, registry, services, Surroundings())
    group = Group("bench", [plan.groups["default"][0].build(registry, services)])
    start = _now()
    group.start()
    await group.settled()
    spent = _since(start)
    check_equal([record.value for record in store.records(KEY)], values)
    store.reset(KEY)
    return spent


class _Source:
    """Values in batches of one size."""

    def __init__(self, values: list[float], size: int) -> None:
        self._values, self._size = values, size

    async def start(self) -> None:
        """Nothing to connect."""

    async def read(self) -> AsyncIterator[Batch]:
        """All values."""
        for first in range(0, len(self._values), self._size):
            yield Batch(self._values[first : first + self._size])

    async def stop(self) -> None:
        """Nothing to disconnect."""


class _Pipe:
    """Passes batches on, as the loop passes values on."""

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The same batches."""
        async for batch in batches:
            yield batch


class _Sink:
    """Keeps the values."""

    def __init__(self) -> None:
        self.kept: list[object] = []

    async def start(self) -> None:
        """Nothing to connect."""

    async def write(self, batch: Batch) -> None:
        """Keep them."""
        self.kept.extend(batch.values)

    async def stop(self) -> None:
        """Nothing to disconnect."""


async def _exchange(values: list[float], size: int) -> Timed:
    sink = _Sink()
    exchange = Exchange("bench", [_Source(values, size)], [_Pipe()], [sink])
    await exchange.start()
    start = _now()
    await exchange.run()
    spent = _since(start)
    await exchange.stop()
    check_equal(sink.kept, values)
    return spent
