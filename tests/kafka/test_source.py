"""How the source starts, what it reads, and how it stops."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError, RetryableError
from queueconnector_core.record import Batch, TimestampOrigin
from queueconnector_core.registry import Registry
from queueconnector_kafka import _client
from queueconnector_kafka._clients import MAX_FETCH_RECORDS
from queueconnector_kafka._continuity import Interrupted
from queueconnector_kafka._positions import Progress
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor
from queueconnector_kafka.source import KafkaConsumerSource
from tests.kafka.clients import chosen

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness, Reader


@pytest.mark.usefixtures("clean")
async def test_all_that_is_written_after_start_is_read_and_nothing_before(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic(partitions=3)
    for partition in range(3):
        kafka.produce(topic, b"'before'", partition=partition)
    source = kafka.source(topic)
    await source.start()
    # Nobody reads yet: the positions alone must do.
    for partition in range(3):
        kafka.produce(topic, b"'after'", partition=partition)
    reader = reading(source)
    assert await reader.until(3) == ["after"] * 3
    await source.stop()
    assert await reader.end() == ["after"] * 3


@pytest.mark.parametrize("group_id", [None, "lagging"])
async def test_the_lag_is_what_is_in_the_partitions_and_was_not_read(
    kafka: Harness, group_id: str | None
) -> None:
    topic = kafka.topic(partitions=2)
    for partition in range(2):
        kafka.produce(topic, *[b"'waits'"] * 1500, partition=partition)
    group = group_id and f"{topic}-{group_id}"
    source = kafka.source(topic, start="earliest", group_id=group)
    assert source.lag() is None
    await source.start()
    read, lags = 0, list[int | None]()
    async for batch in source.read():
        read += len(batch)
        lags.append(source.lag())
        if read == 3000:
            break
    # A partition that no broker has told of yet does not count.
    assert lags[-1] == 0
    assert lags[-2] is not None
    assert 0 < lags[-2] <= 3000 - 1
    await source.stop()
    assert source.lag() is None


async def test_each_start_reads_from_then_on(kafka: Harness, reading: type[Reader]) -> None:
    topic = kafka.topic()
    source = kafka.source(topic)
    for word in (b"'one'", b"'two'"):
        kafka.produce(topic, b"'while stopped'")
        await source.start()
        reader = reading(source)
        kafka.produce(topic, word)
        await reader.until(1)
        await source.stop()
        assert await reader.end() == [word.decode().strip("'")]


async def test_a_topic_is_made_where_the_broker_does_so(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic() + "-automatic"
    source = kafka.source(topic)
    await source.start()
    kafka.produce(topic, b"'first'")
    reader = reading(source)
    assert await reader.until(1) == ["first"]
    await source.stop()
    await reader.end()


@pytest.mark.usefixtures("clean")
async def test_partitions_keep_their_order(kafka: Harness, reading: type[Reader]) -> None:
    topic, count = kafka.topic(partitions=4), 2_500
    source = kafka.source(topic, "int64")
    await source.start()
    for partition in range(4):
        kafka.produce(topic, *(b"%d" % n for n in range(count)), partition=partition)
    reader = reading(source)
    await reader.until(4 * count)
    await source.stop()
    await reader.end()
    found = defaultdict(list)
    for batch in reader.batches:
        assert len(batch) <= MAX_FETCH_RECORDS
        for record in batch.records():
            position = record.metadata.position or ""
            found[position.partition("@")[0]].append(record.value)
    assert found == {f"{topic}[{partition}]": list(range(count)) for partition in range(4)}


@pytest.mark.usefixtures("clean")
async def test_a_partition_made_while_reading_is_read_from_its_beginning(
    kafka: Harness, reading: type[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "METADATA_MAX_AGE_MS", 200)
    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    await source.start()
    reader = reading(source)
    kafka.produce(topic, b"1")
    await reader.until(1)
    await asyncio.to_thread(kafka.grow, topic, 2)
    kafka.produce(topic, b"2", b"3", partition=1)
    kafka.produce(topic, b"4")
    assert sorted(await reader.until(4)) == [1, 2, 3, 4]  # type: ignore[type-var]
    await source.stop()
    assert len(await reader.end()) == 4


async def test_metadata_tells_time_key_headers_and_position(
    kafka: Harness, reading: type[Reader]
) -> None:
    stamped, appended = (
        kafka.topic(),
        kafka.topic(config={"message.timestamp.type": "LogAppendTime"}),
    )
    found = []
    for topic in (stamped, appended):
        source = kafka.source(topic, "int64")
        await source.start()
        reader = reading(source)
        kafka.produce(
            topic, b"1", b"2", key=b"k", timestamp_ms=1_700_000_000_123, headers=[("h", b"\x00")]
        )
        await reader.until(2)
        await source.stop()
        await reader.end()
        found.append([record.metadata for batch in reader.batches for record in batch.records()])
    (first, second), (log, _) = found
    assert first.timestamp_ns == 1_700_000_000_123_000_000
    assert first.timestamp_origin is TimestampOrigin.SOURCE
    assert (first.key, first.headers) == (b"k", (("h", b"\x00"),))
    assert (first.position, second.position) == (f"{stamped}[0]@0", f"{stamped}[0]@1")
    assert log.timestamp_origin is TimestampOrigin.TRANSPORT
    assert abs((log.timestamp_ns or 0) / 1e9 - time.time()) < 60


@pytest.mark.usefixtures("clean")
async def test_messages_that_are_no_values_are_told_with_their_place_and_skipped(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    await source.start()
    kafka.produce(topic, b"1", b"poison", b"1.5", b"2", None, b"3", key=b"k")
    reader = reading(source)
    assert await reader.until(6) == [1, 2, 3]
    await source.stop()
    await reader.end()
    assert [failure.partition(": ")[0] for failure in reader.failures] == [
        f"{topic}[0]@{offset}" for offset in (1, 2, 4)
    ]
    assert "tombstone" in reader.failures[2]
    kept = [record.metadata.position for batch in reader.batches for record in batch.records()]
    assert kept == [f"{topic}[0]@{offset}" for offset in (0, 3, 5)]


@pytest.mark.usefixtures("clean")
async def test_a_batch_can_be_split_and_thinned_with_its_metadata(kafka: Harness) -> None:
    topic = kafka.topic()
    source, sink = kafka.source(topic, "int64"), kafka.sink(topic, "int64")
    await source.start()
    await sink.start()
    await sink.write(Batch([0, 1, 2, 3]))  # one record batch, which a broker never divides
    async with asyncio.timeout(20):
        batch = await anext(source.read())
    first, rest = batch.split(1)
    rest = rest.without({0: RecordError("not wanted")})
    assert [(r.value, r.metadata.position) for r in first.records()] == [(0, f"{topic}[0]@0")]
    assert [r.metadata.position for r in rest.records()] == [f"{topic}[0]@2", f"{topic}[0]@3"]
    await source.stop()
    await sink.stop()


async def test_a_message_larger_than_a_fetch_is_read(kafka: Harness, reading: type[Reader]) -> None:
    topic = kafka.topic(config={"max.message.bytes": "6000000"})
    source = kafka.source(topic, "bytes")
    await source.start()
    kafka.produce(topic, b"x" * 5_000_000, b"small")
    reader = reading(source)
    big, small = await reader.until(2)
    await source.stop()
    await reader.end()
    assert (big, small) == (("", b"x" * 5_000_000), ("", b"small"))


@pytest.mark.usefixtures("clean")
async def test_records_removed_before_they_were_read_are_told_and_reading_goes_on(
    kafka: Harness, reading: type[Reader], caplog: pytest.LogCaptureFixture
) -> None:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient

    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    await source.start()
    await source.stop()
    source._interrupted = Interrupted({0: Progress(0)})  # as after an interruption
    kafka.produce(topic, b"1", b"2", b"3")
    admin = AdminClient({"bootstrap.servers": kafka.broker.bootstrap})
    place = TopicPartition(topic, 0, 2)
    admin.delete_records([place])[place].result()
    await source.start()
    reader = reading(source)
    assert await reader.until(1) == [3]
    await source.stop()
    await reader.end()
    assert f"{topic}[0]@0 is not there any more" in caplog.text


@pytest.mark.usefixtures("clean")
async def test_an_idle_source_stops_at_once(kafka: Harness, reading: type[Reader]) -> None:
    source = kafka.source(kafka.topic())
    await source.start()
    reader = reading(source)
    await asyncio.sleep(0.2)  # let it wait for records that never come
    began = time.monotonic()
    await source.stop()
    assert await reader.end() == []
    assert time.monotonic() - began < 0.5
    await source.stop()


@pytest.mark.usefixtures("clean")
async def test_what_was_fetched_before_stop_is_read_after_it(kafka: Harness) -> None:
    topic, count = kafka.topic(), MAX_FETCH_RECORDS + 500
    source, sink = kafka.source(topic, "int64"), kafka.sink(topic, "int64")
    await source.start()
    await sink.start()
    # One record batch, which a broker never divides: a single fetch brings all of it.
    await sink.write(Batch(list(range(count))))
    batches = source.read()
    async with asyncio.timeout(20):
        values = list((await anext(batches)).values)
    assert len(values) == MAX_FETCH_RECORDS
    await source.stop()
    async for batch in batches:
        values += batch.values
    assert values == list(range(count))
    await sink.stop()


@pytest.mark.usefixtures("clean")
async def test_stop_before_start_does_nothing(kafka: Harness) -> None:
    source = kafka.source(kafka.topic())
    await source.stop()
    assert [batch async for batch in source.read()] == []


@pytest.mark.usefixtures("clean")
async def test_start_can_be_cancelled_at_any_time(kafka: Harness) -> None:
    topic = kafka.topic()
    finished = 0
    for step in range(40):
        source = kafka.source(topic)
        starting = asyncio.create_task(source.start())
        for _ in range(2 * step):
            await asyncio.sleep(0)
        finished += starting.done()
        starting.cancel()
        await asyncio.wait({starting})
        await source.stop()
    assert finished < 40


def unreachable(registry: Registry, *servers: str) -> KafkaConsumerSource:
    context = BuildContext(DataSpec.of("str"), registry)
    descriptor = KafkaConsumerSourceDescriptor(servers, "topic", client=chosen())
    return KafkaConsumerSource(descriptor, context)


@pytest.mark.usefixtures("clean")
async def test_servers_that_do_not_answer_are_named_with_their_reason(registry: Registry) -> None:
    with pytest.raises(RetryableError) as refused:
        await unreachable(registry, "127.0.0.1:9").start()
    assert str(refused.value) == "no Kafka broker answers at 127.0.0.1:9: Connection refused"
    with pytest.raises(
        RetryableError, match=r"at 127\.0\.0\.1:9: .*; no-such-host\.invalid:9092: "
    ):
        await unreachable(registry, "127.0.0.1:9", "no-such-host.invalid").start()


async def test_one_server_that_answers_is_enough(kafka: Harness, reading: type[Reader]) -> None:
    topic = kafka.topic()
    servers = ("127.0.0.1:9", *kafka.servers)
    descriptor = KafkaConsumerSourceDescriptor(servers, topic, client=kafka.client)
    source = KafkaConsumerSource(descriptor, BuildContext(DataSpec.of("str"), kafka.registry))
    await source.start()
    kafka.produce(topic, b"'here'")
    reader = reading(source)
    assert await reader.until(1) == ["here"]
    await source.stop()
    await reader.end()


async def test_something_that_is_no_kafka_is_an_unreachable_broker(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "REQUEST_TIMEOUT_MS", 300)

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RetryableError, match=rf"cannot read topic .* at 127\.0\.0\.1:{port}"):
            await unreachable(registry, f"127.0.0.1:{port}").start()
