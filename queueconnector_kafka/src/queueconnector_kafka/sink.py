"""Writes each value as one message to a topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RecordErrors
from queueconnector_core.record import Batch
from queueconnector_kafka._access import access
from queueconnector_kafka._bulk import apply
from queueconnector_kafka._client import MessageTooLargeError, TimestampRefusedError
from queueconnector_kafka._producer import Producer, RecordBatch
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor
from queueconnector_kafka.timestamps import extractor

__all__ = ("KafkaProducerSink",)

logger = logging.getLogger(__name__)

RECORD_BATCH_BYTES = 512 * 1024
"""The size of a record batch, Kafka's unit of sending; half of what a broker takes by default."""


@attrs.frozen
class _Parcel:
    """A record batch, and where its values stand in the batch that is being written."""

    indices: Sequence[int]
    record_batch: RecordBatch
    lane: int
    """Its place in the rotation over the partitions."""


@attrs.define
class _Delivery:
    """What is left to do of one batch."""

    batch: Batch
    parcels: list[_Parcel]
    failures: dict[int, RecordError]


class KafkaProducerSink:
    """Writes batches to a topic; `write` returns when every replica in sync has all of it.

    Record batches rotate over the partitions; within a partition values keep their order, through
    every failure: nothing is sent behind a record batch that is not yet confirmed.
    """

    def __init__(self, descriptor: KafkaProducerSinkDescriptor, context: BuildContext) -> None:
        self._descriptor = descriptor
        codec = descriptor.codec(context.spec, context.registry)
        self._encode = codec.encoder(context.spec)
        options = descriptor.timestamp_options
        self._time_of = None if options is None else extractor(options)
        self._producer: Producer | None = None
        self._lane = 0
        self._unfinished: _Delivery | None = None
        self._writing = asyncio.Lock()
        if descriptor.lacks_port:
            logger.warning("%s: port assumed for %s", context.name, descriptor.where)

    async def start(self) -> None:
        """Connect.

        Raises `RetryableError` while no broker answers or the topic does not exist, `FatalError`
        when this client may not write it.
        """
        limit = min(RECORD_BATCH_BYTES, self._descriptor.message_max_bytes)
        producer = Producer(self._descriptor, await access(self._descriptor), limit)
        await producer.start()
        self._producer = producer

    async def write(self, batch: Batch) -> None:
        """Encode and send all values; return when they are confirmed.

        Raises `RecordErrors` for values that the encoding, the size or the topic forbids, or in
        which the time stamp that is asked for is not found, `RetryableError` when the brokers did
        not confirm: the same batch written again is continued with what was not confirmed (it may
        have arrived: then it is there twice), `FatalError` when writing is forbidden. After `stop`
        it warns and writes nothing.
        """
        async with self._writing:
            if self._producer is None:
                logger.warning(
                    "%s: not open, %d records not written", self._descriptor.where, len(batch)
                )
                return
            if self._unfinished is None or self._unfinished.batch is not batch:
                self._unfinished = self._prepared(self._producer, batch)
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

    def _prepared(self, producer: Producer, batch: Batch) -> _Delivery:
        encoded, failures = apply(self._encode, batch.values)
        indices: Sequence[int] = range(len(batch.values))
        if failures:
            indices = [index for index in indices if index not in failures]
        limit = self._descriptor.message_max_bytes
        if encoded and max(map(len, encoded)) > limit:
            for index, value in zip(indices, encoded, strict=True):
                if len(value) > limit:
                    failures[index] = RecordError(
                        f"{len(value)} octets encoded, message_max_bytes allows {limit}"
                    )
            indices = [index for index in indices if index not in failures]
            encoded = [value for value in encoded if len(value) <= limit]
        times_ms: list[int] | None = None
        if self._time_of is not None:
            times_ms, timeless = apply(self._time_of, [batch.values[n] for n in indices])
            if timeless:
                failures |= {indices[place]: error for place, error in timeless.items()}
                kept = [place for place in range(len(indices)) if place not in timeless]
                indices = [indices[place] for place in kept]
                encoded = [encoded[place] for place in kept]
        return _Delivery(batch, list(self._packed(producer, encoded, times_ms, indices)), failures)

    def _packed(
        self,
        producer: Producer,
        encoded: Sequence[bytes],
        times_ms: Sequence[int] | None,
        indices: Sequence[int],
        lane: int | None = None,
    ) -> Iterator[_Parcel]:
        """The values in record batches, each on the next lane, or all on the given one."""
        first = 0
        while first < len(encoded):
            record_batch, after = producer.pack(encoded, first, times_ms)
            yield _Parcel(indices[first:after], record_batch, self._lane if lane is None else lane)
            self._lane += lane is None
            first = after

    async def _send_round(self, producer: Producer, delivery: _Delivery) -> None:
        """Send at most one parcel to each partition, and settle what came of them."""
        partitions = await producer.partitions()
        sent: dict[int, _Parcel] = {}
        for parcel in delivery.parcels:
            partition = partitions[parcel.lane % len(partitions)]
            if partition in sent:
                break
            sent[partition] = parcel
        results = await producer.send({n: parcel.record_batch for n, parcel in sent.items()})
        left: list[_Parcel] = []
        errors: list[Exception] = []
        for parcel, result in zip(sent.values(), results, strict=True):
            if isinstance(result, MessageTooLargeError):
                reason = f"larger than the topic allows: {result}"
                left += self._halved(producer, delivery, parcel, reason)
            elif self._time_of is not None and isinstance(result, TimestampRefusedError):
                reason = f"the topic refuses the time stamp: {result}"
                left += self._halved(producer, delivery, parcel, reason)
            elif result is not None:
                left.append(parcel)
                errors.append(result)
        delivery.parcels = left + delivery.parcels[len(sent) :]
        if errors:
            raise errors[0]

    def _halved(
        self,
        producer: Producer,
        delivery: _Delivery,
        parcel: _Parcel,
        reason: str,
    ) -> Iterator[_Parcel]:
        """Two parcels where the topic refused all for some; a value alone is a failure."""
        if len(parcel.indices) == 1:
            delivery.failures[parcel.indices[0]] = RecordError(reason)
            return
        middle = len(parcel.indices) // 2
        for part in (parcel.indices[:middle], parcel.indices[middle:]):
            values = [delivery.batch.values[index] for index in part]
            encoded = [self._encode(value) for value in values]
            times_ms = self._time_of and [self._time_of(value) for value in values]
            yield from self._packed(producer, encoded, times_ms, part, parcel.lane)
