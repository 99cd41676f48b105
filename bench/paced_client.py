"""`python -m bench.paced_client BOOTSTRAP SOURCE SINK RECORDS PER_S`: how long records take.

Writes records of 1 KiB evenly to one topic, and reads them in another; prints the percentiles as
JSON. Both ends are in one process, so that they go by one clock. Records of the first second do not
count: the producer finds its broker with the first of them, and all that are due meanwhile wait.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Final

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.measure import percentile

__all__ = ("main",)

DIGITS: Final = 20
PADDING: Final = b"." * (1024 - DIGITS)
TIMEOUT_S: Final = 60.0


def main() -> None:
    """Measure, and tell."""
    bootstrap, source, sink, records, per_s = sys.argv[1:]
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "bench-paced",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
        }
    )
    here = TopicPartition(sink, 0)
    end = consumer.get_watermark_offsets(here, timeout=30)[1]
    consumer.assign([TopicPartition(sink, 0, end)])
    consumer.poll(0.5)
    uncounted = int(per_s)
    total = uncounted + int(records)
    arguments = (bootstrap, source, total, int(per_s))
    writing = threading.Thread(target=write, args=arguments, daemon=True)
    begin_s = time.monotonic()
    writing.start()
    flights_ms = read(consumer, total)[uncounted:]
    wall_s = time.monotonic() - begin_s
    writing.join()
    consumer.close()
    told = {f"p{percent}_ms": percentile(flights_ms, percent) for percent in (50, 99)}
    print(json.dumps({**told, "wall_s": wall_s, "records": total}))


def write(bootstrap: str, topic: str, records: int, per_s: int) -> None:
    """Write records, each with the time of its writing, at an even pace."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    producer.list_topics(topic)
    begin_s = time.monotonic()
    for number in range(records):
        wait_s = begin_s + number / per_s - time.monotonic()
        if wait_s > 0:
            # The pace itself: each record is due at its own time, and no event is awaited.
            time.sleep(wait_s)
        producer.produce(topic, b"%0*d" % (DIGITS, time.monotonic_ns()) + PADDING)
        producer.poll(0)
    producer.flush()


def read(consumer: Consumer, records: int) -> list[float]:
    """Milliseconds from the writing to the reading of each record."""
    flights_ms: list[float] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(flights_ms) < records and time.monotonic() < deadline_s:
        message = consumer.poll(1.0)
        if message is None or message.error() is not None:
            continue
        written_ns = int((message.value() or b"0")[:DIGITS])
        flights_ms.append((time.monotonic_ns() - written_ns) / 1e6)
    if len(flights_ms) < records:
        sys.exit(f"{len(flights_ms)} of {records} records arrived")
    return flights_ms


if __name__ == "__main__":
    main()
