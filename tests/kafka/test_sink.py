"""How the sink writes, what it refuses, and how it stops."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordErrors, RetryableError
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor
from queueconnector_kafka.sink import KafkaProducerSink
from tests.kafka.clients import chosen

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness


@pytest.mark.usefixtures("clean")
async def test_when_write_returns_the_broker_has_everything_in_order(kafka: Harness) -> None:
    topic = kafka.topic()
    sink = kafka.sink(topic, "bytes")
    await sink.start()
    # More than fits into one record batch, and some larger than a record batch alone.
    values = [bytes([number % 256]) * (number * 97 % 5_000) for number in range(1_000)]
    values[500:500] = [b"A" * 300_000, b"B" * 500_000]
    await sink.write(Batch([("", value) for value in values]))
    assert await asyncio.to_thread(kafka.contents, topic) == values
    await sink.write(Batch([]))
    await sink.write(Batch([("", b"last")]))
    assert await asyncio.to_thread(kafka.contents, topic) == [*values, b"last"]
    await sink.stop()


@pytest.mark.usefixtures("clean")
async def test_messages_have_the_time_of_writing(kafka: Harness) -> None:
    topic = kafka.topic()
    source, sink = kafka.source(topic), kafka.sink(topic)
    await source.start()
    await sink.start()
    before_ns = time.time_ns()
    await sink.write(Batch(["now"]))
    batch = await anext(source.read())
    (record,) = batch.records()
    assert record.metadata.timestamp_ns is not None
    assert before_ns - 1_000_000 <= record.metadata.timestamp_ns <= time.time_ns()
    await source.stop()
    await sink.stop()


@pytest.mark.usefixtures("clean")
async def test_record_batches_rotate_over_the_partitions(kafka: Harness) -> None:
    topic = kafka.topic(partitions=3)
    sink = kafka.sink(topic, "int64")
    await sink.start()
    for number in range(6):
        await sink.write(Batch([number]))
    await sink.stop()
    contents = [await asyncio.to_thread(kafka.contents, topic, n) for n in range(3)]
    assert contents == [[b"0", b"3"], [b"1", b"4"], [b"2", b"5"]]


@pytest.mark.usefixtures("clean")
async def test_a_large_batch_uses_all_partitions_and_each_keeps_the_order(kafka: Harness) -> None:
    topic = kafka.topic(partitions=3)
    sink = kafka.sink(topic, "bytes")
    await sink.start()
    values = [b"%06d" % number + b"." * 10_000 for number in range(500)]
    await sink.write(Batch([("", value) for value in values]))
    await sink.stop()
    contents = [await asyncio.to_thread(kafka.contents, topic, n) for n in range(3)]
    assert all(contents)
    assert [sorted(part) for part in contents] == contents
    assert sorted(value for part in contents for value in part) == values


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("limit", [1, 100, 1048576])
async def test_only_values_above_message_max_bytes_are_refused(kafka: Harness, limit: int) -> None:
    topic = kafka.topic(config={"max.message.bytes": "2000000"})
    sink = kafka.sink(topic, "bytes", message_max_bytes=limit)
    await sink.start()
    below, at, above = (b"x" * size for size in (limit - 1, limit, limit + 1))
    with pytest.raises(RecordErrors) as refused:
        await sink.write(Batch([("", value) for value in (above, below, at, above)]))
    assert sorted(refused.value.failures) == [0, 3]
    assert f"message_max_bytes allows {limit}" in str(refused.value)
    await sink.stop()
    assert await asyncio.to_thread(kafka.contents, topic) == [below, at]


@pytest.mark.usefixtures("clean")
async def test_a_topic_that_allows_less_refuses_single_values_not_batches(kafka: Harness) -> None:
    topic = kafka.topic(config={"max.message.bytes": "10000"})
    sink = kafka.sink(topic, "bytes")
    await sink.start()
    values = [b"%03d" % number + b"." * 900 for number in range(60)]
    values[20] = b"x" * 20_000
    with pytest.raises(RecordErrors) as refused:
        await sink.write(Batch([("", value) for value in values]))
    assert list(refused.value.failures) == [20]
    assert "larger than the topic allows" in str(refused.value)
    await sink.stop()
    assert await asyncio.to_thread(kafka.contents, topic) == values[:20] + values[21:]


@pytest.mark.usefixtures("clean")
async def test_values_that_the_encoding_forbids_are_refused_and_the_others_written(
    kafka: Harness,
) -> None:
    topic = kafka.topic()
    sink = kafka.sink(topic, "str", encoding="ascii")
    await sink.start()
    with pytest.raises(RecordErrors) as refused:
        await sink.write(Batch(["α", "one", "β", "γ", "two"]))
    assert list(refused.value.failures) == [0, 2, 3]
    with pytest.raises(RecordErrors):
        await sink.write(Batch(["δ"]))
    await sink.stop()
    assert await asyncio.to_thread(kafka.contents, topic) == [b"one", b"two"]


@pytest.mark.usefixtures("clean")
async def test_bytes_with_another_label_are_refused_where_a_label_is_set(kafka: Harness) -> None:
    topic = kafka.topic()
    batch = Batch([("jpeg", b"1"), ("png", b"2")])
    labelled, unlabelled = kafka.sink(topic, "bytes", encoding="png"), kafka.sink(topic, "bytes")
    await labelled.start()
    with pytest.raises(RecordErrors, match=r"record 0: .*'jpeg'"):
        await labelled.write(batch)
    await labelled.stop()
    await unlabelled.start()
    await unlabelled.write(batch)
    await unlabelled.stop()
    assert await asyncio.to_thread(kafka.contents, topic) == [b"2", b"1", b"2"]


@pytest.mark.usefixtures("clean")
async def test_stop_while_writing_lets_the_write_end(kafka: Harness) -> None:
    topic = kafka.topic()
    sink = kafka.sink(topic, "bytes")
    await sink.start()
    values = [b"%03d" % number + b"x" * 100_000 for number in range(100)]
    writing = asyncio.create_task(sink.write(Batch([("", value) for value in values])))
    async with asyncio.timeout(20):
        while not sink._writing.locked():
            await asyncio.sleep(0)
        assert not writing.done()
        await sink.stop()
    await writing
    assert await asyncio.to_thread(kafka.contents, topic) == values


@pytest.mark.usefixtures("clean")
async def test_a_cancelled_write_leaves_nothing_behind(kafka: Harness) -> None:
    sink = kafka.sink(kafka.topic(), "float64", [100_000], encoding="carray")
    await sink.start()
    writing = asyncio.create_task(sink.write(Batch([np.zeros(100_000)] * 10)))
    async with asyncio.timeout(20):
        while not sink._writing.locked():
            await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait({writing})
    assert writing.cancelled()
    await sink.stop()


@pytest.mark.usefixtures("clean")
async def test_writing_after_stop_only_warns(
    kafka: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    topic = kafka.topic()
    sink = kafka.sink(topic)
    await sink.stop()
    await sink.start()
    await sink.stop()
    await sink.stop()
    await sink.write(Batch(["too late"]))
    assert f"topic '{topic}'" in caplog.text
    assert "1 records not written" in caplog.text
    assert await asyncio.to_thread(kafka.contents, topic) == []


@pytest.mark.usefixtures("clean")
async def test_start_can_be_cancelled_at_any_time(kafka: Harness) -> None:
    topic = kafka.topic()
    finished = 0
    for step in range(40):
        sink = kafka.sink(topic)
        starting = asyncio.create_task(sink.start())
        for _ in range(2 * step):
            await asyncio.sleep(0)
        finished += starting.done()
        starting.cancel()
        await asyncio.wait({starting})
        await sink.stop()
    assert finished < 40


@pytest.mark.usefixtures("clean")
async def test_servers_that_do_not_answer_are_named(registry: Registry) -> None:
    descriptor = KafkaProducerSinkDescriptor(("127.0.0.1:9",), "topic", client=chosen())
    sink = KafkaProducerSink(descriptor, BuildContext(DataSpec.of("str"), registry))
    with pytest.raises(RetryableError, match=r"no Kafka broker answers at 127\.0\.0\.1:9: "):
        await sink.start()
