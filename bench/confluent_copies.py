"""The copy of a topic that everybody would write with confluent-kafka, until it is ended.

`python -m bench.confluent_copies BOOTSTRAP SOURCE SINK`.
"""

from __future__ import annotations

import sys

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)

__all__ = ("loop", "main")


def loop(bootstrap: str, source: str, sink: str) -> None:
    """Fetch, send all, wait for all confirmations: who goes on from there copies at least once."""
    failed: list[KafkaError] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    servers = {"bootstrap.servers": bootstrap}
    consumer = Consumer({**servers, "group.id": "bench", "enable.auto.commit": False})
    producer = Producer({**servers, "enable.idempotence": True, "delivery.report.only.error": True})
    consumer.assign([TopicPartition(source, 0, OFFSET_BEGINNING)])
    while True:
        # A call for many waits until it has them: one for the first, then those that are there.
        first = consumer.poll(1.0)
        if first is None:
            continue
        for message in (first, *consumer.consume(499, 0)):
            producer.produce(sink, message.value(), partition=0, on_delivery=report)
        if producer.flush() or failed:
            raise AssertionError(f"not confirmed: {failed}")


def main() -> None:
    """Copy until somebody ends this process."""
    loop(*sys.argv[1:])


if __name__ == "__main__":
    main()
