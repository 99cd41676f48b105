"""What the consumer and the producer of librdkafka share: settings, and errors by Kafka's names."""

from __future__ import annotations

import logging
from typing import Any, Final

from aiokafka import errors
from confluent_kafka import KafkaError

from queueconnector_kafka import _client
from queueconnector_kafka.descriptors import TopicOptions
from queueconnector_kafka.security import SecurityOptions

__all__ = ("common", "known")

logger = logging.getLogger("queueconnector_kafka.librdkafka")

STATISTICS_MS: Final = 1_000
RECONNECT_MS: Final = 1_000
"""A broker that is back is noticed within this time."""

_LOCAL: Final = {
    KafkaError._TIMED_OUT: errors.RequestTimedOutError,  # noqa: SLF001
    KafkaError._TIMED_OUT_QUEUE: errors.RequestTimedOutError,  # noqa: SLF001
    KafkaError._MSG_TIMED_OUT: errors.RequestTimedOutError,  # noqa: SLF001
    KafkaError._UNKNOWN_TOPIC: errors.UnknownTopicOrPartitionError,  # noqa: SLF001
    KafkaError._UNKNOWN_PARTITION: errors.UnknownTopicOrPartitionError,  # noqa: SLF001
}
"""Errors that librdkafka finds by itself; the others mean that no broker could be asked."""


def _as_information(record: logging.LogRecord) -> bool:
    """What librdkafka tells of its connections is told elsewhere if it matters."""
    record.levelno = min(record.levelno, logging.INFO)
    record.levelname = logging.getLevelName(record.levelno)
    return logger.isEnabledFor(record.levelno)


logger.addFilter(_as_information)


def known(error: KafkaError) -> errors.KafkaError:
    """An error as aiokafka names it: brokers give the same numbers to every client."""
    code = error.code()
    if code == KafkaError.INVALID_RECORD:
        # So a broker calls a wrong time stamp, if it is asked in the newer way.
        return errors.InvalidTimestampError(error.str())
    kind = errors.for_code(code) if code > 0 else _LOCAL.get(code, errors.KafkaConnectionError)
    return kind(error.str())


def common(options: TopicOptions) -> dict[str, Any]:
    """The settings of every client of librdkafka.

    Reads the secrets as they are now, from files, so that it is not for the event loop. Raises
    `FatalError` as `access` does.
    """
    return {
        "bootstrap.servers": ",".join(options.bootstrap),
        "client.id": "queueconnector",
        "logger": logger,
        "statistics.interval.ms": STATISTICS_MS,
        "retry.backoff.ms": _client.RETRY_BACKOFF_MS,
        "reconnect.backoff.max.ms": RECONNECT_MS,
        "topic.metadata.refresh.interval.ms": _client.METADATA_MAX_AGE_MS,
        "socket.keepalive.enable": True,
        **({} if options.security is None else _security(options.security)),
    }


def _security(security: SecurityOptions) -> dict[str, Any]:
    found: dict[str, Any] = {"security.protocol": security.protocol}
    if security.encrypted:
        found["ssl.endpoint.identification.algorithm"] = (
            "https" if security.check_hostname else "none"
        )
        if security.ca_file is not None:
            found["ssl.ca.location"] = security.ca_file
        if security.cert_file is not None:
            found["ssl.certificate.location"] = security.cert_file
            found["ssl.key.location"] = security.key_file or security.cert_file
        if (phrase := security.key_password()) is not None:
            found["ssl.key.password"] = phrase
    if security.logs_in:
        found |= {
            "sasl.mechanism": security.mechanism,
            "sasl.username": security.user,
            "sasl.password": security.password(),
        }
    return found
