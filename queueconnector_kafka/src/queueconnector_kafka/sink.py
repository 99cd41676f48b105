"""Writes each value as one message to a topic."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RecordErrors
from queueconnector_core.record import Batch
from queueconnector_kafka._access import access
from queueconnector_kafka._choosing import check_compression, make_producer
from queueconnector_kafka._client import MessageTooLargeError, TimestampRefusedError
from queueconnector_kafka._clients import Producer, RecordBatch
from queueconnector_kafka._compose import Composer, Messages
from queueconnector_kafka._lanes import lane_of
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor

__all__ = ("KafkaProducerSink",)

logger = logging.getLogger(__name__)

RECORD_BATCH_BYTES = 600 * 1024
"""The size of a record batch, Kafka's unit of sending; a broker takes 1 MiB by default.

A full fetch is about 1 MiB: it becomes two of them, and not two and a small rest, since each waits
for the confirmation of the one before.
"""


@attrs.frozen
class _Parcel:
    """A record batch, and where its values stand in the batch that is being written."""

    indices: Sequence[int]
    record_batch: RecordBatch
    lane: int
    """Modulo the number of partitions it is the partition."""


@attrs.define
class _Delivery:
    """What is left to do of one batch."""

    batch: Batch
    parcels: list[_Parcel]
    failures: dict[int, RecordError]


class KafkaProducerSink:
    """Writes batches to a topic; `write` returns when the brokers have all of it.

    Messages with a key go where Kafka's default partitioner sends them; the others rotate over the
    partitions by record batches. Within a partition they keep their order, through every failure:
    nothing is sent behind a record batch that is not yet confirmed.
    """

    def __init__(self, descriptor: KafkaProducerSinkDescriptor, context: BuildContext) -> None:
        self._descriptor = descriptor
        self._composer = Composer(descriptor, context)
        self._producer: Producer | None = None
        self._lane = 0
        self._unfinished: _Delivery | None = None
        self._writing = asyncio.Lock()
        check_compression(descriptor)
        if descriptor.lacks_port:
            logger.warning("%s: port assumed for %s", context.name, descriptor.where)

    async def start(self) -> None:
        """Connect.

        Raises `RetryableError` while no broker answers or the topic does not exist, `FatalError`
        when this client may not write it, or it has no such partition.
        """
        self._producer = await self._started()

    async def _started(self) -> Producer:
        limit = min(RECORD_BATCH_BYTES, self._descriptor.message_max_bytes)
        producer = make_producer(self._descriptor, await access(self._descriptor), limit)
        await producer.start()
        return producer

    async def write(self, batch: Batch) -> None:
        """Encode and send all values; return when they are confirmed.

        Raises `RecordErrors` for values that the encoding, the size or the topic forbids, or in
        which the key or time stamp that is asked for is not found, `RetryableError` when the
        brokers did not confirm: the same batch written again is continued with what was not
        confirmed, `FatalError` when writing is forbidden. After `stop` it warns and writes nothing.
        """
        async with self._writing:
            if self._producer is None:
                logger.warning(
                    "%s: not open, %d records not written", self._descriptor.where, len(batch)
                )
                return
            if self._producer.is_broken:
                await self._producer.stop()
                self._producer = await self._started()
            if self._unfinished is None or self._unfinished.batch is not batch:
                self._unfinished = await self._prepared(self._producer, batch)
            delivery = self._unfinished
            while delivery.parcels:
                await self._send_round(self._producer, delivery)
            self._unfinished = None
        if delivery.failures:
            raise RecordErrors(dict(sorted(delivery.failures.items())))

    async def stop(self) -> None:
        """Let a running `write` end, then disconnect. Idempotent, safe before `start`.

        It takes as long as that write; with brokers that do not answer, some ten seconds.
        """
        async with self._writing:
            producer, self._producer = self._producer, None
            self._unfinished = None
            if producer is not None:
                await producer.stop()

    async def _prepared(self, producer: Producer, batch: Batch) -> _Delivery:
        messages, failures = self._composer.compose(batch)
        count = 0 if messages.keys is None else len(await producer.partitions())
        return _Delivery(batch, list(self._parcels(producer, messages, count)), failures)

    def _parcels(self, producer: Producer, messages: Messages, count: int) -> Iterator[_Parcel]:
        """The messages in record batches, by the partition, if it is given, or by their keys."""
        keys, fixed = messages.keys, self._descriptor.partition
        if keys is None or fixed is not None:
            yield from self._packed(producer, messages, fixed)
            return
        places: defaultdict[int | None, list[int]] = defaultdict(list)
        for place, key in enumerate(keys):
            places[None if key is None else lane_of(key) % count].append(place)
        for lane, chosen in places.items():
            yield from self._packed(producer, messages.chosen(chosen), lane)

    def _packed(
        self, producer: Producer, messages: Messages, lane: int | None = None
    ) -> Iterator[_Parcel]:
        """The messages in record batches, each on the next lane, or all on the given one."""
        first = 0
        while first < len(messages):
            record_batch, after = producer.pack(messages, first)
            where = self._lane if lane is None else lane
            yield _Parcel(messages.indices[first:after], record_batch, where)
            self._lane += lane is None
            first = after

    async def _send_round(self, producer: Producer, delivery: _Delivery) -> None:
        """Send at most one parcel to each partition, and settle what came of them."""
        partitions = await producer.partitions()
        sent: dict[int, _Parcel] = {}
        later: list[_Parcel] = []
        for parcel in delivery.parcels:
            partition = partitions[parcel.lane % len(partitions)]
            if partition in sent:
                later.append(parcel)
            else:
                sent[partition] = parcel
        results = await producer.send({n: parcel.record_batch for n, parcel in sent.items()})
        left: list[_Parcel] = []
        errors: list[Exception] = []
        for parcel, result in zip(sent.values(), results, strict=True):
            reason = self._refusal(result)
            if reason is not None:
                left += self._halved(producer, delivery, parcel, reason)
            elif result is not None:
                left += self._again(producer, delivery, parcel)
                errors.append(result)
        delivery.parcels = left + later
        if errors:
            raise errors[0]

    def _refusal(self, result: Exception | None) -> str | None:
        """Why the topic refused single records, if it did."""
        if isinstance(result, MessageTooLargeError):
            return f"larger than the topic allows: {result}"
        if self._composer.has_own_times and isinstance(result, TimestampRefusedError):
            return f"the topic refuses the time stamp: {result}"
        return None

    def _halved(
        self, producer: Producer, delivery: _Delivery, parcel: _Parcel, reason: str
    ) -> Iterator[_Parcel]:
        """Two parcels where the topic refused all for some; a value alone is a failure."""
        refused = parcel.record_batch.unconfirmed(parcel.indices)
        if len(refused) == 1:
            delivery.failures[refused[0]] = RecordError(reason)
            return
        middle = len(refused) // 2
        for part in (refused[:middle], refused[middle:]):
            yield from self._repacked(producer, delivery, part, parcel.lane)

    def _again(self, producer: Producer, delivery: _Delivery, parcel: _Parcel) -> Iterator[_Parcel]:
        """The same to be waited for, or, if it was not stored, to be sent once more."""
        if parcel.record_batch.is_under_way:
            yield parcel
        else:
            left = parcel.record_batch.unconfirmed(parcel.indices)
            yield from self._repacked(producer, delivery, left, parcel.lane)

    def _repacked(
        self, producer: Producer, delivery: _Delivery, indices: Sequence[int], lane: int
    ) -> Iterator[_Parcel]:
        messages, failures = self._composer.compose(delivery.batch, indices)
        delivery.failures |= failures
        return self._packed(producer, messages, lane)
