"""What the consumer and the producer of a topic share: settings, errors, a topic's partitions.

Nobody but them, and what is beside them, sees aiokafka's errors: they become `RetryableError` (the
brokers are away, or busy, or not yet ready) or `FatalError` (trying again is pointless).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata

from queueconnector_core.errors import FatalError, QueueConnectorError, RetryableError
from queueconnector_kafka._access import Access
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor, TopicOptions

__all__ = (
    "KafkaRecord",
    "Metadata",
    "MessageTooLargeError",
    "TimestampRefusedError",
    "check_partition",
    "common",
    "partitions_of",
    "translated",
)

TOPIC_TIMEOUT_S: Final = 5.0
"""A topic that is being made has so long to get a leader for each of its partitions."""

REQUEST_TIMEOUT_MS: Final = 10_000
RETRY_BACKOFF_MS: Final = 250
METADATA_MAX_AGE_MS: Final = 30_000
"""New partitions are noticed within this time."""

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


Metadata: TypeAlias = AIOKafkaClient
"""What the brokers say about their topics; it is refreshed every `METADATA_MAX_AGE_MS`."""


class KafkaRecord(Protocol):
    """A message that was fetched; `timestamp` in ms since the Unix epoch, -1 for none."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class MessageTooLargeError(QueueConnectorError):
    """The broker refused a record batch for its size, in all its records or in its only one."""


class TimestampRefusedError(FatalError):
    """The topic refused a record batch for the time stamp of one of its records.

    It is fatal where the time stamps are those of writing: a clock is wrong.
    """


def translated(error: BaseException, doing: str) -> Exception:
    """What the runner needs to know of an error of aiokafka; any other error stays as it is.

    `doing` says what failed, for people.
    """
    if isinstance(error, _TOO_LARGE):
        return MessageTooLargeError(f"{doing}: {error}")
    if isinstance(error, errors.InvalidTimestampError):
        return TimestampRefusedError(f"{doing}: {error}")
    if isinstance(error, _FATAL):
        return FatalError(f"{doing}: {error}")
    if isinstance(error, errors.KafkaError | TimeoutError | OSError):
        return RetryableError(f"{doing}: {str(error) or type(error).__name__}")
    return error if isinstance(error, Exception) else RetryableError(f"{doing}: {error!r}")


def common(options: TopicOptions, access: Access) -> dict[str, Any]:
    """The settings of every client of aiokafka."""
    return {
        **access,
        "bootstrap_servers": list(options.bootstrap),
        "client_id": "queueconnector",
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
    }


async def partitions_of(client: Metadata, options: TopicOptions) -> list[int]:
    """The topic's partitions, once each has a leader; asking for a topic may make it.

    Raises `RetryableError` when that takes too long, `FatalError` when this client may not ask.
    """
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


def check_partition(options: KafkaProducerSinkDescriptor, found: Sequence[int]) -> None:
    """Raise `FatalError` when the partition that is to be written is none of those found."""
    fixed = options.partition
    if fixed is not None and fixed not in found:
        text = f"partition {fixed} does not exist (there are {len(found)}, counted from 0)"
        raise FatalError(f"{options.where}: {text}; choose another, or add partitions")


def _what_is_missing(cluster: ClusterMetadata, answered: bool, partitions: set[int] | None) -> str:
    if not answered:
        brokers = ", ".join(f"{broker.host}:{broker.port}" for broker in cluster.brokers())
        return f"the brokers that it names do not answer ({brokers})"
    if partitions:
        return "a partition has no leader; one of the cluster's brokers is away"
    return "the topic does not exist, and the broker does not make it by itself; create it"
