"""Reads a topic."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain
from typing import Any, overload

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RetryableError
from queueconnector_core.protocols import Decoder
from queueconnector_core.record import Acknowledgement, Batch, Metadata, TimestampOrigin, Value
from queueconnector_kafka._bulk import apply
from queueconnector_kafka._client import KafkaRecord
from queueconnector_kafka._consumer import MAX_FETCH_RECORDS, Consumer
from queueconnector_kafka._positions import Fetched, Progress
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("KafkaConsumerSource",)

logger = logging.getLogger(__name__)


class KafkaConsumerSource:
    """Reads the partitions of a topic, all of them or its share of a group's.

    Records of one partition keep their order. A broker that restarts, or is away for some
    seconds, is awaited without a loss; when none answers for longer, `read` raises
    `RetryableError`, and after the next `start` goes on where it was.
    """

    def __init__(self, descriptor: KafkaConsumerSourceDescriptor, context: BuildContext) -> None:
        self._descriptor = descriptor
        codec = descriptor.codec(context.spec, context.registry)
        self._decode = codec.decoder(context.spec)
        self._consumer: Consumer | None = None
        self._is_draining = False
        self._remaining: list[Fetched] = []
        self._resume: dict[int, Progress] | None = None
        if descriptor.lacks_port:
            logger.warning("%s: port assumed for %s", context.name, descriptor.where)

    async def start(self) -> None:
        """Connect and fix the positions: what is written from now on will be read.

        Raises `RetryableError` while no broker answers, the topic does not exist or the group is
        not ready, `FatalError` when this client may not read it.
        """
        consumer = Consumer(self._descriptor, self._resume)
        await consumer.start()
        self._consumer = consumer
        self._resume = None
        self._is_draining = False
        self._remaining.clear()

    async def read(self) -> AsyncIterator[Batch]:
        """Batches as they are fetched; after `stop` or `drain` what was fetched before, then none.

        In a group what was fetched before is left out: it is not acknowledged, and read again.
        Messages that are not values of the exchange become failures of their batch. Raises
        `RetryableError` when the brokers are lost, `FatalError` when reading is forbidden.
        """
        while (consumer := self._consumer) is not None and not self._is_draining:
            try:
                fetched = await consumer.fetch()
            except RetryableError:
                self._resume = consumer.progress
                raise
            if self._consumer is not consumer or self._is_draining:
                # Stopped meanwhile: this was fetched behind what is kept.
                self._keep(fetched)
            elif fetched:
                together = list(chain.from_iterable(fetched.values()))
                yield self._batch(together, consumer.taken(fetched))
        remaining, self._remaining = self._remaining, []
        for records in chain.from_iterable(fetched.values() for fetched in remaining):
            for first in range(0, len(records), MAX_FETCH_RECORDS):
                yield self._batch(records[first : first + MAX_FETCH_RECORDS])

    def _keep(self, fetched: Fetched) -> None:
        if self._descriptor.group_id is None:
            self._remaining.append(fetched)

    async def drain(self) -> None:
        """Fetch nothing more; `read` ends. What is acknowledged until `stop` is committed."""
        if self._consumer is None:
            return
        self._is_draining = True
        self._keep(await self._consumer.fetched())
        self._consumer.end()

    async def stop(self) -> None:
        """Commit, disconnect and make `read` end. Idempotent, safe before `start`."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            # Not the runner on its way to a new start, but the end: the next start reads from now.
            self._resume = None
            return
        if self._resume is None and not self._is_draining:
            self._keep(await consumer.fetched())
        await consumer.stop()

    def silent_s(self) -> float:
        """Seconds since a broker last answered; 0 while records are not asked for."""
        return 0.0 if self._consumer is None else self._consumer.silent_s()

    def _batch(
        self, records: Sequence[KafkaRecord], acknowledgements: tuple[Acknowledgement, ...] = ()
    ) -> Batch:
        # A null value is legal in Kafka, and so rare that the decoders need not look for it.
        raw: list[Any] = [record.value for record in records]
        decode = _refusing_none(self._decode) if None in raw else self._decode
        values, failures = apply(decode, raw)
        if not failures:
            return Batch(values, LazyMetadata(records), acknowledgements=acknowledgements)
        told = [
            RecordError(f"{_position(records[index])}: {error}")
            for index, error in failures.items()
        ]
        kept = [record for index, record in enumerate(records) if index not in failures]
        return Batch(values, LazyMetadata(kept), told, acknowledgements=acknowledgements)


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
