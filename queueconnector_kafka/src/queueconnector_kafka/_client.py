"""A consumer and a producer of one topic: all that this package asks of aiokafka.

Beside it only `_access` imports aiokafka, and no other module sees its errors: they leave as
`RetryableError` (the brokers are away, or busy, or not yet ready) or `FatalError` (trying again is
pointless).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, Final, Protocol, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, errors
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata

from queueconnector_core.errors import FatalError, QueueConnectorError, RetryableError
from queueconnector_kafka._access import Access
from queueconnector_kafka._connecting import closed, reach, undisturbed
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor, TopicOptions

__all__ = (
    "Consumer",
    "KafkaRecord",
    "MessageTooLargeError",
    "Producer",
    "RecordBatch",
    "TimestampRefusedError",
)

logger = logging.getLogger(__name__)

TOPIC_TIMEOUT_S: Final = 5.0
"""A topic that is being made has so long to get a leader for each of its partitions."""

REQUEST_TIMEOUT_MS: Final = 10_000
RETRY_BACKOFF_MS: Final = 250
METADATA_MAX_AGE_MS: Final = 30_000
"""New partitions are noticed within this time."""

FETCH_POLL_MS: Final = 1_000
MAX_FETCH_RECORDS: Final = 1_000
"""So many records are decoded at a stretch, before others get their turn."""

SILENCE_S: Final = 10.0
"""A consumer that heard nothing from any broker for so long has lost its brokers."""

_FATAL: Final = (
    errors.TopicAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.SaslAuthenticationFailed,
    errors.AuthenticationFailedError,
    errors.AuthenticationMethodNotSupported,
    errors.UnsupportedSaslMechanismError,
    errors.InvalidTopicError,
    errors.InvalidRequiredAcksError,
    errors.PolicyViolationError,
    errors.SecurityDisabled,
    errors.UnsupportedVersionError,
    errors.IncompatibleBrokerVersion,
    errors.UnrecognizedBrokerVersion,
    errors.UnsupportedForMessageFormatError,
    errors.UnsupportedCodecError,
)
_TOO_LARGE: Final = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


class KafkaRecord(Protocol):
    """A message as it was fetched; `timestamp` in ms since the Unix epoch, -1 for none."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


RecordBatch: TypeAlias = Any
"""Kafka's unit of sending, filled by `Producer.pack`; a value is added to it once, then sent."""


class MessageTooLargeError(QueueConnectorError):
    """The broker refused a record batch for its size, in all its records or in its only one."""


class TimestampRefusedError(FatalError):
    """The topic refused a record batch for the time stamp of one of its records.

    It is fatal where the time stamps are those of writing: a clock is wrong.
    """


def _translated(error: BaseException, doing: str) -> Exception:
    """What the runner needs to know of an error of aiokafka; any other error stays as it is."""
    if isinstance(error, _TOO_LARGE):
        return MessageTooLargeError(f"{doing}: {error}")
    if isinstance(error, errors.InvalidTimestampError):
        return TimestampRefusedError(f"{doing}: {error}")
    if isinstance(error, _FATAL):
        return FatalError(f"{doing}: {error}")
    if isinstance(error, errors.KafkaError | TimeoutError | OSError):
        return RetryableError(f"{doing}: {error or type(error).__name__}")
    return error if isinstance(error, Exception) else RetryableError(f"{doing}: {error!r}")


class Consumer:
    """Reads all partitions of a topic, each at its own position, without a consumer group.

    The partitions are assigned here and not by aiokafka's subscription: that one drops all
    positions, and goes on at the end, when a restarting broker does not know its topics for a
    moment.
    """

    def __init__(self, options: KafkaConsumerSourceDescriptor, access: Access) -> None:
        self._topic = options.topic
        self._options = options
        self._access = access
        self._aiokafka = AIOKafkaConsumer(
            **_common(options, access),
            fetch_max_wait_ms=options.fetch_max_wait_ms,
            # The fetching task wakes up by events; this is no more than a safety net.
            consumer_timeout_ms=1_000,
            auto_offset_reset="none",
            enable_auto_commit=False,
        )
        self._open = False
        self._heard = _Heard()
        self.positions: dict[int, int] = {}
        """The offset of the next record of each partition."""

    async def start(self, resume: Mapping[int, int] | None = None) -> None:
        """Fix the positions: after the last record there is now, or those of `resume`.

        Raises `RetryableError` or `FatalError`.
        """
        try:
            await reach(self._options, self._access)
            await undisturbed(self._begin(resume or {}))
        except BaseException as error:
            await self.stop()
            if isinstance(error, Exception):
                raise _translated(error, f"cannot read {self._options.where}") from None
            raise

    async def _begin(self, resume: Mapping[int, int]) -> None:
        await self._aiokafka.start()
        # aiokafka gives a consumer's metadata away, but no way to ask for fresh ones.
        partitions = await _partitions(self._aiokafka._client, self._options)  # noqa: SLF001
        ends = await self._aiokafka.end_offsets([self._place(number) for number in partitions])
        # After an interruption a partition that is new was made since, and is read as a whole.
        default = {number: 0 if resume else ends[self._place(number)] for number in partitions}
        self._assign(default | {n: offset for n, offset in resume.items() if n in default})
        self._heard.now()
        self._open = True

    def _place(self, partition: int) -> Any:
        return TopicPartition(self._topic, partition)

    def _assign(self, positions: dict[int, int]) -> None:
        self.positions = positions
        self._aiokafka.assign([self._place(partition) for partition in positions])
        for partition, offset in positions.items():
            self._aiokafka.seek(self._place(partition), offset)

    async def fetch(self) -> dict[int, Sequence[KafkaRecord]]:
        """The next records by partition, at most `MAX_FETCH_RECORDS`.

        None when there were none for a second, or after `stop`. Raises `RetryableError`, also when
        no broker answered for `SILENCE_S`, and `FatalError`.
        """
        if not self._open:
            return {}
        try:
            self._watch_partitions()
            found = await self._aiokafka.getmany(
                timeout_ms=FETCH_POLL_MS, max_records=MAX_FETCH_RECORDS
            )
        except errors.ConsumerStoppedError:
            return {}
        except errors.OffsetOutOfRangeError as error:
            await self._return_to_range(error.args[0])
            return {}
        except errors.KafkaError as error:
            raise _translated(error, f"cannot read {self._options.where}") from None
        if found:
            self._heard.now()
        elif self._open:
            self._check_silence()
        return self._taken(found)

    async def fetched(self) -> dict[int, Sequence[KafkaRecord]]:
        """All records that aiokafka holds at this moment; it does not wait, nor yield."""
        try:
            return self._taken(await self._aiokafka.getmany(timeout_ms=0))
        except errors.KafkaError:
            return {}

    def _taken(
        self, found: Mapping[Any, Sequence[KafkaRecord]]
    ) -> dict[int, Sequence[KafkaRecord]]:
        for place, records in found.items():
            self.positions[place.partition] = records[-1].offset + 1
        return {place.partition: records for place, records in found.items()}

    def _watch_partitions(self) -> None:
        """Read new partitions from their beginning: all they hold was written since `start`."""
        known = self._aiokafka.partitions_for_topic(self._topic) or set()
        new = known - self.positions.keys()
        if new:
            logger.info("%s has new partitions: %s", self._options.where, sorted(new))
            self._assign(self.positions | dict.fromkeys(new, 0))

    async def _return_to_range(self, wanted: Mapping[Any, int]) -> None:
        """Go on with the oldest record where the wanted one is gone, or the topic began anew."""
        try:
            first = await self._aiokafka.beginning_offsets(list(wanted))
        except errors.KafkaError as error:
            raise _translated(error, f"cannot read {self._options.where}") from None
        for place, offset in wanted.items():
            logger.warning(
                "%s[%d]@%d is not there any more (deleted by retention, or the topic was made "
                "anew); going on at @%d",
                *(place.topic, place.partition, offset, first[place]),
            )
            self.positions[place.partition] = first[place]
            self._aiokafka.seek(place, first[place])

    def _check_silence(self) -> None:
        answers = (self._aiokafka.last_poll_timestamp(self._place(n)) for n in self.positions)
        silent_s = self._heard.silent_s(max((answer or 0 for answer in answers), default=0))
        if silent_s > SILENCE_S:
            servers = ", ".join(self._options.bootstrap)
            raise RetryableError(
                f"no answer from the Kafka brokers at {servers} for {silent_s:.0f} s"
            )

    async def stop(self) -> None:
        """Disconnect; a waiting `fetch` returns."""
        self._open = False
        await closed(self._aiokafka.stop(), f"the consumer of {self._options.where}")
        # aiokafka's own stop breaks off when a fetch is just waiting to be tried again.
        fetcher = self._aiokafka._fetcher  # noqa: SLF001
        fetches = list(fetcher._pending_tasks) if fetcher else []  # noqa: SLF001
        for fetch in fetches:
            fetch.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
        client = self._aiokafka._client  # noqa: SLF001
        await closed(client.close(), f"the connections of {self._options.where}")


class _Heard:
    """When a broker last answered."""

    def __init__(self) -> None:
        self._answer = 0
        self._at = time.monotonic()

    def now(self) -> None:
        self._at = time.monotonic()

    def silent_s(self, answer: int) -> float:
        """Seconds since `answer`, aiokafka's mark of the latest answer, changed."""
        if answer != self._answer:
            self._answer = answer
            self.now()
        return time.monotonic() - self._at


class Producer:
    """Writes record batches to the partitions of a topic; every replica in sync confirms them."""

    def __init__(self, options: TopicOptions, access: Access, record_batch_bytes: int) -> None:
        self._options = options
        self._access = access
        self._topic = options.topic
        self._aiokafka = AIOKafkaProducer(
            **_common(options, access), acks="all", max_batch_size=record_batch_bytes
        )

    async def start(self) -> None:
        """Connect, and wait for the topic. Raises `RetryableError` or `FatalError`."""
        try:
            await reach(self._options, self._access)
            await undisturbed(self._begin())
        except BaseException as error:
            await self.stop()
            if isinstance(error, Exception):
                raise _translated(error, f"cannot write {self._options.where}") from None
            raise

    async def _begin(self) -> None:
        await self._aiokafka.start()
        await _partitions(self._aiokafka.client, self._options)

    async def partitions(self) -> list[int]:
        """The numbers of the topic's partitions. Raises `RetryableError` or `FatalError`."""
        try:
            return sorted(await self._aiokafka.partitions_for(self._topic))
        except errors.KafkaError as error:
            raise _translated(error, f"cannot write {self._options.where}") from None

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
            raise _translated(error, doing) from None
        results = await asyncio.gather(*waiting, return_exceptions=True)
        if self._access and any(isinstance(result, BaseException) for result in results):
            # aiokafka tries for ever to log in with a password that is no longer valid.
            await reach(self._options, self._access)
        return [
            _translated(result, doing) if isinstance(result, BaseException) else None
            for result in results
        ]

    async def stop(self) -> None:
        """Disconnect; what is still being sent has at most the time-out of a request left."""
        limit_s = 2 * REQUEST_TIMEOUT_MS / 1000
        await closed(self._aiokafka.stop(), f"the producer of {self._options.where}", limit_s)


def _common(options: TopicOptions, access: Access) -> dict[str, Any]:
    return {
        **access,
        "bootstrap_servers": list(options.bootstrap),
        "client_id": "queueconnector",
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
    }


async def _partitions(client: AIOKafkaClient, options: TopicOptions) -> list[int]:
    """The topic's partitions, once each has a leader; asking for a topic may make it."""
    cluster, topic = client.cluster, options.topic
    deadline = time.monotonic() + TOPIC_TIMEOUT_S
    client.add_topic(topic)
    while True:
        answered = await client.force_metadata_update()
        if topic in cluster.unauthorized_topics:
            raise FatalError(f"not authorised for {options.where}")
        partitions = cluster.partitions_for_topic(topic)
        if partitions and cluster.available_partitions_for_topic(topic) == partitions:
            return sorted(partitions)
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(RETRY_BACKOFF_MS / 1000)
    raise RetryableError(f"{options.where}: {_what_is_missing(cluster, answered, partitions)}")


def _what_is_missing(cluster: ClusterMetadata, answered: bool, partitions: set[int] | None) -> str:
    if not answered:
        brokers = ", ".join(f"{broker.host}:{broker.port}" for broker in cluster.brokers())
        return f"the brokers that it names do not answer ({brokers})"
    if partitions:
        return "a partition has no leader; one of the cluster's brokers is away"
    return "the topic does not exist, and the broker does not make it by itself; create it"
