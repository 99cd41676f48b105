"""Where reading begins and ends, and what of transactions is read."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness, Reader

pytestmark = pytest.mark.usefixtures("coordinator")

NOON_MS = 1_700_000_000_000


@pytest.mark.parametrize("group", [None, "g"])
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", [1, 2, 3]),
        ("latest", []),
        ("2023-11-14T22:13:20Z", [1, 2, 3]),
        ("2023-11-14T22:13:20.000000001Z", [2, 3]),
        ("2023-11-14T22:13:20.002Z", [3]),
        ("2099-01-01T00:00:00Z", []),
    ],
)
@pytest.mark.usefixtures("clean")
async def test_reading_begins_where_start_says_and_ends_behind_what_is_there(
    kafka: Harness, reading: type[Reader], start: str, expected: list[int], group: str | None
) -> None:
    topic = kafka.topic(partitions=2)
    for number in (1, 2, 3):
        stamp = NOON_MS + number - 1
        kafka.produce(topic, b"%d" % number, partition=number % 2, timestamp_ms=stamp)
    options: dict[str, Any] = {"start": start, "until": "latest"}
    if group is not None:
        options["group_id"] = f"{group}-{uuid.uuid4().hex}"
    source = kafka.source(topic, "int64", **options)
    await source.start()
    kafka.produce(topic, b"4")
    reader = reading(source)
    found = await reader.end()
    # What came later in the same fetch may be there; all that was asked for is.
    assert sorted(set(found) - {4}) == expected  # type: ignore[type-var]
    await source.stop()


@pytest.mark.usefixtures("clean")
async def test_the_position_of_the_group_counts_more_than_start(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic, group = kafka.topic(), f"g-{uuid.uuid4().hex}"
    kafka.produce(topic, b"1", b"2")
    first = kafka.source(topic, "int64", group_id=group)
    await first.start()
    await first.stop()
    kafka.produce(topic, b"3")
    second = kafka.source(topic, "int64", group_id=group, start="earliest", until="latest")
    await second.start()
    assert await reading(second).end() == [3]
    await second.stop()


@pytest.mark.parametrize(
    ("level", "expected"),
    [("read_uncommitted", [1, 2, 3, 4]), ("read_committed", [2, 4])],
)
async def test_records_of_aborted_transactions_are_read_only_if_asked_for(
    kafka: Harness, reading: type[Reader], level: str, expected: list[int]
) -> None:
    topic = kafka.topic()
    settings = {"bootstrap.servers": kafka.broker.bootstrap, "transactional.id": uuid.uuid4().hex}
    producer = Producer(settings)
    await asyncio.to_thread(producer.init_transactions)
    for number in range(1, 5):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number)
        producer.flush()
        end = producer.abort_transaction if number % 2 else producer.commit_transaction
        await asyncio.to_thread(end)
    # Its end is a mark of a transaction, not a record.
    source = kafka.source(topic, "int64", start="earliest", until="latest", isolation_level=level)
    await source.start()
    assert await reading(source).end() == expected
    assert source.lag() == 0
    await source.stop()
