"""Values pass through a topic unchanged, and other people's clients read and write the same."""

from __future__ import annotations

import asyncio
import json
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devservices.embedded import EmbeddedBroker
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.exchange import Exchange
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_kafka.descriptors import (
    KafkaConsumerSourceDescriptor,
    KafkaProducerSinkDescriptor,
)
from queueconnector_kafka.sink import KafkaProducerSink
from queueconnector_kafka.source import KafkaConsumerSource
from tests.kafka.clients import chosen

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness, Reader

POINTING = [["antenna_name", "U6"], ["xel_offset", "float64"], ["el_offset", "float64"]]
ROWS = np.array(
    [("SKA001", 1.1, -0.5), ("MKT063", -2.2, 0.0)],
    [("antenna_name", "U6"), ("xel_offset", "f8"), ("el_offset", "f8")],
)

CASES: list[tuple[object, list[int], str | None, list[Any]]] = [
    ("float64", [], None, [1.5, -0.0, 1e300]),
    ("int16", [], "json", [-32768, 0, 32767]),
    ("bool", [], "python", [True, False]),
    ("str", [], "utf-8", ["", "α Centauri", "two\nlines"]),
    ("str", [], "ascii", ["plain"]),
    ("bytes", [], None, [("", b""), ("", b"\x00\xff")]),
    ("bytes", [], "jpeg2000", [("jpeg2000", b"\x00\xff")]),
    ("object", [], "json", [{"state": "scanning", "time": 1.5, "streams": [1, None]}]),
    ("object", [], "msgpack_numpy", [{"nested": {"list": [1, "two"]}}, [1, 2]]),
    ("float64", [3], "msgpack_numpy", [np.array([1.0, np.nan, -np.inf])]),
    ("float32", [2, 2], "npy", [np.arange(4, dtype="f4").reshape(2, 2)]),
    ("int64", [2, -1], "carray", [np.arange(6).reshape(2, 3), np.arange(2).reshape(2, 1)]),
    ("complex128", [2], "npy", [np.array([1j, 2 + 0j])]),
    (POINTING, [-1], "msgpack_numpy", [ROWS, ROWS[:1]]),
]


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(("dtype", "shape", "encoding", "values"), CASES)
async def test_values_pass_unchanged(
    kafka: Harness,
    reading: type[Reader],
    dtype: object,
    shape: list[int],
    encoding: str | None,
    values: list[Any],
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, dtype, shape, encoding=encoding)
    sink = kafka.sink(topic, dtype, shape, encoding=encoding)
    await source.start()
    await sink.start()
    reader = reading(source)
    await sink.write(Batch(values))
    arrived = await reader.until(len(values))
    await source.stop()
    await sink.stop()
    await reader.end()
    assert not reader.failures
    for sent, found in zip(values, arrived, strict=True):
        np.testing.assert_equal(found, sent)
        assert type(found) is type(sent)


async def test_kcat_reads_what_we_write(kafka: Harness, kcat: ModuleType) -> None:
    topic = kafka.topic()
    sink = kafka.sink(topic, "float64", [2], encoding="json")
    await sink.start()
    await sink.write(Batch([np.array([1.5, 2.5]), np.array([-1.0, 0.0])]))
    await sink.stop()
    messages = kcat.consume(kafka.broker.bootstrap, topic, 2)
    assert [json.loads(message) for message in messages] == [[1.5, 2.5], [-1.0, 0.0]]


async def test_we_read_what_kcat_writes(
    kafka: Harness, reading: type[Reader], kcat: ModuleType
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "float64", encoding="python")
    await source.start()
    reader = reading(source)
    await asyncio.to_thread(kcat.produce, kafka.broker.bootstrap, topic, b"1.25", b"-3")
    assert await reader.until(2) == [1.25, -3.0]
    await source.stop()
    await reader.end()


@pytest.mark.usefixtures("clean")
async def test_a_hundred_thousand_records_pass_complete_and_in_order(kafka: Harness) -> None:
    count, origin, copy = 100_000, kafka.topic(), kafka.topic()
    values = [b"%08d" % number + b"." * 1016 for number in range(count)]
    source, sink = kafka.source(origin, "bytes"), kafka.sink(copy, "bytes")
    exchange = Exchange("copy", [source], [], [sink])
    await exchange.start()
    running = asyncio.create_task(exchange.run())
    await asyncio.to_thread(kafka.produce, origin, *values)
    async with asyncio.timeout(60):
        while exchange.statistics.delivered < count:
            await asyncio.sleep(0.05)
    await exchange.drain()
    await running
    await exchange.stop()
    assert exchange.statistics.received == exchange.statistics.delivered == count
    copied = await asyncio.to_thread(kafka.contents, copy)
    assert copied == values


async def test_a_stop_right_behind_a_drain_waits_for_it(kafka: Harness) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "float64", encoding="python")
    await source.start()
    await asyncio.to_thread(kafka.produce, topic, b"1")
    batches = source.read()
    assert list((await anext(batches)).values) == [1.0]
    # With nothing to read, a client's thread waits for the broker, and cannot be asked meanwhile.
    draining = asyncio.create_task(source.drain())
    await asyncio.sleep(0)  # the drain has begun, and has not ended
    assert [batch async for batch in batches] == []
    await source.stop()
    await draining


async def test_a_broker_that_wakes_nobody_serves_as_well(
    embedded_broker: EmbeddedBroker, registry: Registry, reading: type[Reader]
) -> None:
    servers, topic = (embedded_broker.bootstrap,), "embedded"
    embedded_broker.create_topic(topic)
    context = BuildContext(DataSpec.of("int64"), registry)
    source = KafkaConsumerSource(
        KafkaConsumerSourceDescriptor(servers, topic, client=chosen(), fetch_max_wait_ms=10),
        context,
    )
    sink = KafkaProducerSink(KafkaProducerSinkDescriptor(servers, topic, client=chosen()), context)
    await source.start()
    await sink.start()
    reader = reading(source)
    for number in range(10):
        await sink.write(Batch([number]))
    assert await reader.until(10) == list(range(10))
    await source.stop()
    await sink.stop()
    await reader.end()
