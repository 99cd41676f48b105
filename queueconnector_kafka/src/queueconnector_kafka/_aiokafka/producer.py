"""A producer for one topic by means of aiokafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Final

import attrs
from aiokafka import AIOKafkaProducer, TopicPartition, codec, errors

from queueconnector_core.errors import ConfigError, RetryableError
from queueconnector_kafka import _client
from queueconnector_kafka._access import Access
from queueconnector_kafka._client import check_partition, common, partitions_of, translated
from queueconnector_kafka._clients import LAST_CONFIRMATIONS_S
from queueconnector_kafka._compose import Messages
from queueconnector_kafka._connecting import closed, connect, reach
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor

__all__ = ("AiokafkaProducer", "check_codec")

_BROKEN: Final = (
    errors.OutOfOrderSequenceNumber,
    errors.InvalidProducerEpoch,
    errors.InvalidProducerIdMapping,
    errors.ProducerFenced,
    errors.ProducerClosed,
)
"""The brokers and this producer do not agree any more on what was sent: only a new one helps."""


def check_codec(name: str) -> None:
    """Raise `ConfigError` (empty path) when the library of a codec is not installed."""
    if not getattr(codec, f"has_{name}")():
        text = f"found {name!r}, whose library is not installed; "
        raise ConfigError.at("", text + "pip install 'queueconnector-kafka[compression]'")


def _from(first: int, column: Sequence[Any] | None, default: Any) -> Iterable[Any]:
    return repeat(default) if column is None else islice(column, first, None)


@attrs.define(eq=False)
class _RecordBatch:
    """Implements `RecordBatch`: the brokers have all of it, or nothing."""

    builder: Any
    records: int
    confirmed: asyncio.Future[Any] | None = None
    """Done when the brokers have it, or refuse it; None: not sent yet."""

    @property
    def is_under_way(self) -> bool:
        return self.confirmed is None or not self.confirmed.done()

    def unconfirmed(self, indices: Sequence[int]) -> Sequence[int]:
        return indices


class AiokafkaProducer:
    """Implements `Producer`."""

    def __init__(
        self, options: KafkaProducerSinkDescriptor, access: Access, record_batch_bytes: int
    ) -> None:
        self._options = options
        self._access = access
        self._topic = options.topic
        self._aiokafka = AIOKafkaProducer(
            **common(options, access),
            acks=options.acks,
            enable_idempotence=options.is_idempotent,
            compression_type=options.compression,
            max_batch_size=record_batch_bytes,
        )
        self._sent: set[asyncio.Future[Any]] = set()
        self._is_broken = False

    @property
    def is_broken(self) -> bool:
        sender = self._aiokafka._sender.sender_task  # noqa: SLF001
        return self._is_broken or (sender is not None and sender.done())

    async def start(self) -> None:
        await connect(self._options, self._access, "cannot write", self._begin, self.stop)

    async def _begin(self) -> None:
        # Without a limit aiokafka would ask for the identity of an idempotent producer.
        async with asyncio.timeout(2 * _client.REQUEST_TIMEOUT_MS / 1000):
            await self._aiokafka.start()
        check_partition(self._options, await partitions_of(self._aiokafka.client, self._options))

    async def partitions(self) -> list[int]:
        try:
            return sorted(await self._aiokafka.partitions_for(self._topic))
        except errors.KafkaError as error:
            raise translated(error, f"cannot write {self._options.where}") from None

    def pack(self, messages: Messages, first: int) -> tuple[_RecordBatch, int]:
        builder = self._aiokafka.create_batch()
        append, now_ms = builder.append, time.time_ns() // 1_000_000
        columns = zip(
            range(first, len(messages)),
            islice(messages.values, first, None),
            _from(first, messages.times_ms, now_ms),
            _from(first, messages.keys, None),
            _from(first, messages.headers, []),
            strict=False,
        )
        for place, value, time_ms, key, headers in columns:
            stamp = now_ms if time_ms is None else time_ms
            if append(timestamp=stamp, key=key, value=value, headers=headers) is None:
                return _RecordBatch(builder, place - first), place
        builder.close()
        return _RecordBatch(builder, len(messages) - first), len(messages)

    async def send(self, record_batches: Mapping[int, _RecordBatch]) -> list[Exception | None]:
        doing = f"cannot write {self._options.where}"
        limit_s = 1.1 * _client.REQUEST_TIMEOUT_MS / 1000
        try:
            for partition, record_batch in record_batches.items():
                if record_batch.confirmed is None:
                    record_batch.confirmed = await self._aiokafka.send_batch(
                        record_batch.builder, self._topic, partition=partition
                    )
                    self._watch(record_batch.confirmed)
        except errors.KafkaError as error:
            raise translated(error, doing) from None
        waiting = {n: batch.confirmed for n, batch in record_batches.items() if batch.confirmed}
        _, late = await asyncio.wait(waiting.values(), timeout=limit_s)
        failed = (done.exception() for done in waiting.values() if done.done())
        if self._access and (late or any(failed)):
            # aiokafka tries for ever to log in with a password that is no longer valid.
            await reach(self._options, self._access)
        return [
            self._result(partition, record_batches[partition], confirmed, doing)
            for partition, confirmed in waiting.items()
        ]

    def _watch(self, confirmed: asyncio.Future[Any]) -> None:
        self._sent.add(confirmed)

        def done(future: asyncio.Future[Any]) -> None:
            self._sent.discard(future)
            if not future.cancelled():
                # Or asyncio would complain about each that nobody waits for any more.
                future.exception()

        confirmed.add_done_callback(done)

    def _result(
        self, partition: int, sent: _RecordBatch, confirmed: asyncio.Future[Any], doing: str
    ) -> Exception | None:
        if not confirmed.done():
            return RetryableError(f"{doing}: {errors.RequestTimedOutError.__name__}")
        error = confirmed.exception()
        if error is None:
            return None
        if isinstance(error, _BROKEN):
            self._is_broken = True
        elif self._aiokafka._txn_manager is not None:  # noqa: SLF001
            # What comes next has the same numbers: either the brokers do not have this one, or they
            # know the next by its numbers, and do not store it twice.
            place = TopicPartition(self._topic, partition)
            self._aiokafka._txn_manager.increment_sequence_number(place, -sent.records)  # noqa: SLF001
        return translated(error, doing)

    async def stop(self) -> None:
        what = f"the producer of {self._options.where}"
        request_s = _client.REQUEST_TIMEOUT_MS / 1000
        if self._sent and self._options.is_idempotent:
            await asyncio.wait(self._sent, timeout=min(LAST_CONFIRMATIONS_S, request_s))
        if self._sent and self._options.is_idempotent:
            await self._abandon()
            await closed(self._aiokafka.client.close(), what)
        else:
            await closed(self._aiokafka.stop(), what, request_s)

    async def _abandon(self) -> None:
        """Give up what is under way: left alone, an idempotent producer tries for ever."""
        self._aiokafka._closed = True  # noqa: SLF001
        sender = self._aiokafka._sender.sender_task  # noqa: SLF001
        while not sender.done():
            # It has to be told twice: it would wait for the answers of the brokers.
            sender.cancel()
            await asyncio.wait({sender}, timeout=0.1)
