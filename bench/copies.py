"""The copy of a topic that everybody would write, in a process of its own until it is ended.

`python -m bench.copies BATCH_BYTES BOOTSTRAP SOURCE SINK`.
"""

from __future__ import annotations

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

__all__ = ("loop", "main")


async def loop(batch_bytes: int, bootstrap: str, source: str, sink: str) -> None:
    """Fetch, send all, wait for all confirmations: who goes on from there copies at least once."""
    consumer = AIOKafkaConsumer(source, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=batch_bytes)
    await consumer.start()
    await producer.start()
    while True:
        for batch in (await consumer.getmany(timeout_ms=1000)).values():
            await asyncio.gather(*[await producer.send(sink, record.value) for record in batch])


def main() -> None:
    """Copy until somebody ends this process."""
    batch_bytes, bootstrap, source, sink = sys.argv[1:]
    asyncio.run(loop(int(batch_bytes), bootstrap, source, sink))


if __name__ == "__main__":
    main()
