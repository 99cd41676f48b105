"""Kafka to Kafka by means of librdkafka: the exchange beside the least loop, same guarantee.

Both read what arrives from now on, and see each consumed batch confirmed before the next. All else
is as in `bench.kafka_copy`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from functools import partial

from confluent_kafka import OFFSET_END, Consumer, KafkaError, Message, Producer, TopicPartition

from bench.kafka_copy import Copy, Job, _measure
from bench.measure import Comparison, Measurement, compare
from devservices.kafka import KafkaBroker
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.states import State

__all__ = ("confluent_copy",)

LOOP = "confluent consume(500) + produce, all confirmed"
EXCHANGE = "exchange with client confluent"
FETCH_S = 1.0


def confluent_copy(records: int, size_bytes: int, rounds: int) -> Comparison:
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
            f"Kafka to Kafka by librdkafka, {records:,} records of {size_bytes} bytes",
            ((LOOP, partial(case, _loop)), (EXCHANGE, partial(case, _exchange))),
            rounds,
            {EXCHANGE: 0.8},
        )


async def _loop(job: Job, ready: Callable[[], None]) -> None:
    await asyncio.to_thread(_copy, job, ready)


def _copy(job: Job, ready: Callable[[], None]) -> None:
    failed: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    servers = {"bootstrap.servers": job.bootstrap}
    consumer = Consumer({**servers, "group.id": "bench", "enable.auto.commit": False})
    producer = Producer(
        {**servers, "acks": "all", "enable.idempotence": True, "delivery.report.only.error": True}
    )
    try:
        # Where the end is now: the filler does not wait until the consumer has found it.
        (end,) = consumer.offsets_for_times([TopicPartition(job.source, 0, OFFSET_END)])
        consumer.assign([end])
        ready()
        copied = 0
        while copied < job.records:
            first = consumer.poll(FETCH_S)
            if first is None:
                continue
            messages = [first, *consumer.consume(499, 0)]
            for message in messages:
                producer.produce(job.sink, message.value(), partition=0, on_delivery=report)
            if producer.flush() or failed:
                raise AssertionError(f"not confirmed: {failed}")
            copied += len(messages)
    finally:
        consumer.close()


async def _exchange(job: Job, ready: Callable[[], None]) -> None:
    changed = asyncio.Event()
    connector = Connector(discover().registry, on_change=changed.set)
    far = {"servers": job.bootstrap, "client": "confluent"}
    exchange = {
        "dtype": "bytes",
        "source": {"type": "KafkaConsumerSource", "topic": job.source, **far},
        "sink": {"type": "KafkaProducerSink", "topic": job.sink, **far},
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
