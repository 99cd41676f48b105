"""A device that is faster than its exchange: bounded memory, counted losses, one gap each time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import pytest

from queueconnector_core.errors import FatalError
from queueconnector_core.gaps import GapReason
from queueconnector_core.protocols import Source
from queueconnector_core.record import Batch
from tests.tango.ticking import Ticking

MakeSource = Callable[[dict[str, Any], object, list[int]], Source]
PUSHED = 2_000
SIZE = 100


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ticking]:
    ticks = tmp_path_factory.mktemp("ticks") / "ticks"
    with Ticking(ticks, tick_s=0.0, TANGO_DS_EVENT_BUFFER_HWM="100000") as server:
        yield server


@pytest.fixture
async def make(make_source: MakeSource) -> AsyncIterator[MakeSource]:
    """Builds sources that are stopped in any case: one that blocks would block all others."""
    made: list[Source] = []

    def build(*arguments: Any) -> Source:
        made.append(make_source(*arguments))
        return made[-1]

    yield build
    for source in made:
        await source.stop()


def options(device: Ticking, overflow: str) -> dict[str, Any]:
    return device.options(attribute_name="array", overflow=overflow, buffer_size=SIZE)


async def overflowed(source: Any, device: Ticking) -> tuple[list[Batch], int]:
    """Read while the sink takes long over the first batch, in which all is pushed and arrives."""
    batches: list[Batch] = []
    most_waiting = 0
    await source.start()
    stream = source.read()
    batches.append(await anext(stream))
    pushing = asyncio.create_task(asyncio.to_thread(device.proxy().Burst, PUSHED))
    while not pushing.done() or source._watch.tally.came < PUSHED:
        await asyncio.sleep(0.01)
        most_waiting = max(most_waiting, len(source._buffer))
    last = device.proxy().array[0]
    async with asyncio.timeout(20):
        while batches[-1].values[-1][0] != last:  # type: ignore[index]
            batches.append(await anext(stream))
            if source._descriptor.overflow == "drop_newest" and not len(source._buffer):
                break
    await source.stop()
    batches += [batch async for batch in stream]
    return batches, most_waiting


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "latest_only"])
async def test_what_is_dropped_is_counted_twice_alike_as_failures_and_as_one_gap(
    device: Ticking, make: MakeSource, overflow: str
) -> None:
    source: Any = make(options(device, overflow), "float64", [1000])
    batches, most_waiting = await overflowed(source, device)
    values = [value[0] for batch in batches for value in batch.values]  # type: ignore[index]
    dropped = sum(failure.records for batch in batches for failure in batch.failures)
    assert most_waiting <= (1 if overflow == "latest_only" else SIZE)
    assert max(len(batch) for batch in batches) <= most_waiting
    assert len(values) - 1 + dropped == PUSHED
    assert values == sorted(set(values))
    (gap,) = source._gaps
    assert (gap.reason, gap.records, gap.is_exact) == (GapReason.BUFFER_OVERFLOW, dropped, True)
    assert gap.from_ns < gap.to_ns
    del batches
    gc.collect()


async def test_block_loses_nothing_while_tango_itself_has_room(
    device: Ticking, make: MakeSource
) -> None:
    source: Any = make(options(device, "block"), "float64", [1000])
    await source.start()
    stream = source.read()
    values = [(await anext(stream)).values[0]]
    await asyncio.to_thread(device.proxy().Burst, 500)
    async with asyncio.timeout(20):
        while len(values) < 501:
            values += (await anext(stream)).values
    await source.stop()
    assert [value[0] - values[0][0] for value in values] == list(range(501))
    assert source._gaps.entries() == []


async def test_a_source_that_blocks_can_be_stopped_at_any_time(
    device: Ticking, make: MakeSource
) -> None:
    source: Any = make(options(device, "block"), "float64", [1000])
    await source.start()
    await asyncio.to_thread(device.proxy().Burst, 500)
    await asyncio.sleep(0.5)
    await asyncio.wait_for(source.stop(), 3)
    assert len([batch async for batch in source.read()]) == 1


async def test_fail_gives_what_it_has_and_then_the_reason(
    device: Ticking, make: MakeSource
) -> None:
    source: Any = make(options(device, "fail"), "float64", [1000])
    await source.start()
    await asyncio.to_thread(device.proxy().Burst, 500)
    await asyncio.sleep(0.5)
    stream = source.read()
    assert len(await anext(stream)) == SIZE
    with pytest.raises(FatalError, match=r"array: .*100 events was full.*overflow is fail"):
        await anext(stream)
    await source.stop()


async def test_the_last_record_of_an_overflow_is_not_before_its_gap(
    tmp_path: Path, make: MakeSource
) -> None:
    with Ticking(tmp_path / "ticks", tick_s=0.002) as server:
        source: Any = make(server.options(buffer_size=50), "int64", [])
        await source.start()
        await asyncio.sleep(1.0)
        came = [value async for value in _some(source, 100)]
        await source.stop()
        (gap,) = source._gaps
    missing = [tick for tick in server.pushed if came[0] < tick < came[-1] and tick not in came]
    assert len(missing) + len([t for t in server.pushed if t < came[0]]) >= gap.records
    assert all(gap.from_ns <= tick * 1_000 <= gap.to_ns for tick in missing)


async def _some(source: Source, count: int) -> Any:
    async with aclosing(cast(AsyncGenerator[Batch], source.read())) as batches:
        async for batch in batches:
            for value in batch.values:
                yield value
            count -= len(batch)
            if count <= 0:
                return
