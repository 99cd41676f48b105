"""Reads a topic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import chain
from typing import Any

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RetryableError
from queueconnector_core.record import Acknowledgement, Batch, LazyMetadata, Metadata, Value
from queueconnector_kafka._access import access
from queueconnector_kafka._bulk import apply
from queueconnector_kafka._clients import MAX_FETCH_RECORDS
from queueconnector_kafka._consumer import Consumer
from queueconnector_kafka._continuity import Interrupted
from queueconnector_kafka._positions import Fetched
from queueconnector_kafka._records import (
    accepting_marks,
    mark_null,
    metadata_of,
    position,
    stamp_of,
)
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
        self._gaps = context.gaps
        self._remaining: list[tuple[Consumer, Fetched]] = []
        self._interrupted: Interrupted | None = None
        self._ending = asyncio.Lock()
        """Held while it is found out what was fetched before the end."""
        if descriptor.lacks_port:
            logger.warning("%s: port assumed for %s", context.name, descriptor.where)

    async def start(self) -> None:
        """Connect and fix the positions: what is written from now on will be read.

        Raises `RetryableError` while no broker answers, the topic does not exist or the group is
        not ready, `FatalError` when this client may not read it.
        """
        consumer = Consumer(
            self._descriptor, await access(self._descriptor), self._gaps, self._interrupted
        )
        await consumer.start()
        self._consumer = consumer
        self._interrupted = None
        self._remaining.clear()

    async def read(self) -> AsyncIterator[Batch]:
        """Batches as they are fetched; after `stop` or `drain` what was fetched before, then none.

        In a group what was fetched before is left out: it is not acknowledged, and read again.
        Messages that are not values of the exchange become failures of their batch. Raises
        `RetryableError` when the brokers are lost, `FatalError` when reading is forbidden.
        """
        while (consumer := self._consumer) is not None and consumer.is_open:
            try:
                fetched = await consumer.fetch()
            except RetryableError:
                self._interrupted = consumer.interrupted()
                raise
            if self._consumer is not consumer or not consumer.is_open:
                # Stopped meanwhile: this was fetched behind what is kept.
                self._keep(consumer, fetched)
            elif fetched:
                together = list(chain.from_iterable(fetched.values()))
                yield self._batch(consumer, together, consumer.taken(fetched))
        async with self._ending:
            remaining, self._remaining = self._remaining, []
        for former, fetched in remaining:
            for records in fetched.values():
                for first in range(0, len(records), MAX_FETCH_RECORDS):
                    yield self._batch(former, records[first : first + MAX_FETCH_RECORDS])

    def _keep(self, consumer: Consumer, fetched: Fetched) -> None:
        if self._descriptor.group_id is None:
            self._remaining.append((consumer, fetched))

    async def drain(self) -> None:
        """Fetch nothing more; `read` ends. What is acknowledged until `stop` is committed."""
        if self._consumer is not None:
            await self._end(self._consumer)

    async def stop(self) -> None:
        """Commit, disconnect and make `read` end. Idempotent, safe before `start`."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            # Not the runner on its way to a new start, but the end: the next start reads from now.
            self._interrupted = None
            return
        if self._interrupted is None:
            await self._end(consumer)
        await consumer.stop()

    async def _end(self, consumer: Consumer) -> None:
        async with self._ending:
            if not consumer.is_open:
                return
            consumer.end()
            if self._descriptor.group_id is None:
                self._keep(consumer, await consumer.fetched())

    def silent_s(self) -> float:
        """Seconds since a broker last answered; 0 while records are not asked for."""
        return 0.0 if self._consumer is None else self._consumer.silent_s()

    def lag(self) -> int | None:
        """Records of its partitions that were not given yet, as the brokers told with the latest.

        None before their first answer. While nothing is read, such as in a pause, it stands still.
        """
        return None if self._consumer is None else self._consumer.lag()

    def _batch(
        self,
        consumer: Consumer,
        records: Sequence[Any],
        acknowledgements: tuple[Acknowledgement, ...] = (),
    ) -> Batch:
        known = consumer.known

        def metadata(record: Any) -> Metadata:
            return metadata_of(known(record))

        # A null value is legal in Kafka, and so rare that the decoders need not look for it.
        raw: list[Any] = consumer.values(records)
        decode: Callable[[Any], Value] = self._decode
        if None in raw:
            raw, decode = [mark_null(known(record)) for record in records], accepting_marks(decode)
        values, failures = apply(decode, raw)
        told = [
            RecordError(f"{position(known(records[i]))}: {error}", origins=(metadata(records[i]),))
            for i, error in failures.items()
        ]
        if failures:
            records = [record for index, record in enumerate(records) if index not in failures]
        columns = LazyMetadata(records, metadata, lambda record: stamp_of(known(record)))
        return Batch(values, columns, told, acknowledgements=acknowledgements)
