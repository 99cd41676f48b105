"""Reads a topic from now on."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, overload

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RetryableError
from queueconnector_core.protocols import Decoder
from queueconnector_core.record import Batch, Metadata, TimestampOrigin, Value
from queueconnector_kafka._access import access
from queueconnector_kafka._bulk import apply
from queueconnector_kafka._client import MAX_FETCH_RECORDS, Consumer, KafkaRecord
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("KafkaConsumerSource",)

logger = logging.getLogger(__name__)

Fetched = Mapping[int, Sequence[KafkaRecord]]


class KafkaConsumerSource:
    """Reads all partitions of a topic, from the end at the time of `start`.

    Records of one partition keep their order. A broker that restarts, or is away for some
    seconds, is awaited without a loss; when none answers for longer, `read` raises
    `RetryableError`, and after the next `start` goes on where it was.
    """

    def __init__(self, descriptor: KafkaConsumerSourceDescriptor, context: BuildContext) -> None:
        self._descriptor = descriptor
        codec = descriptor.codec(context.spec, context.registry)
        self._decode = codec.decoder(context.spec)
        self._consumer: Consumer | None = None
        self._remaining: list[Fetched] = []
        self._resume: dict[int, int] | None = None
        if descriptor.lacks_port:
            logger.warning("%s: port assumed for %s", context.name, descriptor.where)

    async def start(self) -> None:
        """Connect and fix the positions: what is written from now on will be read.

        Raises `RetryableError` while no broker answers or the topic does not exist, `FatalError`
        when this client may not read it.
        """
        consumer = Consumer(self._descriptor, await access(self._descriptor))
        await consumer.start(self._resume)
        self._consumer = consumer
        self._resume = None
        self._remaining.clear()

    async def read(self) -> AsyncIterator[Batch]:
        """Batches as they are fetched; after `stop` what was fetched before, then the end.

        Messages that are not values of the exchange become failures of their batch. Raises
        `RetryableError` when the brokers are lost, `FatalError` when reading is forbidden.
        """
        while (consumer := self._consumer) is not None:
            try:
                fetched = await consumer.fetch()
            except RetryableError:
                self._resume = dict(consumer.positions)
                raise
            if self._consumer is not consumer:
                # Stopped meanwhile: this was fetched behind what is kept.
                self._remaining.append(fetched)
            elif fetched:
                yield self._batch(list(chain.from_iterable(fetched.values())))
        remaining, self._remaining = self._remaining, []
        for records in chain.from_iterable(fetched.values() for fetched in remaining):
            for first in range(0, len(records), MAX_FETCH_RECORDS):
                yield self._batch(records[first : first + MAX_FETCH_RECORDS])

    async def stop(self) -> None:
        """Disconnect and make `read` end. Idempotent, safe before `start`."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            # Not the runner on its way to a new start, but the end: the next start reads from now.
            self._resume = None
            return
        if self._resume is None:
            self._remaining.append(await consumer.fetched())
        await consumer.stop()

    def _batch(self, records: Sequence[KafkaRecord]) -> Batch:
        # A null value is legal in Kafka, and so rare that the decoders need not look for it.
        raw: list[Any] = [record.value for record in records]
        decode = _refusing_none(self._decode) if None in raw else self._decode
        values, failures = apply(decode, raw)
        if not failures:
            return Batch(values, LazyMetadata(records))
        told = [
            RecordError(f"{_position(records[index])}: {error}")
            for index, error in failures.items()
        ]
        kept = [record for index, record in enumerate(records) if index not in failures]
        return Batch(values, LazyMetadata(kept), told)


def _refusing_none(decode: Decoder) -> Decoder:
    def decoder(octets: bytes | None) -> Value:
        if octets is None:
            raise RecordError("a message without a value (a tombstone)")
        return decode(octets)

    return decoder


def _position(record: KafkaRecord) -> str:
    return f"{record.topic}[{record.partition}]@{record.offset}"


class LazyMetadata(Sequence[Metadata]):
    """The metadata of fetched records, made when somebody looks."""

    __slots__ = ("_records",)

    def __init__(self, records: Sequence[KafkaRecord]) -> None:
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Metadata: ...
    @overload
    def __getitem__(self, index: slice) -> LazyMetadata: ...
    def __getitem__(self, index: int | slice) -> Metadata | LazyMetadata:
        if isinstance(index, slice):
            return LazyMetadata(self._records[index])
        return _metadata(self._records[index])

    def __iter__(self) -> Iterator[Metadata]:
        return map(_metadata, self._records)


def _metadata(record: KafkaRecord) -> Metadata:
    stamped = record.timestamp >= 0
    by_producer = record.timestamp_type == 0
    return Metadata(
        timestamp_ns=record.timestamp * 1_000_000 if stamped else None,
        timestamp_origin=TimestampOrigin.SOURCE if by_producer else TimestampOrigin.TRANSPORT,
        key=record.key,
        headers=tuple(record.headers),
        position=_position(record),
    )
