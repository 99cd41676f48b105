"""Keys, partitions, headers, compression, and what brokers do with what is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from confluent_kafka import KafkaError, Producer

from queueconnector_core.errors import FatalError, RecordErrors, RetryableError
from queueconnector_core.record import Batch, Metadata, Original, Quality
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness, Reader


async def written(
    kafka: Harness, topic: str, batch: Batch, dtype: object = "int64", **options: Any
) -> None:
    sink = kafka.sink(topic, dtype, **options)
    await sink.start()
    try:
        await sink.write(batch)
    finally:
        await sink.stop()


def batch(values: Sequence[Any], *metadata: Metadata) -> Batch:
    return Batch(values, list(metadata) or None)


@pytest.mark.usefixtures("clean")
async def test_a_key_goes_to_the_partition_that_other_clients_choose(kafka: Harness) -> None:
    theirs, ours, count = kafka.topic(partitions=5), kafka.topic(partitions=5), 40
    keys = [b"dish-%d" % number for number in range(count)] + [b"", "α".encode(), b"\x00\xff" * 9]
    producer = Producer(
        {"bootstrap.servers": kafka.broker.bootstrap, "partitioner": "murmur2_random"}
    )
    for key in keys:
        producer.produce(theirs, b"1", key=key)
    producer.flush()
    metadata = [Metadata(key=key) for key in keys]
    await written(kafka, ours, batch([1] * len(keys), *metadata), key="record")
    for partition in range(5):
        expected = {message.key() or b"" for message in kafka.messages(theirs, partition)}
        found = [message.key() or b"" for message in kafka.messages(ours, partition)]
        # librdkafka takes an empty key for none.
        assert set(found) - {b""} == expected - {b""}


@pytest.mark.usefixtures("clean")
async def test_messages_with_a_key_keep_their_order_and_others_rotate(kafka: Harness) -> None:
    topic = kafka.topic(partitions=3)
    keys = [None if number % 3 == 0 else b"%d" % (number % 5) for number in range(3000)]
    metadata = [Metadata(key=key) for key in keys]
    await written(kafka, topic, batch(range(3000), *metadata), key="record")
    found = [
        (message.key(), int(message.value() or b""))
        for partition in range(3)
        for message in kafka.messages(topic, partition)
    ]
    for key in {*keys}:
        assert [n for k, n in found if k == key] == [n for n in range(3000) if keys[n] == key]


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("dtype", "value", "path", "key"),
    [
        ("object", {"antenna": {"name": "SKA001"}}, "antenna.name", b"SKA001"),
        ("object", {"scan": 7}, "scan", b"7"),
        ("object", {"scan": 7}, "nothing", None),
        ([["name", "U6"], ["x", "float64"]], np.array(("SKA1", 1.5), "U6,f8"), "name", b"SKA1"),
    ],
)
async def test_a_key_from_the_value(
    kafka: Harness, dtype: Any, value: Any, path: str, key: bytes | None
) -> None:
    topic = kafka.topic()
    if isinstance(dtype, list):
        value = value.astype([("name", "U6"), ("x", "f8")])
    encoding = "msgpack_numpy" if isinstance(dtype, list) else "json"
    await written(kafka, topic, Batch([value]), dtype, key_path=path, encoding=encoding)
    assert [message.key() for message in kafka.messages(topic)] == [key]


@pytest.mark.usefixtures("clean")
async def test_a_value_whose_key_is_none_is_refused_and_the_others_are_written(
    kafka: Harness,
) -> None:
    topic = kafka.topic()
    values: list[Any] = [{"k": "a"}, {"k": [1]}, {"k": "b"}]
    with pytest.raises(RecordErrors, match="record 1: no key: found list; allowed: text and"):
        await written(kafka, topic, Batch(values), "object", key_path="k", encoding="json")
    assert [message.key() for message in kafka.messages(topic)] == [b"a", b"b"]


@pytest.mark.usefixtures("clean")
async def test_one_partition_alone(kafka: Harness) -> None:
    topic = kafka.topic(partitions=3)
    keyed = [Metadata(key=b"%d" % number) for number in range(9)]
    await written(kafka, topic, batch(range(9), *keyed), key="record", partition=2)
    assert [len(kafka.contents(topic, number)) for number in range(3)] == [0, 0, 9]
    sink = kafka.sink(topic, "int64", partition=3)
    with pytest.raises(FatalError, match=r"partition 3 does not exist \(there are 3, counted"):
        await sink.start()


@pytest.mark.usefixtures("clean")
async def test_provenance_and_time_travel_over_two_hops(
    kafka: Harness, reading: type[Reader]
) -> None:
    topics = kafka.topic(), kafka.topic()
    first = Metadata(
        timestamp_ns=1_700_000_000_123_456_789,
        source="tango://host:10000/sys/tg_test/1/double_scalar",
        event="change",
        quality=Quality.ALARM,
        sequence=5,
        headers=(("mine", b"1"),),
    )
    found, given = [], batch([1.5], first)
    for topic in topics:
        source = kafka.source(topic, "float64")
        await source.start()
        await written(kafka, topic, given, "float64", headers="provenance", key="source")
        reader = reading(source)
        await reader.until(1)
        await source.stop()
        await reader.end()
        (given,) = reader.batches
        found += [record.metadata for record in given.records()]
    for metadata in found:
        assert metadata.timestamp_ns == first.timestamp_ns
        assert (metadata.source, metadata.event) == (first.source, "change")
        assert (metadata.quality, metadata.sequence) == (Quality.ALARM, 5)
        assert metadata.key == (first.source or "").encode()
        assert dict(metadata.headers)["mine"] == b"1"
        assert metadata.original == Original(b"1.5")
    for topic in topics:
        (message,) = kafka.messages(topic)
        assert message.timestamp()[1] == 1_700_000_000_123


@pytest.mark.usefixtures("clean")
async def test_a_value_that_is_invalid_travels_as_null_and_no_other_null_does(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "float64")
    await source.start()
    invalid, valid = Metadata(quality=Quality.INVALID), Metadata()
    values = batch([None, 1.5, None], invalid, valid, valid)
    with pytest.raises(RecordErrors, match="record 2"):
        await written(kafka, topic, values, "float64", headers="provenance")
    kafka.produce(topic, None, key=b"k", headers=[("other", b"1")])
    reader = reading(source)
    assert await reader.until(3) == [None, 1.5]
    await source.stop()
    await reader.end()
    qualities = [record.metadata.quality for b in reader.batches for record in b.records()]
    assert qualities == [Quality.INVALID, Quality.VALID]
    (failure,) = (failure for b in reader.batches for failure in b.failures)
    (origin,) = failure.origins
    assert (origin.key, origin.headers) == (b"k", (("other", b"1"),))
    assert (origin.original, origin.position) == (Original(None), f"{topic}[0]@2")


async def test_dead_letters_keep_key_and_headers(kafka: Harness) -> None:
    topic = kafka.topic()
    descriptor = KafkaProducerSinkDescriptor(kafka.servers, topic, key_path="k")
    options = attrs.asdict(descriptor.for_dead_letters(), recurse=False)
    wanted = {name: options[name] for name in ("key", "key_path", "headers")}
    assert wanted == {"key": "record", "key_path": None, "headers": "record"}
    metadata = Metadata(key=b"k", headers=(("h", b"1"),))
    await written(kafka, topic, batch([("", b"octets")], metadata), "bytes", **wanted)
    (message,) = kafka.messages(topic)
    assert (message.key(), message.headers()) == (b"k", [("h", b"1")])


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_is_compressed_is_read_by_us_and_by_others(
    kafka: Harness, reading: type[Reader], compression: str
) -> None:
    topic = kafka.topic()
    source = kafka.source(topic, "int64")
    await source.start()
    await written(kafka, topic, Batch(list(range(2000))), compression=compression)
    reader = reading(source)
    assert await reader.until(2000) == list(range(2000))
    await source.stop()
    await reader.end()
    assert [int(octets) for octets in kafka.contents(topic)] == list(range(2000))


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("acks", ["all", 1, 0])
async def test_every_kind_of_confirmation(kafka: Harness, acks: Any) -> None:
    topic = kafka.topic()
    await written(kafka, topic, Batch([1, 2, 3]), acks=acks)
    async with asyncio.timeout(10):
        while kafka.contents(topic) != [b"1", b"2", b"3"]:  # with 0 they may still be on the way
            await asyncio.sleep(0.05)


async def test_a_refused_value_leaves_the_numbers_of_an_idempotent_producer_in_order(
    kafka: Harness,
) -> None:
    topic = kafka.topic(config={"max.message.bytes": "10000"})
    sink = kafka.sink(topic, "bytes")
    await sink.start()
    for _ in range(3):
        values = [("", b"x" * 100), ("", b"x" * 20_000), ("", b"x" * 100)]
        with pytest.raises(RecordErrors, match="record 1: larger than the topic allows"):
            await sink.write(Batch(values))
    await sink.stop()
    assert len(kafka.contents(topic)) == 6


async def test_a_producer_that_the_brokers_do_not_accept_any_more_is_replaced(
    kafka: Harness,
) -> None:
    topic = kafka.topic()
    sink = kafka.sink(topic, "int64", client="aiokafka")
    await sink.start()
    await sink.write(Batch([1]))
    producer: Any = sink._producer
    numbers = producer._aiokafka._txn_manager._sequence_numbers
    for place in numbers:
        numbers[place] += 5  # as if a record batch had been lost
    again = Batch([2, 3])
    with pytest.raises(RetryableError, match="OutOfOrderSequence"):
        await sink.write(again)
    await sink.write(again)
    await sink.stop()
    assert kafka.contents(topic) == [b"1", b"2", b"3"]


async def test_a_producer_of_librdkafka_that_failed_for_good_is_replaced(kafka: Harness) -> None:
    topic = kafka.topic()
    sink = kafka.sink(topic, "int64", client="confluent")
    await sink.start()
    await sink.write(Batch([1]))
    producer: Any = sink._producer
    producer._sending._on_error(KafkaError(KafkaError._FATAL, "as it tells", fatal=True))
    await sink.write(Batch([2, 3]))
    assert sink._producer is not producer
    await sink.stop()
    assert kafka.contents(topic) == [b"1", b"2", b"3"]
