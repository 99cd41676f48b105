"""Brokers that are killed, frozen, or forbid: nothing is lost, nothing hangs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from devservices.kafka import KafkaBroker
from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.record import Batch
from queueconnector_kafka import _client, _consumer

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness, Reader


async def restart_after(harness: Harness, outage_s: float) -> None:
    await asyncio.to_thread(harness.broker.kill)
    await asyncio.sleep(outage_s)
    await asyncio.to_thread(harness.broker.start)


async def test_a_source_reads_on_after_the_broker_was_killed(
    fragile: Harness, reading: type[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_consumer, "SILENCE_S", 60.0)  # a broker may take long to be back
    topic = fragile.topic(partitions=2)
    source = fragile.source(topic, "int64")
    await source.start()
    reader = reading(source)
    fragile.produce(topic, b"1", b"2")
    fragile.produce(topic, b"3", partition=1)
    await reader.until(3)
    await restart_after(fragile, 0.0)
    fragile.produce(topic, b"4", b"5")
    fragile.produce(topic, b"6", partition=1)
    assert sorted(await reader.until(6, 60)) == [1, 2, 3, 4, 5, 6]  # type: ignore[type-var]
    await source.stop()
    assert len(await reader.end()) == 6


async def test_a_source_that_lost_its_broker_stops_at_once(
    fragile: Harness, reading: type[Reader], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    noticed = {"aiokafka": "Failed fetch messages", "confluent": "Connection refused"}
    source = fragile.source(fragile.topic())
    await source.start()
    reader = reading(source)
    await asyncio.to_thread(fragile.broker.kill)
    try:
        async with asyncio.timeout(10):
            while noticed[fragile.client] not in caplog.text:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        await source.stop()
        await reader.end()
        assert time.monotonic() - began < 1
    finally:
        await asyncio.to_thread(fragile.broker.start)
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in left if "fixture" not in repr(task)]


async def test_a_long_silence_is_told_and_reading_goes_on_where_it_was(
    fragile: Harness, reading: type[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_consumer, "SILENCE_S", 2.0)
    topic = fragile.topic()
    source = fragile.source(topic, "int64")
    await source.start()
    first = reading(source)
    fragile.produce(topic, b"1", b"2")
    await first.until(2)
    fragile.broker.pause()
    try:
        with pytest.raises(
            RetryableError, match=r"no answer from the Kafka brokers at .* for \d s"
        ):
            await first.end()
        await source.stop()
    finally:
        fragile.broker.resume()
    fragile.produce(topic, b"3", b"4")
    await source.start()
    second = reading(source)
    assert await second.until(2) == [3, 4]
    await source.stop()
    assert await second.end() == [3, 4]


async def test_an_exchange_survives_a_killed_broker_without_a_loss_and_in_order(
    fragile: Harness,
) -> None:
    origin, copy, count = fragile.topic(), fragile.topic(), 20_000
    exchange = Exchange(
        "copy", [fragile.source(origin, "int64")], [], [fragile.sink(copy, "int64")]
    )
    await exchange.start()
    running = asyncio.create_task(exchange.run())
    numbers = [b"%d" % number for number in range(count)]
    await asyncio.to_thread(fragile.produce, origin, *numbers[: count // 2])
    async with asyncio.timeout(60):
        while not exchange.statistics.delivered:
            await asyncio.sleep(0.001)
        await restart_after(fragile, 1.0)
        await asyncio.to_thread(fragile.produce, origin, *numbers[count // 2 :])
        while exchange.statistics.delivered < count:
            await asyncio.sleep(0.05)
    await exchange.drain()
    await running
    await exchange.stop()
    assert exchange.statistics.received == exchange.statistics.delivered == count
    written = await asyncio.to_thread(fragile.contents, copy)
    # What was sent but not confirmed when the broker died was recognised when it came again.
    assert written == numbers


async def test_a_sink_whose_broker_is_gone_tells_and_the_same_batch_is_written_later(
    fragile: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "REQUEST_TIMEOUT_MS", 2_000)
    topic = fragile.topic(partitions=2)
    sink = fragile.sink(topic, "bytes")
    await sink.start()
    values = [b"%03d" % number + b"." * 50_000 for number in range(40)]
    batch = Batch([("", value) for value in values])
    await asyncio.to_thread(fragile.broker.kill)
    try:
        with pytest.raises(RetryableError, match=f"cannot write topic '{topic}' at 127"):
            await sink.write(batch)
    finally:
        await asyncio.to_thread(fragile.broker.start)
    async with asyncio.timeout(60):
        while True:
            try:
                await sink.write(batch)
                break
            except RetryableError:
                await asyncio.sleep(0.2)
    await sink.stop()
    parts = [await asyncio.to_thread(fragile.contents, topic, n) for n in range(2)]
    assert all(parts)
    assert [sorted(part) for part in parts] == parts
    assert sorted(set(parts[0] + parts[1])) == values


@pytest.mark.parametrize("end", ["kill", "pause"])
async def test_stop_ends_in_time_although_a_write_hangs(
    fragile: Harness, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(_client, "REQUEST_TIMEOUT_MS", 2_000)
    sink = fragile.sink(fragile.topic(), "bytes")
    await sink.start()
    await sink.write(Batch([("", b"connected")]))
    await asyncio.to_thread(getattr(fragile.broker, end))
    try:
        writing = asyncio.create_task(sink.write(Batch([("", b"x" * 200_000)] * 20)))
        await asyncio.sleep(0.1)
        assert not writing.done()
        async with asyncio.timeout(8):
            await sink.stop()
        with pytest.raises(RetryableError):
            await writing
    finally:
        if end == "kill":
            await asyncio.to_thread(fragile.broker.start)
        else:
            fragile.broker.resume()
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not [task for task in left if "fixture" not in repr(task)]


@pytest.fixture(scope="module")
def strict(fragile: Harness) -> Iterator[Harness]:
    """A broker that makes no topics and has access control."""
    from tests.kafka.conftest import Harness

    settings = {
        "auto.create.topics.enable": "false",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with KafkaBroker(settings=settings) as broker:
        yield Harness(broker, fragile.registry)


async def test_a_topic_that_is_not_there_may_come(
    strict: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "TOPIC_TIMEOUT_S", 1.0)
    for end in (strict.source("missing"), strict.sink("missing")):
        with pytest.raises(RetryableError, match=r"'missing' at .*: the topic does not exist"):
            await end.start()


async def test_what_is_forbidden_is_not_tried_again(strict: Harness) -> None:
    topics = {operation: strict.topic() for operation in ("DESCRIBE", "READ", "WRITE")}
    admin = AdminClient({"bootstrap.servers": strict.broker.bootstrap})
    rules = [
        AclBinding(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            "User:ANONYMOUS",
            "*",
            AclOperation[operation],
            permission,
        )
        for allowed, topic in topics.items()
        for operation, permission in (
            (allowed, AclPermissionType.DENY),
            *(
                (other, AclPermissionType.ALLOW)
                for other in ("DESCRIBE", "READ", "WRITE")
                if other != allowed
            ),
        )
    ]
    for done in admin.create_acls(rules).values():
        done.result()
    for end in (strict.source(topics["DESCRIBE"]), strict.sink(topics["DESCRIBE"])):
        with pytest.raises(FatalError, match="not authorised"):
            await end.start()
    source, sink = strict.source(topics["READ"]), strict.sink(topics["WRITE"])
    await source.start()
    with pytest.raises(FatalError, match="TopicAuthorizationFailed"):
        async with asyncio.timeout(20):
            await anext(source.read())
    await source.stop()
    await sink.start()
    with pytest.raises(FatalError, match="TopicAuthorizationFailed"):
        await sink.write(Batch(["secret"]))
    await sink.stop()
