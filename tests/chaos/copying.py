"""Exchanges of this process that copy a numbered topic, and what writes and reads that topic."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Protocol

import attrs
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from devservices.kafka_admin import KafkaAdmin
from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import Descriptor
from queueconnector_core.exchange import Exchange
from queueconnector_core.gaps import Gap, GapLedger
from queueconnector_core.health import ailment
from queueconnector_core.protocols import Pipe, Sink
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_core.stream import Phase, Stream
from queueconnector_core.testing.doubles import RecordingSink
from queueconnector_kafka.descriptors import (
    KafkaConsumerSourceDescriptor,
    KafkaProducerSinkDescriptor,
)
from tests.kafka.clients import chosen

RATE = 200
"""Records a second that are written."""
SPEC = DataSpec.of("int64", [])
LOOK_S = 0.02


class Brokers(Protocol):
    """One broker, or a cluster."""

    @property
    def bootstrap(self) -> str: ...
    @property
    def admin(self) -> KafkaAdmin: ...


async def until(condition: Callable[[], object], timeout_s: float, what: str) -> float:
    """Wait until `condition` holds; how many seconds that took."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"not within {timeout_s:g} s: {what}") from None
    return time.monotonic() - began_s


def new_topic(brokers: Brokers, partitions: int = 1, replicas: int = 1) -> str:
    """Make a topic that nobody else uses."""
    name = f"numbers-{uuid.uuid4().hex[:8]}"
    brokers.admin.create_topic(name, partitions, replicas)
    return name


class Writer(threading.Thread):
    """Writes the numbers from 0 on, in turn to each partition, until it is ended."""

    def __init__(self, brokers: Brokers, topic: str, partitions: int = 1) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        """The next number to be written."""
        self.acknowledged: set[int] = set()
        """What the brokers said that they keep."""
        self._topic = topic
        self._partitions = partitions
        self._producer = Producer(
            {
                "bootstrap.servers": brokers.bootstrap,
                "acks": "all",
                "linger.ms": 5,
                "log_level": 0,
                "reconnect.backoff.max.ms": 500,
                # Who leads a partition is asked for by itself every five minutes only.
                "topic.metadata.refresh.interval.ms": 1_000,
                "topic.metadata.refresh.fast.interval.ms": 100,
            }
        )
        self._ending = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._ending.wait(1 / RATE):
            self._producer.produce(
                self._topic,
                b"%d" % self.sent,
                partition=self.sent % self._partitions,
                on_delivery=self._on_delivery,
            )
            self.sent += 1
            self._producer.poll(0)
        self._producer.flush(60)

    def _on_delivery(self, error: object, message: Message) -> None:
        if error is None:
            self.acknowledged.add(int(message.value() or b""))

    async def more(self, records: int = RATE // 4) -> None:
        """Wait until so many more are kept by the brokers."""
        wanted = len(self.acknowledged) + records
        await until(lambda: len(self.acknowledged) >= wanted, 60, "more records are written")

    async def end(self) -> None:
        """Write nothing more; returns when the fate of all is known."""
        self._ending.set()
        await until(lambda: not self.is_alive(), 90, "the writer ends")


def contents(brokers: Brokers, topic: str) -> list[int]:
    """All numbers in the only partition of a topic, read with librdkafka."""
    options = {"bootstrap.servers": brokers.bootstrap, "group.id": "chaos", "log_level": 0}
    consumer = Consumer(options | {"enable.auto.commit": "false"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[int] = []
        while len(found) < end:
            messages = consumer.consume(min(end - len(found), 10_000), timeout=20)
            assert messages, f"{len(found)} of {end} records came"
            found += [int(message.value() or b"") for message in messages]
        return found
    finally:
        consumer.close()


class Gate:
    """A pipe that passes everything on, or, while it is shut, nothing at all."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            await self.open.wait()
            yield batch


@attrs.frozen
class Options:
    """What tells one copy from another."""

    group: str | None = None
    target: str | None = None
    """The topic to write; None: a list in memory."""
    health_limit_s: float = 15.0
    gate: asyncio.Event | None = None
    """The sink in memory waits for it."""


class Copy:
    """An exchange from a topic to another one, or to memory."""

    def __init__(
        self,
        brokers: Brokers,
        registry: Registry,
        topic: str,
        options: Options | None = None,
        pipes: Sequence[Pipe] = (),
    ) -> None:
        self._brokers = brokers
        self._options = options = options or Options()
        self._ledger = GapLedger()
        self._registry = registry
        self._memory = RecordingSink(gate=options.gate)
        in_group: dict[str, Any] = {"group_id": options.group, "session_timeout_s": 6.0}
        source = self._built(
            ComponentKind.SOURCE,
            KafkaConsumerSourceDescriptor((brokers.bootstrap,), topic, client=chosen(), **in_group),
        )
        self.exchange = Exchange(
            f"{options.group or 'live'} to {'memory' if options.target is None else 'Kafka'}",
            [source],
            pipes,
            [self._sink()],
            gaps=self._ledger,
            health_limit_s=options.health_limit_s,
        )

    def _sink(self) -> Sink:
        target = self._options.target
        if target is None:
            return self._memory
        written = KafkaProducerSinkDescriptor((self._brokers.bootstrap,), target, client=chosen())
        return self._built(ComponentKind.SINK, written)  # type: ignore[no-any-return]

    def _built(self, kind: ComponentKind, descriptor: Descriptor) -> Any:
        component = self._registry.of_descriptor(type(descriptor), kind)
        context = BuildContext(SPEC, self._registry, name="copy", gaps=self._ledger)
        return component.factory(descriptor, context)

    @property
    def ailment(self) -> str | None:
        """What is wrong with it."""
        return ailment(self.exchange)

    @property
    def gaps(self) -> list[Gap]:
        """What its ledger holds."""
        return self._ledger.entries()

    @property
    def passed(self) -> int:
        """How many records it has delivered."""
        return self.exchange.statistics.delivered

    async def start(self) -> None:
        """Begin to stream; returns when it does."""
        self._stream = Stream(self.exchange, lambda: None)
        await until(self._is_streaming, 60, f"{self.exchange.name} streams")

    def _is_streaming(self) -> bool:
        assert self._stream.failure is None, self._stream.failure
        return self._stream.phase is Phase.STREAMING

    async def more(self, timeout_s: float = 60.0) -> float:
        """Wait until it delivers; how many seconds that took."""
        before = self.passed
        return await until(
            lambda: self._is_streaming() and self.passed > before,
            timeout_s,
            f"{self.exchange.name} delivers; it {self.ailment}",
        )

    async def delivered(self, expected: Iterable[int]) -> list[int]:
        """Wait until all that is expected has come, stop in order, and give all that has come."""
        wanted = set(expected)
        async with asyncio.timeout(60):
            while not wanted <= set(await self._contents()):
                assert self._is_streaming()
                await asyncio.sleep(10 * LOOK_S)
        await self.stop()
        return await self._contents()

    async def _contents(self) -> list[int]:
        if self._options.target is None:
            return list(self._memory.accepted)
        return await asyncio.to_thread(contents, self._brokers, self._options.target)

    async def stop(self) -> None:
        """Deliver what was received, and stop; the balance has to close."""
        self._stream.drain()
        await self._stream.ended()
        assert self._stream.failure is None, self._stream.failure
        counted = self.exchange.statistics
        settled = counted.delivered + counted.dropped + counted.dead_lettered
        assert (counted.received, counted.in_flight) == (settled, 0)

    def cancel(self) -> None:
        """End it at once, at the end of a test that failed."""
        self._stream.cancel()


@contextlib.asynccontextmanager
async def running(*copies: Copy) -> AsyncIterator[None]:
    """Exchanges that stream, and are ended whatever happens."""
    try:
        await asyncio.gather(*(copy.start() for copy in copies))
        yield
    finally:
        for copy in copies:
            copy.cancel()
