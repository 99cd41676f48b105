"""Brokers that die, freeze, change leaders and delete: what the exchanges that copy from them do.

Promise: they recover by themselves, the balance closes, and nothing that a broker said to keep is
missing, unless it was deleted; the ledger has one entry for each partition that lost records, with
the exact count where offsets tell it, and none where nothing was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import KafkaException

from devservices.kafka import KafkaBroker
from devservices.kafka_cluster import KafkaCluster
from queueconnector_core.discovery import discover
from queueconnector_core.gaps import GapReason
from queueconnector_core.registry import Registry
from queueconnector_kafka import _client
from queueconnector_kafka._consumer import SILENCE_S
from tests.chaos.copying import Brokers, Copy, Options, Writer, new_topic, running, until

REGISTRY: Registry = discover().registry
LIMIT_S = 2.0
"""The limit of health in the tests; the default is 15 s."""
LATE_S = 2.0
"""A machine that does other things as well may notice so much later."""


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest) -> Iterator[KafkaBroker]:
    """A broker that may be killed and frozen."""
    request.getfixturevalue("kafka_broker")  # where Kafka cannot run this says so
    with KafkaBroker() as broker:
        yield broker


def copies_of(brokers: Brokers, topic: str, *, replicas: int = 1) -> list[Copy]:
    """Live and in a group, to Kafka and to memory."""
    found = []
    for group in (None, f"g-{uuid.uuid4().hex[:8]}"):
        for to_kafka in (True, False):
            target = new_topic(brokers, replicas=replicas) if to_kafka else None
            name = group and f"{group}-{to_kafka}"
            found.append(Copy(brokers, REGISTRY, topic, Options(name, target, LIMIT_S)))
    return found


async def flow(writer: Writer, copies: Sequence[Copy]) -> float:
    """Wait until records are written and every copy delivers; how many seconds that took."""
    began_s = time.monotonic()
    await writer.more()
    await asyncio.gather(*(copy.more() for copy in copies))
    return time.monotonic() - began_s


async def prove_whole(writer: Writer, copies: Sequence[Copy]) -> int:
    """Nothing is missing, and no gap is told; how many records came more than once."""
    await writer.end()
    expected = writer.acknowledged
    everything = await asyncio.gather(*(copy.delivered(expected) for copy in copies))
    for copy, numbers in zip(copies, everything, strict=True):
        assert expected - set(numbers) == set(), copy.exchange.name
        assert copy.gaps == [], copy.exchange.name
    return sum(len(numbers) - len(set(numbers)) for numbers in everything)


@pytest.mark.timeout(600)
async def test_a_broker_that_is_killed_costs_nothing(
    broker: KafkaBroker, is_long: bool, tell: Callable[..., None]
) -> None:
    topic = new_topic(broker, 2)
    copies = copies_of(broker, topic)
    outages_s = []
    async with running(*copies):
        writer = Writer(broker, topic, 2)
        await flow(writer, copies)
        for _ in range(10 if is_long else 1):
            await asyncio.to_thread(broker.kill)
            await asyncio.to_thread(broker.start)
            outages_s.append(await flow(writer, copies))
        repeated = await prove_whole(writer, copies)
    tell(records=writer.sent, kills=len(outages_s), to_flow_s=max(outages_s), repeated=repeated)


async def watch(copies: Sequence[Copy], until_s: float) -> list[float]:
    """When each became ill for good, after now; one that is well again in between fails."""
    began_s = time.monotonic()
    ill_s: dict[int, float] = {}
    while (now_s := time.monotonic()) < until_s:
        for number, copy in enumerate(copies):
            if copy.ailment is not None:
                ill_s.setdefault(number, now_s - began_s)
            else:
                assert number not in ill_s, f"{copy.exchange.name} was well while it cannot be"
        await asyncio.sleep(0.02)
    assert len(ill_s) == len(copies), "all of them show that they are not well"
    return list(ill_s.values())


@pytest.mark.timeout(600)
async def test_a_frozen_broker_shows_in_time_and_costs_nothing(
    broker: KafkaBroker, is_long: bool, tell: Callable[..., None]
) -> None:
    topic = new_topic(broker, 2)
    copies = copies_of(broker, topic)
    idle = Copy(broker, REGISTRY, new_topic(broker), Options(health_limit_s=LIMIT_S))
    async with running(*copies, idle):
        writer = Writer(broker, topic, 2)
        await flow(writer, copies)
        assert [copy.ailment for copy in (*copies, idle)] == [None] * 5
        broker.pause()
        try:
            frozen_s = 30.0 if is_long else SILENCE_S + 2
            ill_s = await watch([*copies, idle], time.monotonic() + frozen_s)
        finally:
            broker.resume()
        to_flow_s = await flow(writer, copies)
        for copy in (*copies, idle):
            await until(lambda copy=copy: copy.ailment is None, 30, "all are well again")  # type: ignore[misc]
        repeated = await prove_whole(writer, copies)
        assert idle.gaps == []
        await idle.stop()
    tell(records=writer.sent, ill_after_s=max(ill_s), to_flow_s=to_flow_s, repeated=repeated)
    assert max(ill_s) < LIMIT_S + LATE_S


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """Three brokers."""
    request.getfixturevalue("kafka_broker")  # where Kafka cannot run this says so
    with KafkaCluster() as cluster:
        yield cluster


@pytest.mark.timeout(600)
async def test_a_leader_that_dies_or_moves_costs_nothing(
    cluster: KafkaCluster, is_long: bool, tell: Callable[..., None]
) -> None:
    topic = new_topic(cluster, replicas=3)
    copies = copies_of(cluster, topic, replicas=3)
    to_flow_s = []
    async with running(*copies):
        writer = Writer(cluster, topic)
        await flow(writer, copies)
        for _ in range(5 if is_long else 1):
            leader = cluster.leader(topic)
            await asyncio.to_thread(leader.kill)
            to_flow_s.append(await flow(writer, copies))
            await asyncio.to_thread(leader.start)
            await asyncio.to_thread(cluster.admin.elect_preferred_leader, topic)
            to_flow_s.append(await flow(writer, copies))
        repeated = await prove_whole(writer, copies)
    tell(records=writer.sent, changes=len(to_flow_s), to_flow_s=max(to_flow_s), repeated=repeated)


@pytest.mark.timeout(600)
async def test_a_topic_that_is_made_anew_is_one_gap_and_read_as_a_whole(
    broker: KafkaBroker, is_long: bool, monkeypatch: pytest.MonkeyPatch, tell: Callable[..., None]
) -> None:
    if not is_long:
        monkeypatch.setattr(_client, "METADATA_MAX_AGE_MS", 300)
    topic = new_topic(broker)
    copies = copies_of(broker, topic)
    async with running(*copies):
        writer = Writer(broker, topic)
        await flow(writer, copies)
        await asyncio.to_thread(broker.admin.delete_topic, topic)
        with contextlib.suppress(KafkaException):  # a client that asked for it has made it already
            await asyncio.to_thread(broker.admin.create_topic, topic)
        first = writer.sent
        to_flow_s = await flow(writer, copies)
        await writer.end()
        after = {number for number in writer.acknowledged if number >= first}
        for copy in copies:
            await until(lambda copy=copy: copy.gaps, 60, "the gap is told")  # type: ignore[misc]
            numbers = await copy.delivered(after)
            assert after - set(numbers) == set(), copy.exchange.name
            assert [(gap.source, gap.reason) for gap in copy.gaps] == [
                (topic, GapReason.TOPIC_RECREATED)
            ]
            assert copy.exchange.gaps.uncounted == 1, "what the old topic held nobody can know"
    tell(records=writer.sent, after=len(after), to_flow_s=to_flow_s)


@pytest.mark.timeout(600)
async def test_retention_that_overtakes_a_slow_reader_is_counted_exactly(
    broker: KafkaBroker, tell: Callable[..., None]
) -> None:
    topic, gate = new_topic(broker, 2), asyncio.Event()
    copies = [
        Copy(broker, REGISTRY, topic, Options(group, gate=gate))
        for group in (None, f"g-{uuid.uuid4().hex[:8]}")
    ]
    async with running(*copies):
        writer = Writer(broker, topic, 2)
        await writer.more(400)
        await asyncio.to_thread(_delete, broker, topic)
        gate.set()
        await flow(writer, copies)
        await writer.end()
        lost = []
        for copy in copies:
            await until(lambda copy=copy: copy.gaps, 60, "the gap is told")  # type: ignore[misc]
            (gap,) = copy.gaps
            assert (gap.source, gap.reason) == (f"{topic}[0]", GapReason.RETENTION)
            lost.append(await _missing(copy, writer))
            assert (gap.records, gap.is_exact) == (lost[-1], True)
    tell(records=writer.sent, lost_live=lost[0], lost_in_group=lost[1])


@pytest.mark.timeout(600)
async def test_retention_while_a_group_is_away_is_counted_exactly(
    broker: KafkaBroker, tell: Callable[..., None]
) -> None:
    topic, group = new_topic(broker, 2), f"g-{uuid.uuid4().hex[:8]}"
    before, after = (Copy(broker, REGISTRY, topic, Options(group)) for _ in range(2))
    async with running(before):
        writer = Writer(broker, topic, 2)
        await flow(writer, [before])
        await before.stop()
    known = before.passed
    await writer.more(400)
    await asyncio.to_thread(_delete, broker, topic)
    async with running(after):
        await flow(writer, [after])
        await writer.end()
        (gap,) = after.gaps
        assert (gap.source, gap.reason) == (f"{topic}[0]", GapReason.RETENTION)
        lost = await _missing(after, writer, known)
        assert (gap.records, gap.is_exact) == (lost, True)
    tell(records=writer.sent, lost=lost)


def _delete(broker: KafkaBroker, topic: str) -> None:
    """Delete the older records of partition 0, as retention does; those of 1 stay."""
    _, end = broker.admin.offsets(topic)
    broker.admin.delete_records(topic, end - 10)


async def _missing(copy: Copy, writer: Writer, known: int = 0) -> int:
    """How many of the records that the brokers kept did not come, apart from those known to have.

    All of the partition that was not touched have to come, and the last ones.
    """
    lost = copy.exchange.gaps.records_lost
    wanted = len(writer.acknowledged) - known - lost
    await until(lambda: copy.passed >= wanted, 30, f"{copy.passed} of {wanted} records came")
    numbers = await copy.delivered([max(writer.acknowledged)])
    assert len(set(numbers)) == len(numbers)
    found = writer.acknowledged - set(numbers)
    return len(found) - known
