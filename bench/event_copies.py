"""`python -m bench.event_copies CASE DEVICE ATTRIBUTE SERVERS TOPIC RECORDS`: events to Kafka.

It tells when it is ready, and, when all is confirmed, the time and what it has cost.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs
from aiokafka import AIOKafkaProducer

from bench.pushing_device import SIZE
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.states import State

__all__ = ("CASES", "main")

BATCH_BYTES: Final = 256 * 1024
DRAIN_S: Final = 0.002


@attrs.frozen
class Job:
    """What is to be copied."""

    device: str
    attribute: str
    servers: str
    topic: str
    records: int

    def encode(self, value: Any) -> bytes:
        """The octets of a message."""
        return struct.pack("<d", value) if self.attribute == "scalar" else value.tobytes()


def subscribe(job: Job, on_value: Callable[[Any], None]) -> object:
    """Call back, in a thread of Tango, with each value; gives what must be kept."""
    import tango

    def hear(event: tango.EventData) -> None:
        if event.err:
            print(event.errors[0].desc, file=sys.stderr)
        elif event.event_reason != tango.EventReason.SubSuccess:
            on_value(event.attr_value.value)

    proxy = tango.DeviceProxy(job.device)
    proxy.subscribe_event(job.attribute, tango.EventType.CHANGE_EVENT, hear)
    # Nothing tells when ZeroMQ has passed the subscription on to the server.
    time.sleep(0.2)
    return proxy


async def producer_of(job: Job) -> AIOKafkaProducer:
    """The client that both loops use."""
    producer = AIOKafkaProducer(bootstrap_servers=job.servers, max_batch_size=BATCH_BYTES)
    await producer.start()
    return producer


async def timer_loop(job: Job, ready: Callable[[], None]) -> None:
    """A deque; after a wake-up it is drained every 2 ms until it is empty."""
    loop = asyncio.get_running_loop()
    waiting: deque[Any] = deque()
    filled = asyncio.Event()
    awake = False

    def hear(value: Any) -> None:
        nonlocal awake
        waiting.append(value)
        if not awake:
            awake = True
            loop.call_soon_threadsafe(filled.set)

    producer = await producer_of(job)
    kept = subscribe(job, hear)
    ready()
    sent = 0
    while sent < job.records:
        await filled.wait()
        filled.clear()
        while waiting:
            for _ in range(len(waiting)):
                await producer.send(job.topic, job.encode(waiting.popleft()))
                sent += 1
            await asyncio.sleep(DRAIN_S)
        awake = False
        if waiting:
            filled.set()
    await producer.flush()
    finish(kept)


async def call_soon_loop(job: Job, ready: Callable[[], None]) -> None:
    """A wake-up of the loop for each event."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    producer = await producer_of(job)

    def hear(value: Any) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, value)

    kept = subscribe(job, hear)
    ready()
    for _ in range(job.records):
        await producer.send(job.topic, job.encode(await waiting.get()))
    await producer.flush()
    finish(kept)


async def exchange(job: Job, ready: Callable[[], None]) -> None:
    """`TangoSubscriptionSource` to `KafkaProducerSink`."""
    changed = asyncio.Event()
    connector = Connector(discover().registry, on_change=changed.set)
    configured = {
        "dtype": "float64",
        "shape": [] if job.attribute == "scalar" else [SIZE],
        "source": {
            "type": "TangoSubscriptionSource",
            "device_name": job.device,
            "attribute_name": job.attribute,
            "buffer_size": 10 * job.records,
        },
        "sink": {
            "type": "KafkaProducerSink",
            "servers": job.servers,
            "topic": job.topic,
            "encoding": "carray",
        },
    }
    await connector.configure(json.dumps({"exchanges": [configured]}))
    await connector.start()
    while connector.state is State.OPEN:
        changed.clear()
        await changed.wait()
    statistics = connector.exchanges[0].statistics
    # The value that the attribute had at the subscription is a record, too.
    while statistics.delivered < 1:  # noqa: ASYNC110 - counters tell nobody
        await asyncio.sleep(0.01)
    ready()
    while statistics.delivered < job.records + 1:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    finish(connector)


CASES: Final = {
    "deque + timer": timer_loop,
    "call_soon per event": call_soon_loop,
    "exchange": exchange,
}


def finish(_kept: object) -> None:
    """Tell the end; what Tango calls back is kept until then."""
    print(json.dumps({"ended": time.monotonic(), "cpu_s": time.process_time()}), flush=True)
    sys.stdin.readline()


def main() -> None:
    """Do one case."""
    case, device, attribute, servers, topic, records = sys.argv[1:]

    def ready() -> None:
        print(json.dumps({"cpu_s": time.process_time()}), flush=True)

    asyncio.run(CASES[case](Job(device, attribute, servers, topic, int(records)), ready))


if __name__ == "__main__":
    main()
