"""The sink against a real Mosquitto, looked at by a foreign client."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import attrs
import numpy as np
import pytest

from devservices.mosquitto import MosquittoServer
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import FatalError, RecordErrors, RetryableError
from queueconnector_core.record import Batch, Metadata, Quality
from queueconnector_core.registry import Registry
from queueconnector_mqtt.broker import WillOptions
from queueconnector_mqtt.descriptors import MqttSinkDescriptor
from queueconnector_mqtt.sink import MqttSink

from .around import Around
from .cable import Cable

Start = Callable[..., Awaitable[MqttSink]]


@pytest.fixture
async def start(mosquitto: MosquittoServer, registry: Registry, topic: str) -> AsyncIterator[Start]:
    """Builds and starts sinks, on the topic of the test unless told otherwise."""
    sinks: list[MqttSink] = []

    async def start(spec: DataSpec | None = None, **options: Any) -> MqttSink:
        given: dict[str, Any] = {
            "host": mosquitto.host,
            "port": mosquitto.port,
            "topic": f"{topic}/out",
        } | options
        context = BuildContext(spec or DataSpec.of("float64"), registry, configuration="hash")
        sink = MqttSink(MqttSinkDescriptor(**given), context)
        sinks.append(sink)
        await sink.start()
        return sink

    yield start
    for sink in sinks:
        await sink.stop()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_values_arrive_in_order_with_the_quality_of_service(
    start: Start, around: Around, topic: str, qos: int, protocol: str
) -> None:
    sink = await start(qos=qos, protocol=protocol)

    await sink.write(Batch([number / 2 for number in range(300)]))

    seen = around.take(300)
    assert [float(message.payload) for message in seen] == [number / 2 for number in range(300)]
    assert {(message.topic, message.qos) for message in seen} == {(f"{topic}/out", qos)}


async def test_write_returns_when_the_broker_has_it_and_keeps_what_is_to_be_retained(
    start: Start, mosquitto: MosquittoServer, topic: str
) -> None:
    sink = await start(retain=True, message_expiry_s=60)

    await sink.write(Batch([1.5, 2.5]))

    assert mosquitto.retained(f"{topic}/#", "-v") == f"{topic}/out 2.5\n"


async def test_arrays_travel_in_any_encoding_of_core(start: Start, around: Around) -> None:
    sink = await start(DataSpec.of("float32", [2]), encoding="carray")

    await sink.write(Batch([np.array([1.5, -2.5], np.float32)]))

    (message,) = around.take(1)
    assert np.frombuffer(message.payload, "<f4").tolist() == [1.5, -2.5]


async def test_each_record_goes_to_the_topic_of_its_key(
    start: Start, around: Around, topic: str
) -> None:
    sink = await start(topic=f"{topic}/{{key}}/az")
    keys = [b"ska001", None, b"ska002", b"#"]

    with pytest.raises(RecordErrors) as caught:
        await sink.write(Batch([1.0, 2.0, 3.0, 4.0], [Metadata(key=key) for key in keys]))

    assert [message.topic for message in around.take(2)] == [
        f"{topic}/ska001/az",
        f"{topic}/ska002/az",
    ]
    told = {index: str(error) for index, error in caught.value.failures.items()}
    assert set(told) == {1, 3}
    assert "the record has no key" in told[1]
    assert "the key b'#' makes no topic: found '#'" in told[3]


async def test_provenance_stands_in_user_properties(start: Start, around: Around) -> None:
    sink = await start(headers="provenance")
    metadata = Metadata(
        1718634689123456789,
        headers=(("trace", b"t1"),),
        quality=Quality.WARNING,
        position="a/b/c/d#7",
        source="tango://h:1/a/b/c/d",
        event="change",
        sequence=7,
    )
    invalid = attrs.evolve(metadata, quality=Quality.INVALID)

    await sink.write(Batch([1.5, None], [metadata, invalid]))

    first, second = around.take(2)
    known = dict(first.properties)
    assert known["time"] == "2024-06-17T14:31:29.123456789Z"
    assert (known["quality"], known["source"], known["sequence"]) == (
        *("WARNING", "tango://h:1/a/b/c/d", "7"),
    )
    assert (known["configuration"], known["trace"]) == ("hash", "t1")
    assert second.payload == b""
    assert dict(second.properties)["quality"] == "INVALID"


async def test_headers_of_records_travel_alone_if_asked_for(start: Start, around: Around) -> None:
    sink = await start(headers="record")
    good, bad = Metadata(headers=(("a", b"1"), ("a", b"2"))), Metadata(headers=(("b", b"\xff"),))

    with pytest.raises(RecordErrors, match="header 'b' is not UTF-8"):
        await sink.write(Batch([1.0, 2.0], [good, bad]))

    (message,) = around.take(1)
    assert message.properties == (("a", "1"), ("a", "2"))


async def test_what_the_broker_refuses_is_named_and_the_rest_arrives(
    registry: Registry,
) -> None:
    rules = "topic readwrite open/#\n"
    with MosquittoServer("guarded", settings=["max_packet_size 1000"]) as server:
        acl = server.directory / "acl"
        acl.write_text(rules)
        with server._configuration.open("a") as file:
            file.write(f"acl_file {acl}\n")
        server.restart()
        context = BuildContext(DataSpec.of("str"), registry)
        options: dict[str, Any] = {"host": server.host, "port": server.port, "topic": "{key}"}
        sink = MqttSink(MqttSinkDescriptor(**options), context)
        await sink.start()
        keys = [b"open/a", b"closed/a", b"open/b", b"open/c"]
        values = ["1", "2", "x" * 2000, "3"]
        with Around(server.port) as around:
            with pytest.raises(RecordErrors) as caught:
                await sink.write(Batch(values, [Metadata(key=key) for key in keys]))
            assert [message.payload for message in around.take(2)] == [b'"1"', b'"3"']
        await sink.stop()

    told = {index: str(error) for index, error in caught.value.failures.items()}
    assert told[1] == "the broker refuses it for topic 'closed/a': Not authorized"
    assert "octets as a packet, and the broker takes 1000" in told[2]
    assert set(told) == {1, 2}


async def test_a_broker_that_restarts_gets_the_rest_of_the_batch(
    registry: Registry,
) -> None:
    context = BuildContext(DataSpec.of("int64"), registry)
    with MosquittoServer("restarted") as server:
        options: dict[str, Any] = {
            "host": server.host,
            "port": server.port,
            "topic": "t",
            "retain": True,
        }
        sink = MqttSink(MqttSinkDescriptor(**options), context)
        await sink.start()
        await sink.write(Batch([1]))
        server.stop()
        batch = Batch([2, 3])
        with pytest.raises(RetryableError):
            await sink.write(batch)
        with pytest.raises(RetryableError, match=f"no MQTT broker answers at .*:{server.port}"):
            await sink.write(batch)
        server.start()
        await sink.write(batch)
        assert server.retained("t") == "3\n"
        await sink.stop()


async def test_more_than_the_broker_supports_is_fatal(registry: Registry) -> None:
    context = BuildContext(DataSpec.of("int64"), registry)
    with MosquittoServer("limited", settings=["max_qos 1", "retain_available false"]) as server:
        for option, told in (({"qos": 2}, "allows 1 at most"), ({"retain": True}, "retains no")):
            options: dict[str, Any] = {
                "host": server.host,
                "port": server.port,
                "topic": "t",
            } | option
            sink = MqttSink(MqttSinkDescriptor(**options), context)
            with pytest.raises(FatalError, match=told):
                await sink.start()
            await sink.stop()


async def test_the_will_is_published_when_the_client_is_lost_and_only_then(
    start: Start, around: Around, cable: Cable, topic: str
) -> None:
    will = WillOptions(topic=f"{topic}/gone", payload="lost", qos=1)
    well = await start(will=will)
    await well.stop()
    await start(will=will, port=cable.port)
    cable.cut()

    (message,) = around.take(1)

    assert (message.topic, message.payload) == (f"{topic}/gone", b"lost")
    assert around.seen.empty()


async def test_after_stop_a_write_only_warns(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    sink = await start()
    await sink.stop()
    await sink.stop()

    with caplog.at_level(logging.WARNING):
        await sink.write(Batch([1.0]))

    assert "not open, 1 records not written" in caplog.text


async def test_it_starts_again_after_a_stop(start: Start, around: Around) -> None:
    sink = await start()
    await sink.stop()
    await sink.start()

    await sink.write(Batch([4.5]))

    assert [message.payload for message in around.take(1)] == [b"4.5"]
