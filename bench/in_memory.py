"""In-process: the exchange beside the least asyncio loop that does the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine

from bench.measure import Comparison, Measurement, Options, check_equal, compare
from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.group import Group
from queueconnector_core.plan import Surroundings, make_plan
from queueconnector_core.structure import structure
from queueconnector_memory import store

__all__ = ("benchmark", "in_memory")

KEY = "bench"


def benchmark(options: Options) -> list[Comparison]:
    """The cases of the command line."""
    return [in_memory(options.records, 1024, options.rounds)]


def in_memory(records: int, size_bytes: int, rounds: int) -> Comparison:
    """`records` texts of `size_bytes` bytes, from a list to a list."""
    values = [f"{index:0{size_bytes}}" for index in range(records)]
    return compare(
        f"in memory, {records:,} records of {size_bytes} bytes",
        (
            ("async generator, await write per value", lambda: _timed(_loop, values)),
            ("exchange InMemorySource -> InMemorySink", lambda: _timed(_exchange, values)),
        ),
        rounds,
        {"exchange InMemorySource -> InMemorySink": 0.8},
    )


def _timed(
    case: Callable[[list[str]], Coroutine[None, None, tuple[float, float]]], values: list[str]
) -> Measurement:
    wall_s, cpu_s = asyncio.run(case(values))
    return Measurement(len(values), wall_s, cpu_s)


def _since(start: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - start[0], time.process_time() - start[1]


async def _loop(values: list[str]) -> tuple[float, float]:
    kept: list[str] = []

    async def source() -> AsyncIterator[str]:
        for value in values:
            yield value

    async def write(value: str) -> None:
        kept.append(value)

    start = time.perf_counter(), time.process_time()
    async for value in source():
        await write(value)
    spent = _since(start)
    check_equal(kept, values)
    return spent


async def _exchange(values: list[str]) -> tuple[float, float]:
    registry, services = discover().registry, Services()
    exchange = {
        "dtype": "str",
        "source": {"type": "InMemorySource", "data": values},
        "sink": {"type": "InMemorySink", "key": KEY},
    }
    # As text it would be longer than a configuration may be.
    document = structure({"exchanges": [exchange]}, registry)
    plan = make_plan(document, registry, services, Surroundings())
    group = Group("bench", [plan.groups["default"][0].build(registry, services)])
    start = time.perf_counter(), time.process_time()
    group.start()
    await group.settled()
    spent = _since(start)
    check_equal([record.value for record in store.records(KEY)], values)
    store.reset(KEY)
    return spent
