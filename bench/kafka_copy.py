"""Kafka to Kafka: the exchange beside the least aiokafka loop with the same guarantee.

Both read what arrives from now on and confirm each fetch before the next. A process of its own
fills the input topic meanwhile. Broker, filler and copy share the machine: only ratios count.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.measure import Comparison, Measurement, Options, compare
from devservices.kafka import KafkaBroker
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.states import State

__all__ = ("benchmark", "kafka_copy")

TIMEOUT_S = 120
BATCH_BYTES = 256 * 1024
LOOP = "aiokafka getmany + send, all confirmed"
EXCHANGE = "exchange KafkaConsumerSource -> KafkaProducerSink"


@attrs.frozen
class Job:
    """What is to be copied."""

    bootstrap: str
    source: str
    sink: str
    records: int
    size_bytes: int


Copy = Callable[[Job, Callable[[], None]], Awaitable[None]]
"""Does a job; calls back when it is ready to read."""


def benchmark(options: Options) -> list[Comparison]:
    """The cases of the command line."""
    return [kafka_copy(options.records, 1024, options.rounds)]


def kafka_copy(records: int, size_bytes: int, rounds: int) -> Comparison:
    """Copy `records` messages of `size_bytes` bytes on a broker of our own."""
    topics = (f"bench-{number}" for number in itertools.count())
    with KafkaBroker() as broker:

        def case(copy: Copy) -> Measurement:
            source, sink = next(topics), next(topics)
            broker.create_topic(source)
            broker.create_topic(sink)
            job = Job(broker.bootstrap, source, sink, records, size_bytes)
            return asyncio.run(_measure(copy, job))

        return compare(
            f"Kafka to Kafka, {records:,} records of {size_bytes} bytes",
            ((LOOP, partial(case, _loop)), (EXCHANGE, partial(case, _exchange))),
            rounds,
            {EXCHANGE: 0.8},
        )


async def _measure(copy: Copy, job: Job) -> Measurement:
    started: list[tuple[float, float]] = []
    filler: list[subprocess.Popen[bytes]] = []

    def ready() -> None:
        command = [sys.executable, "-m", "bench.fill_topic", job.bootstrap, job.source]
        filler.append(subprocess.Popen([*command, str(job.records), str(job.size_bytes)]))
        started.append((time.perf_counter(), time.process_time()))

    async with asyncio.timeout(TIMEOUT_S):
        await copy(job, ready)
    wall_s = time.perf_counter() - started[0][0]
    cpu_s = time.process_time() - started[0][1]
    filler[0].wait(TIMEOUT_S)
    await _verify(job)
    return Measurement(job.records, wall_s, cpu_s)


async def _verify(job: Job) -> None:
    """Each record begins with its number: all must be there, in order."""
    consumer = AIOKafkaConsumer(bootstrap_servers=job.bootstrap, auto_offset_reset="earliest")
    partition = TopicPartition(job.sink, 0)
    await consumer.start()
    try:
        consumer.assign([partition])
        expected = 0
        async with asyncio.timeout(TIMEOUT_S):
            while expected < job.records:
                for record in (await consumer.getmany(timeout_ms=1000)).get(partition, ()):
                    if int(record.value[:12]) != expected:
                        raise AssertionError(f"{record.value[:12]!r} where {expected} should be")
                    expected += 1
    finally:
        await consumer.stop()


async def _loop(job: Job, ready: Callable[[], None]) -> None:
    partition = TopicPartition(job.source, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=job.bootstrap)
    producer = AIOKafkaProducer(
        bootstrap_servers=job.bootstrap, acks="all", max_batch_size=BATCH_BYTES
    )
    await consumer.start()
    await producer.start()
    try:
        consumer.assign([partition])
        await consumer.seek_to_end(partition)
        await consumer.position(partition)
        ready()
        copied = 0
        while copied < job.records:
            fetched = await consumer.getmany(timeout_ms=1000)
            for batch in fetched.values():
                sent = [await producer.send(job.sink, record.value) for record in batch]
                await asyncio.gather(*sent)
                copied += len(batch)
    finally:
        await consumer.stop()
        await producer.stop()


async def _exchange(job: Job, ready: Callable[[], None]) -> None:
    changed = asyncio.Event()
    connector = Connector(discover().registry, on_change=changed.set)
    exchange = {
        "dtype": "bytes",
        "source": {"type": "KafkaConsumerSource", "servers": job.bootstrap, "topic": job.source},
        "sink": {"type": "KafkaProducerSink", "servers": job.bootstrap, "topic": job.sink},
    }
    await connector.configure(json.dumps({"exchanges": [exchange]}))
    await connector.start()
    while connector.state is State.OPEN:
        changed.clear()
        await changed.wait()
    ready()
    statistics = connector.groups["default"].exchanges[0].statistics
    while statistics.delivered < job.records:  # noqa: ASYNC110 - counters tell nobody
        await asyncio.sleep(0.005)
    await connector.shut_down()
