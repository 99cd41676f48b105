"""Which client of Kafka the options choose; nothing imports the other one."""

from __future__ import annotations

from queueconnector_kafka._access import Access
from queueconnector_kafka._clients import ConsumerClient, Producer
from queueconnector_kafka.descriptors import (
    KafkaConsumerSourceDescriptor,
    KafkaProducerSinkDescriptor,
)

__all__ = ("check_compression", "make_consumer", "make_producer")


def check_compression(options: KafkaProducerSinkDescriptor) -> None:
    """Raise `ConfigError` (empty path) when the library of a codec is not installed."""
    if options.compression is not None and options.client == "aiokafka":
        from queueconnector_kafka._aiokafka.producer import check_codec

        check_codec(options.compression)


def make_consumer(options: KafkaConsumerSourceDescriptor, access: Access) -> ConsumerClient:
    """A consumer of the library that the options choose."""
    if options.client == "confluent":
        from queueconnector_kafka._librdkafka.consumer import LibrdkafkaConsumer

        return LibrdkafkaConsumer(options, access)
    from queueconnector_kafka._aiokafka.consumer import AiokafkaConsumer

    return AiokafkaConsumer(options, access)


def make_producer(
    options: KafkaProducerSinkDescriptor, access: Access, record_batch_bytes: int
) -> Producer:
    """A producer of the library that the options choose, for record batches of that size."""
    if options.client == "confluent":
        from queueconnector_kafka._librdkafka.producer import LibrdkafkaProducer

        return LibrdkafkaProducer(options, access, record_batch_bytes)
    from queueconnector_kafka._aiokafka.producer import AiokafkaProducer

    return AiokafkaProducer(options, access, record_batch_bytes)
