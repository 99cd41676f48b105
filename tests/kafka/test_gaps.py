"""What was deleted before it could be read stands in the gap ledger, once, and nothing else."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from queueconnector_core.errors import RetryableError
from queueconnector_core.gaps import Gap, GapReason
from queueconnector_kafka import _client, _consumer

if TYPE_CHECKING:
    from queueconnector_kafka.source import KafkaConsumerSource
    from tests.kafka.conftest import Harness, Reader


def gaps(source: KafkaConsumerSource) -> list[Gap]:
    return source._gaps.entries()


async def interrupted(source: KafkaConsumerSource, reader: Reader) -> None:
    """Let the source lose its brokers, as far as it can tell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_consumer, "SILENCE_S", -1.0)
        with pytest.raises(RetryableError, match="no answer"):
            await reader.end()
    await source.stop()


pytestmark = pytest.mark.usefixtures("coordinator")


@pytest.mark.usefixtures("clean")
async def test_an_interruption_without_a_loss_is_no_gap(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    await source.start()
    kafka.produce(topic, b"1")
    reader = reading(source)
    await reader.until(1)
    await interrupted(source, reader)
    kafka.produce(topic, b"2", b"3")
    await source.start()
    reader = reading(source)
    assert await reader.until(2) == [2, 3]
    await source.stop()
    await reader.end()
    assert gaps(source) == []


@pytest.mark.usefixtures("clean")
async def test_records_deleted_while_interrupted_are_counted_for_each_partition(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic(partitions=2)
    source = kafka.source(topic, "int64")
    await source.start()
    kafka.produce(topic, b"0")
    kafka.produce(topic, b"0", partition=1)
    reader = reading(source)
    await reader.until(2)
    await interrupted(source, reader)
    kafka.produce(topic, b"1", b"2", b"3", b"4")
    kafka.produce(topic, b"5", partition=1)
    kafka.remove_records(topic, 4)
    before_ns = time.time_ns()
    await source.start()
    reader = reading(source)
    assert sorted(await reader.until(2)) == [4, 5]  # type: ignore[type-var]
    await source.stop()
    await reader.end()
    (gap,) = gaps(source)
    assert (gap.source, gap.reason) == (f"{topic}[0]", GapReason.RETENTION)
    assert (gap.records, gap.is_exact) == (3, True)
    assert gap.to_ns is not None
    assert gap.from_ns < before_ns < gap.to_ns


@pytest.mark.usefixtures("clean")
async def test_records_that_a_group_had_not_read_when_they_were_deleted(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic, group = kafka.topic(), f"g-{uuid.uuid4().hex}"
    first = kafka.source(topic, "int64", group_id=group)
    before_ns = time.time_ns()
    await first.start()
    await first.stop()
    committed_ns = time.time_ns()
    kafka.produce(topic, b"1", b"2", b"3")
    kafka.remove_records(topic, 2)
    second = kafka.source(topic, "int64", group_id=group)
    await second.start()
    reader = reading(second)
    assert await reader.until(1) == [3]
    await second.stop()
    await reader.end()
    (gap,) = gaps(second)
    assert (gap.reason, gap.records, gap.is_exact) == (GapReason.RETENTION, 2, True)
    # The group remembers until when nothing was missing.
    assert before_ns < gap.from_ns < committed_ns


@pytest.mark.parametrize("group", [None, "g"])
@pytest.mark.parametrize("records", [1, 5])
async def test_a_topic_made_anew_is_told_once_and_read_as_a_whole(
    kafka: Harness,
    reading: type[Reader],
    monkeypatch: pytest.MonkeyPatch,
    group: str | None,
    records: int,
) -> None:
    monkeypatch.setattr(_client, "METADATA_MAX_AGE_MS", 300)
    topic = kafka.topic()
    options: dict[str, Any] = {"group_id": group and f"{group}-{topic}", "session_timeout_s": 1.0}
    source = kafka.source(topic, "int64", **options)
    await source.start()
    kafka.produce(topic, b"1", b"2")
    reader = reading(source)
    await reader.until(2)
    await asyncio.to_thread(kafka.make_anew, topic)
    kafka.produce(topic, *(b"%d" % number for number in range(10, 10 + records)))
    expected = list(range(10, 10 + records))
    async with asyncio.timeout(30):
        # Also with as many records as were read of the old one.
        while not set(expected) <= set(reader.values):
            await asyncio.sleep(0.05)
    await source.stop()
    await reader.end()
    (gap,) = gaps(source)
    assert (gap.source, gap.reason, gap.records) == (topic, GapReason.TOPIC_RECREATED, None)


@pytest.mark.usefixtures("clean")
async def test_a_late_answer_about_a_position_of_before_is_no_gap(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    await source.start()
    kafka.produce(topic, b"1", b"2")
    reader = reading(source)
    await reader.until(2)
    consumer = source._consumer
    assert consumer is not None
    # As aiokafka tells it, although the reader has gone on elsewhere since it asked.
    await consumer._return_to_range({0: 107})
    kafka.produce(topic, b"3")
    assert await reader.until(3) == [1, 2, 3]
    await source.stop()
    assert await reader.end() == [1, 2, 3]
    assert gaps(source) == []


async def test_a_topic_made_anew_while_interrupted(kafka: Harness, reading: type[Reader]) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    await source.start()
    kafka.produce(topic, b"1", b"2")
    reader = reading(source)
    await reader.until(2)
    await interrupted(source, reader)
    await asyncio.to_thread(kafka.make_anew, topic)
    kafka.produce(topic, b"3", b"4", b"5")
    await source.start()
    reader = reading(source)
    assert await reader.until(3) == [3, 4, 5]
    await source.stop()
    await reader.end()
    assert [gap.reason for gap in gaps(source)] == [GapReason.TOPIC_RECREATED]


@pytest.mark.usefixtures("clean")
async def test_a_source_knows_for_how_long_its_brokers_are_silent(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    assert source.silent_s() == 0
    await source.start()
    reader = reading(source)
    await asyncio.sleep(0.1)
    assert source._consumer is not None
    source._consumer._heard._at -= 5
    assert source.silent_s() >= 5
    async with asyncio.timeout(10):
        while source.silent_s() >= 5:  # until the broker says that it has nothing new
            await asyncio.sleep(0.05)
    await source.stop()
    await reader.end()
    assert source.silent_s() == 0
