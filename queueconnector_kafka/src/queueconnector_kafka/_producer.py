"""A producer for one topic: all that the sink asks of aiokafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer, errors

from queueconnector_kafka import _client
from queueconnector_kafka._access import Access
from queueconnector_kafka._client import common, partitions_of, translated
from queueconnector_kafka._connecting import closed, reach, undisturbed
from queueconnector_kafka.descriptors import TopicOptions

__all__ = ("Producer", "RecordBatch")

RecordBatch: TypeAlias = Any
"""Kafka's unit of sending, filled by `Producer.pack`; a value is added to it once, then sent."""


class Producer:
    """Writes record batches to the partitions of a topic; every replica in sync confirms them."""

    def __init__(self, options: TopicOptions, access: Access, record_batch_bytes: int) -> None:
        self._options = options
        self._access = access
        self._topic = options.topic
        self._aiokafka = AIOKafkaProducer(
            **common(options, access), acks="all", max_batch_size=record_batch_bytes
        )

    async def start(self) -> None:
        """Connect, and wait for the topic. Raises `RetryableError` or `FatalError`."""
        try:
            await reach(self._options, self._access)
            await undisturbed(self._begin())
        except BaseException as error:
            await self.stop()
            if isinstance(error, Exception):
                raise translated(error, f"cannot write {self._options.where}") from None
            raise

    async def _begin(self) -> None:
        await self._aiokafka.start()
        await partitions_of(self._aiokafka.client, self._options)

    async def partitions(self) -> list[int]:
        """The numbers of the topic's partitions. Raises `RetryableError` or `FatalError`."""
        try:
            return sorted(await self._aiokafka.partitions_for(self._topic))
        except errors.KafkaError as error:
            raise translated(error, f"cannot write {self._options.where}") from None

    def pack(
        self, values: Sequence[bytes], first: int, times_ms: Sequence[int] | None = None
    ) -> tuple[RecordBatch, int]:
        """A record batch of values from index `first` on, and the index of the next value.

        It takes as many as fit, at least one. `times_ms` has the time stamp of each value, in ms
        since the Unix epoch; without them it is the present time.
        """
        record_batch = self._aiokafka.create_batch()
        append = record_batch.append
        times: Iterable[int] = repeat(time.time_ns() // 1_000_000)
        if times_ms is not None:
            times = islice(times_ms, first, None)
        for index, time_ms in zip(range(first, len(values)), times, strict=False):
            if append(timestamp=time_ms, key=None, value=values[index]) is None:
                return record_batch, index
        record_batch.close()
        return record_batch, len(values)

    async def send(self, record_batches: Mapping[int, RecordBatch]) -> list[Exception | None]:
        """Send one record batch to each partition; the result of each: None, or why it failed.

        It waits for all: afterwards none is under way. The results are `MessageTooLargeError`,
        `RetryableError` and `FatalError`.
        """
        doing = f"cannot write {self._options.where}"
        try:
            waiting = [
                await self._aiokafka.send_batch(record_batch, self._topic, partition=partition)
                for partition, record_batch in record_batches.items()
            ]
        except errors.KafkaError as error:
            raise translated(error, doing) from None
        results = await asyncio.gather(*waiting, return_exceptions=True)
        if self._access and any(isinstance(result, BaseException) for result in results):
            # aiokafka tries for ever to log in with a password that is no longer valid.
            await reach(self._options, self._access)
        return [
            translated(result, doing) if isinstance(result, BaseException) else None
            for result in results
        ]

    async def stop(self) -> None:
        """Disconnect; what is still being sent has at most the time-out of a request left."""
        limit_s = 2 * _client.REQUEST_TIMEOUT_MS / 1000
        await closed(self._aiokafka.stop(), f"the producer of {self._options.where}", limit_s)
