"""A consumer group: each record at least once, over crashes and rebalances; once, where it can."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from queueconnector_core.errors import RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.record import Batch
from queueconnector_core.stream import Stream
from queueconnector_kafka import _client, _consumer
from queueconnector_kafka._group import Membership

if TYPE_CHECKING:
    from queueconnector_kafka.source import KafkaConsumerSource
    from tests.kafka.conftest import Harness, Reader

IN_GROUP: dict[str, Any] = {"session_timeout_s": 1.0, "commit_interval_s": 0.05}


pytestmark = pytest.mark.usefixtures("coordinator")


@pytest.fixture
def group() -> str:
    return f"g-{uuid.uuid4().hex[:12]}"


class Gate:
    """A sink that takes batches while it is open, and remembers them."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.values: list[Any] = []
        self.opened = asyncio.Event()
        self.reached = asyncio.Event()
        self._news = asyncio.Condition()
        if is_open:
            self.opened.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def write(self, batch: Batch) -> None:
        self.reached.set()
        await self.opened.wait()
        async with self._news:
            self.values += batch.values
            self._news.notify_all()

    async def until(self, condition: Callable[[list[Any]], bool], timeout_s: float = 30) -> None:
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: condition(self.values))


class Member:
    """An exchange from a topic to a gate."""

    def __init__(self, source: KafkaConsumerSource, gate: Gate | None = None) -> None:
        self.source = source
        self.gate = Gate() if gate is None else gate
        self.exchange = Exchange("member", [source], [], [self.gate])
        self._news = asyncio.Event()
        self.stream = Stream(self.exchange, self._news.set)

    async def streaming(self) -> Member:
        async with asyncio.timeout(30):
            while self.stream.phase.value != "streaming":
                self._news.clear()
                await self._news.wait()
        return self

    async def drained(self) -> None:
        self.stream.drain()
        await self.stream.ended()
        assert self.stream.failure is None

    async def crashed(self) -> None:
        """End without a commit, and without leaving the group: as a process that is killed."""
        assert self.source._consumer is not None
        membership = self.source._consumer._group
        assert membership is not None
        assert membership._keeper is not None
        membership._keeper.cancel()
        membership._keeper = None
        client: Any = self.source._consumer._client
        if self.source._descriptor.client == "aiokafka":
            # librdkafka cannot be kept from leaving; processes are killed further below.
            coordinator = client._aiokafka._coordinator
            coordinator._group_instance_id = "so that it does not say that it leaves"
        self.stream.cancel()
        await self.stream.ended()


@pytest.fixture
async def member(kafka: Harness, group: str) -> AsyncIterator[Callable[..., Any]]:
    """`await member(topic)` is an exchange that reads it in the group."""
    made: list[Member] = []

    async def make(topic: str, *, gate: Gate | None = None, **options: Any) -> Member:
        source = kafka.source(topic, "int64", group_id=group, **(IN_GROUP | options))
        made.append(Member(source, gate))
        return await made[-1].streaming()

    yield make
    for each in made:
        each.stream.cancel()
        each.gate.opened.set()
        await each.stream.ended()


def numbers(first: int, after: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, after)]


async def committed(kafka: Harness, group: str, topic: str, offset: int) -> None:
    async with asyncio.timeout(20):
        while await asyncio.to_thread(kafka.committed, group, topic) != offset:
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("clean")
async def test_a_clean_stop_leaves_nothing_out_and_repeats_nothing(
    kafka: Harness, group: str, member: Callable[..., Any]
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, *numbers(0, 5))
    found: list[Any] = []
    for first in (5, 10, 15):
        one = await member(topic)
        kafka.produce(topic, *numbers(first, first + 5))
        await one.gate.until(lambda values, first=first: first + 4 in values)
        await one.drained()
        found += one.gate.values
        assert kafka.committed(group, topic) == first + 5
        kafka.produce(topic)
    assert found == list(range(5, 20))


@pytest.fixture
def rebalances(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[int]]:
    """The partitions that groups give to members, one entry each time."""
    given: list[Sequence[int]] = []
    assigned = Membership.on_assigned

    async def on_assigned(membership: Membership, partitions: Sequence[int]) -> None:
        given.append(sorted(partitions))
        await assigned(membership, partitions)

    monkeypatch.setattr(Membership, "on_assigned", on_assigned)
    return given


@pytest.mark.usefixtures("clean")
async def test_a_paused_member_stays_in_its_group_and_goes_on_where_it_was(
    kafka: Harness, group: str, member: Callable[..., Any], rebalances: list[Sequence[int]]
) -> None:
    topic = kafka.topic()
    one = await member(topic)
    kafka.produce(topic, *numbers(0, 3))
    await one.gate.until(lambda values: len(values) == 3)
    one.exchange.pause()
    kafka.produce(topic, *numbers(3, 6))
    await asyncio.sleep(2.5 * IN_GROUP["session_timeout_s"])

    assert one.gate.values == [0, 1, 2]
    assert one.exchange.statistics.in_flight == 0
    assert one.exchange.silent_s() < 1
    one.exchange.resume()
    await one.gate.until(lambda values: len(values) == 6)
    assert rebalances == [[0]]
    await committed(kafka, group, topic, 6)
    assert one.gate.values == list(range(6))


@pytest.mark.usefixtures("clean")
async def test_what_is_written_while_nobody_reads_is_read_later(
    kafka: Harness, member: Callable[..., Any]
) -> None:
    topic = kafka.topic()
    await (await member(topic)).drained()
    kafka.produce(topic, *numbers(0, 5))
    later = await member(topic)
    await later.gate.until(lambda values: len(values) >= 5)
    assert later.gate.values == [0, 1, 2, 3, 4]


async def test_a_crash_before_the_first_commit_loses_nothing(
    kafka: Harness, group: str, member: Callable[..., Any]
) -> None:
    topic = kafka.topic()
    kafka.produce(topic, *numbers(0, 3))
    first = await member(topic)
    assert kafka.committed(group, topic) == 3
    await first.crashed()
    kafka.produce(topic, *numbers(3, 6))
    second = await member(topic)
    await second.gate.until(lambda values: len(values) >= 3)
    assert second.gate.values == [3, 4, 5]


async def test_what_no_sink_has_accepted_is_read_again(
    kafka: Harness, group: str, member: Callable[..., Any]
) -> None:
    topic = kafka.topic()
    first = await member(topic)
    kafka.produce(topic, *numbers(0, 3))
    await first.gate.until(lambda values: len(values) == 3)
    await committed(kafka, group, topic, 3)
    first.gate.opened.clear()
    first.gate.reached.clear()
    kafka.produce(topic, *numbers(3, 6))
    await first.gate.reached.wait()
    first.stream.cancel()
    await first.stream.ended()
    assert kafka.committed(group, topic) == 3
    second = await member(topic)
    await second.gate.until(lambda values: len(values) >= 3)
    assert second.gate.values == [3, 4, 5]


@pytest.mark.usefixtures("clean")
async def test_acknowledgements_out_of_order_commit_only_what_has_nothing_open_before_it(
    kafka: Harness, group: str, reading: type[Reader]
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64", group_id=group, **IN_GROUP)
    await source.start()
    reader = reading(source)
    for number in range(3):
        kafka.produce(topic, b"%d" % number)
        await reader.until(number + 1)
    first, second, third = (batch.acknowledgements[0] for batch in reader.batches)
    second.release()
    await source._consumer._group.commit()  # type: ignore[union-attr]
    assert kafka.committed(group, topic) == 0
    first.release()
    await committed(kafka, group, topic, 2)
    await source.drain()
    await reader.end()
    # Still connected: what is delivered now counts.
    third.release()
    await source.stop()
    assert kafka.committed(group, topic) == 3


async def test_partitions_move_when_members_come_and_are_killed_and_nothing_is_lost(
    kafka: Harness, member: Callable[..., Any]
) -> None:
    topic = kafka.topic(partitions=4)
    written = 0

    def write() -> None:
        nonlocal written
        for partition in range(4):
            kafka.produce(topic, *numbers(written, written + 25), partition=partition)
            written += 25

    one = await member(topic)
    await asyncio.to_thread(write)
    await one.gate.until(lambda values: len(values) >= 100)
    two = await member(topic)
    await asyncio.to_thread(write)
    await two.gate.until(lambda values: len(values) >= 50)
    await one.gate.until(lambda values: len(values) >= 150)
    await one.crashed()
    await asyncio.to_thread(write)
    await two.gate.until(lambda values: len({*values, *one.gate.values}) == 300)
    await two.drained()
    assert sorted({*one.gate.values, *two.gate.values}) == list(range(300))


async def test_who_waits_for_a_slow_sink_stays_in_the_group_and_repeats_nothing(
    kafka: Harness, member: Callable[..., Any], rebalances: list[Sequence[int]]
) -> None:
    topic = kafka.topic(partitions=2)
    slow = await member(topic, gate=Gate(is_open=False), session_timeout_s=1.0)
    kafka.produce(topic, *numbers(0, 3000))
    await slow.gate.reached.wait()
    await asyncio.sleep(2.2)  # longer than a member may be silent
    slow.gate.opened.set()
    await slow.gate.until(lambda values: len(values) == 3000)
    assert rebalances == [[0, 1]]
    await slow.drained()
    assert slow.gate.values == list(range(3000))


async def test_a_partition_that_is_added_is_read_from_its_beginning(
    kafka: Harness, member: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "METADATA_MAX_AGE_MS", 200)
    topic = kafka.topic()
    one = await member(topic)
    await asyncio.to_thread(kafka.grow, topic, 2)
    kafka.produce(topic, *numbers(0, 3), partition=1)
    kafka.produce(topic, b"3")
    await one.gate.until(lambda values: len(values) >= 4)
    assert sorted(one.gate.values) == [0, 1, 2, 3]


async def test_a_member_without_a_partition_knows_that_the_brokers_are_there(
    kafka: Harness, member: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_consumer, "SILENCE_S", 1.5)
    topic = kafka.topic()
    one, two = await member(topic), await member(topic)
    await asyncio.sleep(3)
    for each in (one, two):
        assert each.exchange.statistics.degraded is None
        assert each.source.silent_s() < 1.5
    assert sorted(len(each.source._consumer.positions) for each in (one, two)) == [0, 1]


async def test_what_is_under_way_when_partitions_move_is_repeated_and_what_stays_is_not(
    kafka: Harness, group: str, member: Callable[..., Any]
) -> None:
    topic = kafka.topic(partitions=2)
    slow = await member(topic, gate=Gate(is_open=False))
    kafka.produce(topic, *numbers(0, 3))
    kafka.produce(topic, *numbers(3, 6), partition=1)
    await slow.gate.reached.wait()
    quick = await member(topic)
    await quick.gate.until(lambda values: len(values) == 3)
    async with asyncio.timeout(20):
        while len(slow.source._consumer.positions) != 1:
            await asyncio.sleep(0.02)
    slow.gate.opened.set()
    await slow.gate.until(lambda values: len({*values, *quick.gate.values}) == 6)
    await slow.drained()
    await quick.drained()
    assert sorted({*slow.gate.values, *quick.gate.values}) == [0, 1, 2, 3, 4, 5]
    assert len(set(slow.gate.values)) == len(slow.gate.values)
    assert [kafka.committed(group, topic, number) for number in range(2)] == [3, 3]


async def test_after_a_lost_connection_nothing_that_is_under_way_is_read_again(
    kafka: Harness, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64", group_id=group, **IN_GROUP)
    await source.start()
    kafka.produce(topic, *numbers(0, 3))
    batches = source.read()
    under_way = await anext(batches)
    with monkeypatch.context() as patch:
        patch.setattr(_consumer, "SILENCE_S", -1.0)
        with pytest.raises(RetryableError, match="no answer"):
            await anext(batches)
    await source.stop()
    kafka.produce(topic, *numbers(3, 6))
    await source.start()
    later = await anext(source.read())
    assert (*under_way.values, *later.values) == (0, 1, 2, 3, 4, 5)
    later.acknowledgements[0].release()
    await source._consumer._group.commit()  # type: ignore[union-attr]
    assert kafka.committed(group, topic) == 0
    under_way.acknowledgements[0].release()
    await source.stop()
    assert kafka.committed(group, topic) == 6


async def test_a_named_member_is_back_before_the_others_notice(
    kafka: Harness, member: Callable[..., Any], rebalances: list[Sequence[int]]
) -> None:
    topic = kafka.topic(partitions=2)
    named = {"session_timeout_s": 10.0}
    one = await member(topic, group_instance_id="one", **named)
    two = await member(topic, group_instance_id="two", **named)
    async with asyncio.timeout(20):
        while len(one.source._consumer.positions) != 1:
            await asyncio.sleep(0.02)
    rebalances.clear()
    await one.drained()
    kafka.produce(topic, b"0")
    kafka.produce(topic, b"1", partition=1)
    again = await member(topic, group_instance_id="one", **named)
    await again.gate.until(lambda values: len(values) == 1)
    await two.gate.until(lambda values: len(values) == 1)
    assert len(rebalances) == 1


def exchange_process(kafka: Harness, group: str, source: str, sink: str) -> subprocess.Popen[bytes]:
    ends = {"servers": kafka.broker.bootstrap, "client": kafka.client}
    options = {"group_id": group, "start": "earliest", **IN_GROUP}
    exchange = {
        "dtype": "int64",
        "source": {"type": "KafkaConsumerSource", "topic": source, **ends, **options},
        "sink": {"type": "KafkaProducerSink", "topic": sink, **ends},
    }
    process = subprocess.Popen(
        [Path(sys.executable).with_name("queueconnector"), "run", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(json.dumps({"exchanges": [exchange]}).encode())
    return process


async def test_processes_share_a_topic_and_one_that_is_killed_loses_nothing(
    kafka: Harness, group: str
) -> None:
    origin, copy = kafka.topic(partitions=4), kafka.topic()
    written = 0

    async def write_until_copied(processes: int) -> None:
        """Write to each partition, and wait until that was copied and all take part."""
        nonlocal written
        for partition in range(4):
            values = numbers(written, written + 250)
            await asyncio.to_thread(kafka.produce, origin, *values, partition=partition)
            written += 250
        async with asyncio.timeout(40):
            while len(set(await asyncio.to_thread(kafka.contents, copy))) < written:
                await asyncio.sleep(0.1)
            while kafka.members(group) != processes:
                await asyncio.sleep(0.05)

    running = [exchange_process(kafka, group, origin, copy)]
    try:
        await write_until_copied(1)
        running.append(exchange_process(kafka, group, origin, copy))
        await write_until_copied(2)
        running[0].kill()
        await write_until_copied(1)
        running[1].send_signal(signal.SIGINT)
        assert await asyncio.to_thread(running[1].wait, 20) in {0, 130}
    finally:
        for process in running:
            process.kill()
            process.wait()
    copied = await asyncio.to_thread(kafka.contents, copy)
    assert sorted({*map(int, copied)}) == list(range(3000))
    assert len(copied) - 3000 <= 500  # what the killed one had not committed
