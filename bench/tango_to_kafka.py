"""Tango events to a topic: the exchange beside the loops that everybody would write by hand.

Publisher, copy and broker are processes of their own and share the machine: only ratios count.
What Tango keeps for a subscriber is enlarged, so that all events of a burst come.
"""

from __future__ import annotations

import itertools
import struct
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from bench.children import child, device
from bench.event_copies import CASES
from bench.measure import Comparison, Measurement, Options, at_least, at_most, compare, percentile
from devservices.embedded import EmbeddedBroker

__all__ = ("benchmark", "burst", "latency")

TIMER, CALL_SOON, EXCHANGE = CASES
TIMEOUT_S: Final = 60.0
RATE: Final = 1_000.0
BURSTS: Final = {"scalar": 20_000, "spectrum": 10_000}


def benchmark(options: Options) -> list[Comparison]:
    """Bursts of numbers and of spectra, and the latency of numbers."""
    found = [burst(name, count, options.rounds) for name, count in BURSTS.items()]
    return [*found, latency(3_000, options.rounds)]


def burst(attribute: str, records: int, rounds: int) -> Comparison:
    """As many events as the device can push: how many a second are confirmed by the broker."""
    topics = (f"burst-{number}" for number in itertools.count())
    with EmbeddedBroker() as broker, device("pushing_device", "Pushing") as publisher:

        def case(name: str) -> Measurement:
            topic = next(topics)
            broker.create_topic(topic)
            job = (name, publisher.trl(), attribute, broker.bootstrap, topic, records)
            with child("event_copies", *job) as copy:
                before = copy.told()
                begun = time.monotonic()
                publisher.proxy().Push([attribute, str(records), "0"])
                after = copy.told()
                check_end(broker.bootstrap, topic, records, is_first_extra=name == EXCHANGE)
            return Measurement(records, after["ended"] - begun, after["cpu_s"] - before["cpu_s"])

        return compare(
            f"Tango to Kafka, burst of {records:,} events, {attribute}",
            [(name, partial(case, name)) for name in CASES],
            rounds,
            (
                at_least(0.9, "rate", EXCHANGE, row=7),
                at_most(1.1, "cpu_us", EXCHANGE, row=7),
                at_least(1.5, "rate", EXCHANGE, beside=CALL_SOON, row=7),
            ),
        )


def latency(records: int, rounds: int) -> Comparison:
    """A thousand events a second: from the push to a consumer of the topic."""
    topics = (f"latency-{number}" for number in itertools.count())
    with EmbeddedBroker() as broker, device("pushing_device", "Pushing") as publisher:

        def case(name: str) -> Measurement:
            topic = next(topics)
            broker.create_topic(topic)
            took: list[float] = []
            ends = threading.Event()
            consuming = threading.Thread(
                target=consume, args=(broker.bootstrap, topic, took, records, ends)
            )
            job = (name, publisher.trl(), "scalar", broker.bootstrap, topic, records)
            with child("event_copies", *job) as copy:
                before = copy.told()
                consuming.start()
                begun = time.monotonic()
                publisher.proxy().Push(["scalar", str(records), str(RATE)])
                after = copy.told()
                consuming.join(TIMEOUT_S)
                ends.set()
            # The first ones find everything cold.
            settled = sorted(took[len(took) // 10 :])
            more = {f"p{p}_ms": 1e3 * percentile(settled, p) for p in (50, 99)}
            wall_s, cpu_s = after["ended"] - begun, after["cpu_s"] - before["cpu_s"]
            return Measurement(records, wall_s, cpu_s, more)

        return compare(
            f"Tango to Kafka, {RATE:,.0f} events a second, scalar",
            [(name, partial(case, name)) for name in CASES],
            rounds,
        )


def consumer_at(servers: str, topic: str, offset: int) -> Iterator[Any]:
    """The messages of a topic from an offset on; None where none came for a while."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "fetch.wait.max.ms": 1})
    consumer.assign([TopicPartition(topic, 0, offset)])
    try:
        while True:
            yield consumer.poll(1.0)
    finally:
        consumer.close()


def consume(
    servers: str, topic: str, took: list[float], records: int, ends: threading.Event
) -> None:
    """Note for each message how many seconds ago its time was."""
    for message in consumer_at(servers, topic, 0):
        if message is not None and message.value() is not None:
            told = struct.unpack("<d", message.value())[0]
            # The value before the first push is no time.
            if told > 1.0:
                took.append(time.time() - told)
        if len(took) == records or ends.is_set():
            return


def check_end(servers: str, topic: str, records: int, *, is_first_extra: bool) -> None:
    """Raise `AssertionError` unless all were copied, and the newest stand there in order.

    The broker of this benchmark keeps the last 5 MB.
    """
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench"})
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), 10)
    consumer.close()
    if high != records + is_first_extra:
        raise AssertionError(f"{high} messages were written, {records} events were pushed")
    offset = max(low, high - 100)
    for message in consumer_at(servers, topic, offset):
        if message is None or message.error():
            continue
        number = struct.unpack_from("<d", message.value())[0]
        if number != message.offset() + 1 - is_first_extra:
            raise AssertionError(f"{number} stands at {message.offset()}")
        if message.offset() == high - 1:
            return
