"""A producer for one topic by means of librdkafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain, islice, repeat
from typing import Any, Final

import attrs
from aiokafka.client import AIOKafkaClient
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from queueconnector_core.errors import RetryableError
from queueconnector_kafka import _client
from queueconnector_kafka._access import Access
from queueconnector_kafka._client import check_partition, partitions_of, translated
from queueconnector_kafka._clients import LAST_CONFIRMATIONS_S
from queueconnector_kafka._compose import Messages
from queueconnector_kafka._connecting import closed, connect, reach
from queueconnector_kafka._librdkafka.common import common, known
from queueconnector_kafka._librdkafka.worker import Worker
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor

__all__ = ("LibrdkafkaProducer",)

IDLE_S: Final = 1.0
LINGER_MS: Final = 1_000
"""Longer than it takes to fill a record batch: it is sent whole, by the flush that follows."""

OVERHEAD_BYTES: Final = 70
"""What a record takes beside its value, key and headers, at most."""

PURGE_S: Final = 1.0
MOST_BYTES: Final = 1_000_000_000
MOST_RECORDS: Final = 1_000_000

Column = Sequence[Any] | None


@attrs.define(eq=False)
class _RecordBatch:
    """Implements `RecordBatch`; librdkafka sends it as one, unless a broker is away meanwhile."""

    values: Sequence[bytes | None]
    times_ms: Column
    keys: Column
    headers: Column
    is_sent: bool = False
    is_under_way: bool = True
    failures: dict[int, KafkaError] = attrs.field(factory=dict)
    """Why a record was not stored, by its place."""

    def unconfirmed(self, indices: Sequence[int]) -> Sequence[int]:
        return [indices[place] for place in sorted(self.failures)]


class _Sending:
    """Sends in a thread of its own.

    librdkafka confirms single records. It tells only of those that failed; when nothing is under
    way any more, all others are stored.
    """

    def __init__(self, settings: Mapping[str, Any], topic: str) -> None:
        """It takes some time."""
        self._topic = topic
        self._sent: dict[int, _RecordBatch] = {}
        """What is under way, by partition."""
        self._reports: list[Callable[[KafkaError | None, Message], None]] = []
        """Takes the failure of the record at each place of a record batch."""
        self.is_broken = False
        self._producer = Producer({**settings, "error_cb": self._on_error})
        self._worker = Worker(f"writing {topic}", self._turn)

    async def send(self, record_batches: Mapping[int, _RecordBatch], limit_s: float) -> None:
        """Send what is not yet sent, and wait for all of it, at most so long."""
        await self._worker.call(partial(self._send, record_batches, limit_s))

    async def end(self, limit_s: float) -> None:
        """Disconnect; what is under way has so long to be confirmed."""
        await self._worker.end(partial(self._end, limit_s))

    # -- run in the thread ------------------------------------------------------------------------

    def _turn(self) -> float:
        self._producer.poll(0)
        return IDLE_S

    def _send(self, record_batches: Mapping[int, _RecordBatch], limit_s: float) -> None:
        for partition, record_batch in record_batches.items():
            if not record_batch.is_sent:
                record_batch.is_sent = True
                self._sent[partition] = record_batch
                self._put(partition, record_batch)
        if not self._producer.flush(limit_s):
            for record_batch in self._sent.values():
                record_batch.is_under_way = False
            self._sent.clear()

    def _put(self, partition: int, record_batch: _RecordBatch) -> None:
        count = len(record_batch.values)
        self._reports += (partial(self._report, n) for n in range(len(self._reports), count))
        produce, topic = self._producer.produce, self._topic
        columns = zip(
            record_batch.values,
            record_batch.keys or repeat(None),
            record_batch.times_ms or repeat(None),
            record_batch.headers or repeat(None),
            self._reports,
            strict=False,
        )
        place = 0
        try:
            for value, key, time_ms, headers, report in columns:
                # librdkafka takes 0 for the time of writing: the epoch is one millisecond later.
                stamp = 0 if time_ms is None else time_ms or 1
                produce(topic, value, key, partition, report, None, stamp, headers)
                place += 1
        except KafkaException as error:
            record_batch.failures |= dict.fromkeys(range(place, count), error.args[0])

    def _report(self, place: int, error: KafkaError | None, message: Message) -> None:
        partition = message.partition()
        if error is not None and partition is not None:
            self._sent[partition].failures[place] = error
            self._on_error(error)

    def _on_error(self, error: KafkaError) -> None:
        # The brokers and this producer do not agree any more on what was sent.
        self.is_broken |= error.fatal()

    def _end(self, limit_s: float) -> None:
        if self._producer.flush(limit_s):
            self._producer.purge()
            self._producer.flush(PURGE_S)
        # The end of a client blocks: here nobody waits for it.
        del self._producer


class LibrdkafkaProducer:
    """Implements `Producer`."""

    def __init__(
        self, options: KafkaProducerSinkDescriptor, access: Access, record_batch_bytes: int
    ) -> None:
        self._options = options
        self._access = access
        self._bytes = record_batch_bytes
        self._metadata = AIOKafkaClient(**_client.common(options, access))
        self._sending: _Sending | None = None

    @property
    def is_broken(self) -> bool:
        return self._sending is not None and self._sending.is_broken

    async def start(self) -> None:
        await connect(self._options, self._access, "cannot write", self._begin, self.stop)

    async def _begin(self) -> None:
        await self._metadata.bootstrap()
        check_partition(self._options, await partitions_of(self._metadata, self._options))
        self._sending = await asyncio.to_thread(
            lambda: _Sending(_settings(self._options, self._bytes), self._options.topic)
        )

    async def partitions(self) -> list[int]:
        found = self._metadata.cluster.partitions_for_topic(self._options.topic)
        return sorted(found) if found else await partitions_of(self._metadata, self._options)

    def pack(self, messages: Messages, first: int) -> tuple[_RecordBatch, int]:
        octets, after = 0, first
        columns = zip(
            islice(messages.values, first, first + MOST_RECORDS),
            islice(messages.keys or repeat(None), first, None),
            islice(messages.headers or repeat(()), first, None),
            strict=False,
        )
        for value, key, headers in columns:
            octets += OVERHEAD_BYTES + len(value or b"") + len(key or b"")
            if headers:
                octets += sum(len(part or b"") for part in chain.from_iterable(headers))
            if octets > self._bytes and after > first:
                break
            after += 1

        def part(column: Column) -> Column:
            return None if column is None else column[first:after]

        others = (part(messages.times_ms), part(messages.keys), part(messages.headers))
        return _RecordBatch(messages.values[first:after], *others), after

    async def send(self, record_batches: Mapping[int, _RecordBatch]) -> list[Exception | None]:
        doing = f"cannot write {self._options.where}"
        if self._sending is None:
            raise RetryableError(f"{doing}: not connected")
        await self._sending.send(record_batches, 1.1 * _client.REQUEST_TIMEOUT_MS / 1000)
        results = [_result(record_batch, doing) for record_batch in record_batches.values()]
        if self._access and any(results):
            # librdkafka tries for ever to log in with a password that is no longer valid.
            await reach(self._options, self._access)
        return results

    async def stop(self) -> None:
        what = f"the producer of {self._options.where}"
        if self._sending is not None:
            limit_s = min(LAST_CONFIRMATIONS_S, _client.REQUEST_TIMEOUT_MS / 1000)
            await closed(self._sending.end(limit_s), what, LAST_CONFIRMATIONS_S + 2 * PURGE_S)
            self._sending = None
        await closed(self._metadata.close(), what)


def _settings(options: KafkaProducerSinkDescriptor, record_batch_bytes: int) -> dict[str, Any]:
    return common(options) | {
        "acks": options.acks,
        "enable.idempotence": options.is_idempotent,
        "compression.type": options.compression or "none",
        "delivery.report.only.error": True,
        "linger.ms": LINGER_MS,
        # A record batch is packed here: no limit of librdkafka is to divide it.
        "batch.size": min(2 * record_batch_bytes + OVERHEAD_BYTES, 2**31 - 1),
        "batch.num.messages": MOST_RECORDS,
        "message.max.bytes": MOST_BYTES,
        "queue.buffering.max.messages": 0,
        "queue.buffering.max.kbytes": 2**31 - 1,
        "request.timeout.ms": _client.REQUEST_TIMEOUT_MS,
        "socket.timeout.ms": _client.REQUEST_TIMEOUT_MS,
        # What is under way stays so: sent anew it might be stored twice.
        "message.timeout.ms": 0,
    }


def _result(sent: _RecordBatch, doing: str) -> Exception | None:
    if sent.is_under_way:
        return RetryableError(f"{doing}: RequestTimedOutError")
    if not sent.failures:
        return None
    told = sent.failures.values()
    reasons = (e for e in told if e.code() != KafkaError._INVALID_DIFFERENT_RECORD)  # noqa: SLF001
    return translated(known(next(reasons, next(iter(told)))), doing)
