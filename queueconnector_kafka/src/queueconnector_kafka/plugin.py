"""What this distribution registers; nothing here imports aiokafka."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from queueconnector_core.component import (
    BuildContext,
    ComponentKind,
    ComponentType,
    Guarantee,
    Probe,
)
from queueconnector_core.hookspecs import hookimpl
from queueconnector_kafka.descriptors import (
    KafkaConsumerSourceDescriptor,
    KafkaProducerSinkDescriptor,
)

if TYPE_CHECKING:
    from queueconnector_kafka.sink import KafkaProducerSink
    from queueconnector_kafka.source import KafkaConsumerSource

__all__ = ("queueconnector_components",)


def _source(
    descriptor: KafkaConsumerSourceDescriptor, context: BuildContext
) -> KafkaConsumerSource:
    from queueconnector_kafka.source import KafkaConsumerSource

    return KafkaConsumerSource(descriptor, context)


def _sink(descriptor: KafkaProducerSinkDescriptor, context: BuildContext) -> KafkaProducerSink:
    from queueconnector_kafka.sink import KafkaProducerSink

    return KafkaProducerSink(descriptor, context)


def _probe_source() -> Probe:
    from queueconnector_kafka.probe import probe_source

    return probe_source


def _probe_sink() -> Probe:
    from queueconnector_kafka.probe import probe_sink

    return probe_sink


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """The source and the sink of Kafka topics."""
    return (
        ComponentType(
            "KafkaConsumerSource",
            ComponentKind.SOURCE,
            _source,
            KafkaConsumerSourceDescriptor,
            guarantee=Guarantee.AT_MOST_ONCE,
            probe=_probe_source,
        ),
        ComponentType(
            "KafkaProducerSink",
            ComponentKind.SINK,
            _sink,
            KafkaProducerSinkDescriptor,
            guarantee=Guarantee.AT_LEAST_ONCE,
            probe=_probe_sink,
        ),
    )
