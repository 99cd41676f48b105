"""The in-memory ends: values that stand in a configuration, and a store to look into."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from queueconnector_core.component import BuildContext, Services
from queueconnector_core.connector import Connector
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, RecordError, RecordErrors
from queueconnector_core.plan import read_plan
from queueconnector_core.record import Batch, Metadata, Record
from queueconnector_core.states import State
from queueconnector_memory import store
from queueconnector_memory.descriptors import InMemorySinkDescriptor, InMemorySourceDescriptor
from queueconnector_memory.sink import InMemorySink
from queueconnector_memory.source import BATCH_SIZE, InMemorySource

REGISTRY = discover().registry


@pytest.fixture(autouse=True)
def empty_store() -> Iterator[None]:
    store.reset()
    yield
    store.reset()


def source_of(data: list[Any], dtype: object = "int", shape: object = (), **options: Any) -> Any:
    descriptor = InMemorySourceDescriptor(data, **options)
    spec = DataSpec.of(dtype, shape)
    descriptor.check(spec, REGISTRY)
    return InMemorySource(descriptor, BuildContext(spec, REGISTRY))


def sink_of(key: str = "k", **options: Any) -> InMemorySink:
    context = BuildContext(DataSpec.of("int"), REGISTRY)
    return InMemorySink(InMemorySinkDescriptor(key, **options), context)


async def values_of(source: InMemorySource) -> list[Any]:
    await source.start()
    return [value async for batch in source.read() for value in batch.values]


async def run(document: dict[str, Any]) -> None:
    """Configure, start, and wait until the finite sources have ended."""
    connector = Connector(REGISTRY)
    await connector.configure(json.dumps(document))
    await connector.start()
    async with asyncio.timeout(20):
        await connector.settled()
    assert connector.state is State.OFF, connector.status_text()


# The source


async def test_values_come_in_order_in_batches() -> None:
    source = source_of(list(range(2 * BATCH_SIZE + 1)))
    await source.start()
    batches = [list(batch.values) async for batch in source.read()]
    assert [len(batch) for batch in batches] == [BATCH_SIZE, BATCH_SIZE, 1]
    assert list(itertools.chain(*batches)) == list(range(2 * BATCH_SIZE + 1))


async def test_each_start_begins_again_with_the_first_value() -> None:
    source = source_of([1, 2, 3])
    assert await values_of(source) == [1, 2, 3]
    await source.stop()
    assert await values_of(source) == [1, 2, 3]


async def test_a_delay_comes_before_each_value() -> None:
    source = source_of([1, 2, 3], delay=0.02)
    clock = asyncio.get_running_loop().time
    began, times = clock(), []
    await source.start()
    async for batch in source.read():
        assert len(batch) == 1
        times.append(clock())
    waits = [after - before for before, after in itertools.pairwise([began, *times])]
    assert len(waits) == 3
    assert min(waits) >= 0.019


async def test_stop_ends_a_delay_at_once() -> None:
    source = source_of([1, 2], delay=3600)
    await source.start()
    reading = asyncio.create_task(anext(source.read(), None))
    await asyncio.sleep(0)
    await source.stop()
    async with asyncio.timeout(1):
        assert await reading is None


async def test_stop_in_the_middle_gives_no_more_batches() -> None:
    source = source_of(list(range(3 * BATCH_SIZE)))
    await source.start()
    stream = source.read()
    await anext(stream)
    await source.stop()
    assert [batch async for batch in stream] == []


async def test_stop_is_safe_before_start_and_twice() -> None:
    source = source_of([1])
    await source.stop()
    await source.stop()
    assert await values_of(source) == [1]


@pytest.mark.parametrize(
    ("dtype", "data", "values"),
    [
        ("str", ["a", "ü"], ["a", "ü"]),
        ("bool", [True, False], [True, False]),
        ("float", [1, 2.5], [1.0, 2.5]),
        ("bytes", [["label", "AQI="]], [("label", b"\x01\x02")]),
        ("object", [{"a": [1, None]}, [1, "x"]], [{"a": [1, None]}, [1, "x"]]),
        ("datetime64[ns]", ["2026-01-01T00:00:00"], [np.datetime64("2026-01-01", "ns")]),
    ],
)
async def test_values_are_of_the_dtype_of_the_exchange(
    dtype: str, data: list[Any], values: list[Any]
) -> None:
    found = await values_of(source_of(data, dtype))
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


async def test_smaller_values_are_broadcast_to_the_shape() -> None:
    data = [[[0, 0], [0, 1]], [1.0, 2.0], 2.0, [[5], [6]]]
    arrays = await values_of(source_of(data, "float32", [2, 2]))
    assert [array.tolist() for array in arrays] == [
        [[0, 0], [0, 1]],
        [[1, 2], [1, 2]],
        [[2, 2], [2, 2]],
        [[5, 5], [6, 6]],
    ]
    assert {(array.dtype, array.shape) for array in arrays} == {(np.dtype("float32"), (2, 2))}


@pytest.mark.parametrize(
    ("data", "dtype", "shape", "wrong"),
    [
        ([1, "x", 2, 2.5], "int", [], ["data[1]", "data[3]"]),
        ([[1, 2, 3], [1, 2]], "int", [2], ["data[0]"]),
        ([[[1, 2], [3]]], "int", [2, 2], ["data[0]"]),
        ([300, 1], "uint8", [], ["data[0]"]),
        ([None], "float", [], ["data[0]"]),
        ([["label", "no base64!"]], "bytes", [], ["data[0]"]),
    ],
    ids=["numbers", "too long", "ragged", "range", "null", "octets"],
)
def test_values_that_do_not_fit_are_told_when_the_configuration_is_read(
    data: list[Any], dtype: str, shape: list[int], wrong: list[str]
) -> None:
    source = {"type": "InMemorySource", "data": data}
    exchange = {
        "dtype": dtype,
        "shape": shape,
        "source": source,
        "sink": {"type": "InMemorySink", "key": "k"},
    }
    with pytest.raises(ConfigError) as refusal:
        read_plan(json.dumps({"exchanges": [exchange]}), REGISTRY, Services())
    paths = [problem.path for problem in refusal.value.problems]
    assert paths == [f"exchanges[0].source.{path}" for path in wrong]


# The sink and its store


async def test_records_are_kept_in_order_with_their_metadata() -> None:
    known = Metadata(timestamp_ns=7, key=b"k")
    sink = sink_of()
    await sink.start()
    await sink.write(Batch([1], [known]))
    await sink.write(Batch([2, 3]))
    await sink.stop()
    assert store.records("k") == [Record(1, known), Record(2), Record(3)]
    assert store.count("k") == 3


async def test_sinks_of_one_key_share_it_and_others_do_not() -> None:
    await sink_of("a").write(Batch([1]))
    await sink_of("b").write(Batch([2]))
    await sink_of("a").write(Batch([3]))
    assert [record.value for record in store.records("a")] == [1, 3]
    store.reset("a")
    assert (store.count("a"), store.count("b")) == (0, 1)


async def test_records_beyond_the_bound_are_refused_and_the_others_kept() -> None:
    sink = sink_of(max_records=3)
    await sink.write(Batch([1, 2]))
    with pytest.raises(RecordErrors) as refusal:
        await sink.write(Batch([3, 4, 5]))
    assert sorted(refusal.value.failures) == [1, 2]
    assert all(isinstance(error, RecordError) for error in refusal.value.failures.values())
    assert "the store 'k' is full (3 records)" in str(refusal.value)
    assert [record.value for record in store.records("k")] == [1, 2, 3]


async def test_who_waits_for_records_gets_them_when_they_are_there() -> None:
    waiting = [asyncio.create_task(store.wait_for("k", number)) for number in (1, 2)]
    await asyncio.sleep(0)
    await sink_of().write(Batch([1]))
    assert [record.value for record in await waiting[0]] == [1]
    await sink_of().write(Batch([2]))
    assert [record.value for record in await waiting[1]] == [1, 2]


async def test_waiting_for_too_many_records_times_out() -> None:
    with pytest.raises(TimeoutError):
        await store.wait_for("k", 1, timeout_s=0.01)


def test_one_event_loop_after_another_may_wait_for_a_key() -> None:
    async def too_early() -> None:
        with pytest.raises(TimeoutError):
            await store.wait_for("k", 1, timeout_s=0.01)

    async def in_time() -> list[Record]:
        waiting = asyncio.create_task(store.wait_for("k", 1))
        await asyncio.sleep(0)
        await sink_of().write(Batch([1]))
        return await waiting

    asyncio.run(too_early())
    assert asyncio.run(in_time()) == [Record(1)]


# Both together


async def test_a_hundred_thousand_records_arrive_complete_and_in_order() -> None:
    exchange = {
        "dtype": "int",
        "source": {"type": "InMemorySource", "data": list(range(100_000))},
        "sink": {"type": "InMemorySink", "key": "k"},
    }
    await run({"exchanges": [exchange]})
    assert [record.value for record in store.records("k")] == list(range(100_000))


async def test_the_image_example_of_the_original_runs() -> None:
    """Its first exchange, whose source needs broadcasting, with a sink that can be looked into."""
    exchange = {
        "dtype": "float32",
        "shape": [2, 2],
        "source": {
            "type": "InMemorySource",
            "data": [[[0, 0], [0, 1]], [1.0, 2.0], 2.0, 2.1, 2.5],
            "delay": 0.01,
        },
        "sink": {"type": "InMemorySink", "key": "image"},
    }
    await run({"exchanges": [exchange]})
    images = [np.asarray(record.value) for record in store.records("image")]
    expected = [[[0, 0], [0, 1]], [[1, 2], [1, 2]], *([[n, n], [n, n]] for n in (2.0, 2.1, 2.5))]
    np.testing.assert_array_equal(images, np.array(expected, "float32"))


async def test_several_sources_and_sinks_in_groups() -> None:
    def source(*data: int) -> dict[str, Any]:
        return {"type": "InMemorySource", "data": data}

    def sink(key: str) -> dict[str, Any]:
        return {"type": "InMemorySink", "key": key}

    document = {
        "exchanges": {
            "a": [
                {
                    "dtype": "int",
                    "source": [source(1, 2), source(3)],
                    "sink": [sink("x"), sink("y")],
                }
            ],
            "b": [{"dtype": "int", "source": source(4), "sink": sink("z")}],
        }
    }
    await run(document)
    for key in ("x", "y"):
        found = [record.value for record in store.records(key)]
        assert sorted(found, key=str) == [1, 2, 3]
        assert [value for value in found if value != 3] == [1, 2]
    assert [record.value for record in store.records("z")] == [4]
