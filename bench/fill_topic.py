"""`python -m bench.fill_topic BOOTSTRAP TOPIC RECORDS SIZE`: numbered messages, in order.

It says that it is ready, and writes them once for each line on its standard input.
"""

from __future__ import annotations

import sys

from confluent_kafka import Producer

__all__ = ("main",)


def main() -> None:
    """Send the messages and wait until all are confirmed."""
    bootstrap, topic, records, size_bytes = sys.argv[1:]
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    producer.list_topics(topic)
    padding = b"." * (int(size_bytes) - 12)
    print("ready", flush=True)
    for _ in sys.stdin:
        for number in range(int(records)):
            value = b"%012d" % number + padding
            while True:
                try:
                    producer.produce(topic, value)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush()


if __name__ == "__main__":
    main()
