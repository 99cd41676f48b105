"""Whether the topic that is configured is there, and holds what is configured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import FatalError, Problem, RecordError, RetryableError
from queueconnector_kafka._asking import TopicState, last_records, topic_state
from queueconnector_kafka._records import position
from queueconnector_kafka.descriptors import (
    DEFAULT_ENCODING,
    KafkaConsumerSourceDescriptor,
    KafkaProducerSinkDescriptor,
    TopicOptions,
)

__all__ = ("probe_sink", "probe_source")


async def probe_source(
    descriptor: KafkaConsumerSourceDescriptor, context: BuildContext
) -> list[Problem]:
    """The topic, and whether its last records are values of the exchange."""
    state, problems = await _state(descriptor)
    if problems or state is None:
        return problems
    try:
        records = await last_records(descriptor, state.partitions)
    except (RetryableError, FatalError) as error:
        return [Problem("topic", str(error))]
    decode = descriptor.codec(context.spec, context.registry).decoder(context.spec)
    for record in records:
        if record.value is not None and (reason := _refusal(decode, record.value)):
            return [_not_decoded(descriptor, context.spec, position(record), reason)]
    return []


async def probe_sink(descriptor: KafkaProducerSinkDescriptor, _: BuildContext) -> list[Problem]:
    """The topic, and whether it has the partition that is written."""
    state, problems = await _state(descriptor)
    if state is not None and descriptor.partition is not None and not problems:
        problems += _partition_problems(descriptor.partition, state)
    return problems


async def _state(options: TopicOptions) -> tuple[TopicState | None, list[Problem]]:
    try:
        state = await topic_state(options)
    except RetryableError as error:
        return None, [Problem("servers", str(error))]
    except FatalError as error:
        return None, [Problem("servers" if options.security is None else "security", str(error))]
    return state, list(_topic_problems(options, state))


def _topic_problems(options: TopicOptions, state: TopicState) -> Iterable[Problem]:
    if not state.authorised:
        yield Problem("topic", f"not authorised for {options.where}; ask for the right to use it")
    elif not state.exists:
        yield Problem("topic", f"{options.where} does not exist; create it, or correct the name")
    elif state.leaderless:
        numbers = ", ".join(map(str, state.leaderless))
        yield Problem("topic", f"{options.where}: partitions without a leader now: {numbers}")


def _partition_problems(partition: int, state: TopicState) -> Iterable[Problem]:
    if partition not in state.partitions:
        text = f"found {partition}; the topic has {len(state.partitions)} partitions, from 0 on"
        yield Problem("partition", text)


def _refusal(decode: Any, octets: bytes) -> str:
    try:
        decode(octets)
    except RecordError as error:
        return str(error)
    return ""


def _not_decoded(
    descriptor: KafkaConsumerSourceDescriptor, spec: DataSpec, where: str, reason: str
) -> Problem:
    encoding = descriptor.encoding or DEFAULT_ENCODING
    return Problem(
        "encoding",
        f"the last record, {where}, is no {spec} in encoding {encoding}: {reason}; dtype, shape "
        "and encoding must be those of the topic",
    )
