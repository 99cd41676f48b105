"""The source against a real Mosquitto, with messages of a foreign client."""

from __future__ import annotations

import time
from typing import Any

import pytest

from devservices.mosquitto import MosquittoServer
from queueconnector_core.gaps import GapReason
from queueconnector_core.record import Quality, TimestampOrigin
from queueconnector_core.states import State
from queueconnector_memory import store

from .around import Around
from .conftest import Stream, until


@pytest.fixture
def source(mosquitto: MosquittoServer, topic: str) -> dict[str, Any]:
    return {
        "type": "MqttSource",
        "host": mosquitto.host,
        "port": mosquitto.port,
        "topic_filter": f"{topic}/#",
    }


@pytest.fixture
def sink(topic: str) -> dict[str, Any]:
    return {"type": "InMemorySink", "key": topic}


async def test_what_is_published_after_on_is_read_in_order(
    stream: Stream, source: dict[str, Any], sink: dict[str, Any], around: Around, topic: str
) -> None:
    await stream.start(source, sink, dtype="float64")
    before = time.time_ns()
    for number in range(50):
        around.publish(f"{topic}/az", str(number / 4), qos=number % 3)

    found = await store.wait_for(topic, 50)

    # Qualities may overtake each other; within one nothing does.
    numbers = [int(4 * record.value) for record in found if isinstance(record.value, float)]
    assert sorted(numbers) == list(range(50))
    for qos in range(3):
        mine = [number for number in numbers if number % 3 == qos]
        assert mine == sorted(mine)
    first = found[0].metadata
    assert first.timestamp_origin is TimestampOrigin.ARRIVAL
    assert first.timestamp_ns is not None
    assert before <= first.timestamp_ns <= time.time_ns()
    assert first.key == f"{topic}/az".encode()
    assert first.source == f"mqtt://127.0.0.1:{source['port']}/{topic}/az"
    assert first.event == "message"
    assert len({record.metadata.position for record in found}) == 50


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_both_versions_of_the_protocol_carry_values(
    stream: Stream,
    source: dict[str, Any],
    sink: dict[str, Any],
    mosquitto: MosquittoServer,
    topic: str,
    protocol: str,
) -> None:
    await stream.start(source | {"protocol": protocol}, sink, dtype="int64", shape=[3])
    mosquitto.publish(f"{topic}/a", "[1, 2, 3]", "-q", "1")

    (record,) = await store.wait_for(topic, 1)

    assert record.value.tolist() == [1, 2, 3]  # type: ignore[union-attr]


async def test_octets_pass_as_they_are_under_their_label(
    stream: Stream, source: dict[str, Any], sink: dict[str, Any], around: Around, topic: str
) -> None:
    await stream.start(source | {"encoding": "png"}, sink, dtype="bytes")
    around.publish(topic, b"\x00\xff", 0)

    (record,) = await store.wait_for(topic, 1)

    assert record.value == ("png", b"\x00\xff")


@pytest.mark.parametrize(
    ("key_level", "key"), [(None, "{}/ska001/az"), (1, "ska001"), (-1, "az"), (3, None)]
)
async def test_a_level_of_the_topic_is_the_key(
    stream: Stream,
    source: dict[str, Any],
    sink: dict[str, Any],
    around: Around,
    topic: str,
    key_level: int | None,
    key: str | None,
) -> None:
    await stream.start(source | {"key_level": key_level}, sink, dtype="float64")
    around.publish(f"{topic}/ska001/az", "1.5")

    (record,) = await store.wait_for(topic, 1)

    assert record.metadata.key == (None if key is None else key.format(topic).encode())


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("handling", ["send", "ignore"])
async def test_retained_messages_come_unless_they_are_to_be_ignored(
    stream: Stream,
    source: dict[str, Any],
    sink: dict[str, Any],
    around: Around,
    topic: str,
    protocol: str,
    handling: str,
) -> None:
    around.publish(f"{topic}/old", "1", retain=True)
    await stream.start(
        source | {"protocol": protocol, "retain_handling": handling}, sink, dtype="int"
    )
    around.publish(f"{topic}/new", "2")
    expected = [1, 2] if handling == "send" else [2]

    found = await store.wait_for(topic, len(expected))

    assert [record.value for record in found] == expected
    assert [record.metadata.event for record in found] == ["retained", "message"][-len(found) :]
    around.publish(f"{topic}/old", b"", retain=True)


async def test_a_shared_subscription_gives_each_message_once(
    stream: Stream,
    registry: Any,
    source: dict[str, Any],
    sink: dict[str, Any],
    around: Around,
    topic: str,
) -> None:
    other = Stream(registry)
    shared = source | {"shared_subscription": "group"}
    await stream.start(shared, sink, dtype="int")
    await other.start(shared, sink, dtype="int")
    for number in range(20):
        around.publish(f"{topic}/n", str(number))

    found = await store.wait_for(topic, 20)
    await other.shut_down()

    assert sorted(record.value for record in found) == list(range(20))  # type: ignore[type-var]


async def test_what_is_no_value_is_dropped_with_its_topic_as_the_reason(
    stream: Stream, source: dict[str, Any], sink: dict[str, Any], around: Around, topic: str
) -> None:
    await stream.start(source, sink, dtype="float64")
    around.publish(f"{topic}/bad", "no number")
    around.publish(f"{topic}/good", "2.5")

    (record,) = await store.wait_for(topic, 1)

    assert record.value == 2.5
    await until(lambda: stream.statistics.dropped == 1)
    assert f"{topic}/bad@" in stream.status


async def test_user_properties_are_headers_and_cloud_events_are_understood(
    stream: Stream, source: dict[str, Any], sink: dict[str, Any], around: Around, topic: str
) -> None:
    await stream.start(source, sink, dtype="float64")
    event = [
        *(("specversion", "1.0"), ("id", "x#1"), ("source", "tango://h:1/a/b/c/d")),
        *(("time", "2024-06-17T14:31:29.123456789Z"), ("quality", "ALARM")),
        *(("timeorigin", "source"), ("trace", "t1")),
    ]
    around.publish(topic, "1", properties=event)
    around.publish(topic, b"", properties=[("specversion", "1.0"), ("quality", "INVALID")])

    good, invalid = await store.wait_for(topic, 2)

    assert good.metadata.timestamp_ns == 1718634689123456789
    assert good.metadata.timestamp_origin is TimestampOrigin.SOURCE
    assert good.metadata.quality is Quality.ALARM
    assert good.metadata.source == "tango://h:1/a/b/c/d"
    assert ("trace", b"t1") in good.metadata.headers
    assert invalid.value is None
    assert invalid.metadata.quality is Quality.INVALID


async def test_a_burst_of_quality_0_is_bounded_counted_and_a_gap(
    stream: Stream,
    source: dict[str, Any],
    mosquitto: MosquittoServer,
    around: Around,
    topic: str,
) -> None:
    # The sink waits for a broker that is not there: the exchange stands still.
    blocked = {
        "type": "MqttSink", "host": mosquitto.host, "port": mosquitto.port,
        "topic": f"out-{topic}", "max_inflight": 1, "qos": 0,
    }  # fmt: skip
    await stream.start(source | {"buffer_size": 10, "qos": 0}, blocked, dtype="int")
    total = 2_000
    for number in range(total):
        around._client.publish(f"{topic}/n", str(number), 0)
    around.publish(f"{topic}/n", "-1", 1)
    around.take(total + 1)

    await until(lambda: stream.statistics.received == total + 1)
    await stream.stop()

    dropped = stream.statistics.dropped
    assert stream.statistics.delivered + dropped == total + 1
    lost = [gap for gap in stream.gaps if gap.reason is GapReason.BUFFER_OVERFLOW]
    assert sum(gap.records or 0 for gap in lost) == dropped > 0
    assert all(gap.is_exact for gap in lost)


async def test_a_refused_client_is_a_fault_and_not_waited_for(
    stream: Stream, source: dict[str, Any], sink: dict[str, Any]
) -> None:
    await stream.start(source | {"user": "u", "password_env": "NOT_SET_HERE"}, sink, on=False)

    await until(lambda: stream.state is State.FAULT)

    assert "no password of user 'u': the environment variable NOT_SET_HERE is not set" in (
        stream.status
    )
