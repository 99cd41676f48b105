"""What a broker says about one topic when it is asked by a client that does not make it.

Told is also its identity, which aiokafka does not ask for: another one means another topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

__all__ = ("TopicDescription", "describe", "topic_id_of")

_ID_BYTES: Final = 16
_NO_ID: Final = bytes(_ID_BYTES)


class _Uuid(Int8):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: Any) -> bytes:
        octets: bytes = data.read(_ID_BYTES)
        return octets


class _Response(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _RequestV10(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_RequestV10]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_RequestV10]) -> _RequestV10:
        topics: list[tuple[bytes, str, dict[int, bytes]]] = [(_NO_ID, self._topic, {})]
        return request_struct_class(topics, False, False, False, {})


@attrs.frozen
class TopicDescription:
    """What a broker says about a topic."""

    error: int
    """0, or the number of an error of Kafka."""
    topic_id: bytes
    leaders: Mapping[int, int]
    """The broker that leads each partition, negative for none."""


async def describe(client: AIOKafkaClient, topic: str) -> TopicDescription:
    """Ask a broker about a topic, which is not made by that; raises `KafkaError`.

    Raises `NotImplementedError` for a broker that is too old to be asked so.
    """
    node = client.get_random_node()
    if node is None:
        raise errors.NodeNotReadyError("no broker is known")
    response = await client.send(node, _MetadataRequest(topic))
    for error, name, topic_id, _, partitions, *_ in response.topics:
        if name == topic:
            leaders = {number: leader for _, number, leader, *_ in partitions}
            return TopicDescription(error, bytes(topic_id), leaders)
    return TopicDescription(errors.UnknownTopicOrPartitionError.errno, _NO_ID, {})


async def topic_id_of(client: AIOKafkaClient, topic: str) -> bytes | None:
    """The identity of the topic; None where the broker has none, does not answer, or it is gone."""
    try:
        found = await describe(client, topic)
    except (errors.KafkaError, NotImplementedError):
        return None
    return None if found.error or found.topic_id == _NO_ID else found.topic_id
