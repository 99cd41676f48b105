"""What is lost, what is not, and what is told of it, when the broker or the source goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from devservices.mosquitto import MosquittoServer
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.gaps import GapReason
from queueconnector_core.health import ailments
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_memory import store
from queueconnector_mqtt._reasons import ended_by_broker
from queueconnector_mqtt.descriptors import MqttSourceDescriptor
from queueconnector_mqtt.source import MqttSource

from .around import Around
from .conftest import Stream, until

Build = Callable[..., MqttSource]


@pytest.fixture
def server() -> Iterator[MosquittoServer]:
    """A broker of the test alone, that may go away."""
    with MosquittoServer("own") as server:
        yield server


@pytest.fixture
async def build(registry: Registry) -> AsyncIterator[Build]:
    """Builds sources of int64 that are stopped at the end."""
    sources: list[MqttSource] = []

    def build(server: MosquittoServer, **options: Any) -> MqttSource:
        given: dict[str, Any] = {
            "host": server.host,
            "port": server.port,
            "topic_filter": ("t/#",),
        } | options
        context = BuildContext(DataSpec.of("int64"), registry)
        source = MqttSource(MqttSourceDescriptor(**given), context)
        sources.append(source)
        return source

    yield build
    for source in sources:
        await source.stop()


async def taken(source: MqttSource, count: int, *, acknowledge: bool = True) -> list[Any]:
    """The next so many values; with what was acknowledged if asked."""
    values: list[Any] = []
    batches = source.read()
    async with asyncio.timeout(10):
        while len(values) < count:
            batch: Batch = await anext(batches)
            values += batch.values
            if acknowledge:
                for acknowledgement in batch.acknowledgements:
                    acknowledgement.release()
    await batches.aclose()  # type: ignore[attr-defined]
    return values


def exchange(server: MosquittoServer, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    source = {
        "type": "MqttSource",
        "host": server.host,
        "port": server.port,
        "topic_filter": "t/#",
        "keep_alive_s": 1,
    }
    return source | options, {"type": "InMemorySink", "key": "sessions"}


async def test_what_was_not_delivered_comes_again_to_the_next_start(
    build: Build, mosquitto: MosquittoServer, topic: str
) -> None:
    options: dict[str, Any] = {
        "client_id": topic,
        "session_expiry_s": 60,
        "topic_filter": (f"{topic}/#",),
    }
    source = build(mosquitto, **options)
    await source.start()
    for number in range(4):
        mosquitto.publish(f"{topic}/n", str(number), "-q", "1")
    assert await taken(source, 4, acknowledge=False) == [0, 1, 2, 3]
    await source.stop()
    mosquitto.publish(f"{topic}/n", "4", "-q", "1")

    again = build(mosquitto, **options)
    await again.start()
    assert await taken(again, 5) == [0, 1, 2, 3, 4]
    await again.stop()
    mosquitto.publish(f"{topic}/n", "5", "-q", "2")

    await again.start()
    assert await taken(again, 1) == [5], "what was delivered does not come again"


async def test_without_a_session_the_next_start_begins_with_what_is_new(
    build: Build, mosquitto: MosquittoServer, topic: str
) -> None:
    source = build(mosquitto, topic_filter=(f"{topic}/#",))
    await source.start()
    await source.stop()
    mosquitto.publish(f"{topic}/n", "1", "-q", "1")

    await source.start()
    mosquitto.publish(f"{topic}/n", "2", "-q", "1")

    assert await taken(source, 1) == [2]


async def test_the_receive_maximum_holds_the_broker_back_without_a_loss(
    build: Build, mosquitto: MosquittoServer, topic: str
) -> None:
    session: dict[str, Any] = {"client_id": topic, "session_expiry_s": 60, "receive_maximum": 5}
    source = build(mosquitto, topic_filter=(f"{topic}/#",), **session)
    await source.start()
    with Around(mosquitto.port, f"{topic}/#") as around:
        for number in range(20):
            around.publish(f"{topic}/n", str(number))
    batches = source.read()
    first = await anext(batches)
    held = [first]
    while sum(map(len, held)) < 5:
        held.append(await anext(batches))
    following = asyncio.ensure_future(anext(batches))
    done, _ = await asyncio.wait((following,), timeout=0.3)

    assert not done
    for batch in held:
        for acknowledgement in batch.acknowledgements:
            acknowledgement.release()
    async with asyncio.timeout(10):
        assert (await following).values[0] == 5
    await source.stop()


async def test_what_is_received_before_a_drain_is_given_and_acknowledged_until_the_stop(
    build: Build, mosquitto: MosquittoServer, topic: str
) -> None:
    source = build(mosquitto, topic_filter=(f"{topic}/#",))
    await source.start()
    mosquitto.publish(f"{topic}/n", "1", "-q", "1")
    await until(lambda: source._inbox is not None and source._inbox.arrived.is_set())
    await source.drain()
    mosquitto.publish(f"{topic}/n", "2", "-q", "1")

    batches = [batch async for batch in source.read()]

    assert [list(batch.values) for batch in batches] == [[1]]


async def test_a_kept_session_has_no_gap_over_a_restart_of_the_broker(
    stream: Stream, server: MosquittoServer
) -> None:
    await stream.start(*exchange(server, client_id="kept", session_expiry_s=600), dtype="int64")
    server.publish("t/n", "1", "-q", "1")
    await store.wait_for("sessions", 1)

    server.stop()
    await until(lambda: "no MQTT broker answers" in stream.status)
    assert [gap.to_ns for gap in stream.gaps] == [None], "as long as nobody knows"
    server.start()
    server.publish("t/n", "2", "-q", "1")

    # Where the broker went before it had the acknowledgement, 1 comes again.
    await until(lambda: {record.value for record in store.records("sessions")} == {1, 2})
    assert stream.gaps == []


@pytest.mark.parametrize(
    ("options", "text"),
    [({}, ""), ({"client_id": "lost", "session_expiry_s": 600}, "the broker had not kept")],
)
async def test_what_may_be_lost_with_the_broker_is_one_gap(
    stream: Stream, server: MosquittoServer, options: dict[str, Any], text: str
) -> None:
    await stream.start(*exchange(server, **options), dtype="int64")
    server.publish("t/n", "1", "-q", "1")
    await store.wait_for("sessions", 1)

    server.kill()
    await until(lambda: "no MQTT broker answers" in stream.status)
    server.start()
    await until(lambda: "no MQTT broker answers" not in stream.status)
    server.publish("t/n", "2", "-q", "1")

    assert [record.value for record in await store.wait_for("sessions", 2)] == [1, 2]
    (gap,) = stream.gaps
    assert gap.reason is GapReason.NOT_READING
    assert gap.to_ns is not None
    assert gap.to_ns > gap.from_ns
    assert f"{server.host}:{server.port} was lost" in gap.text
    assert text in gap.text


async def test_a_broker_that_stands_still_is_noticed_by_the_keep_alive(
    build: Build, server: MosquittoServer
) -> None:
    source = build(server, keep_alive_s=1)
    await source.start()
    assert source.silent_s() < 1.5
    server.pause()
    batches = source.read()
    try:
        async with asyncio.timeout(8):
            with pytest.raises(RetryableError, match="Keep alive timeout"):
                await anext(batches)
        assert source.silent_s() >= 1.0
    finally:
        server.resume()


async def test_an_idle_source_is_well(stream: Stream, server: MosquittoServer) -> None:
    source, sink = exchange(server)
    await stream.start(source, sink, dtype="int64", health_limit_s=1.5)

    await asyncio.sleep(2.5)  # longer than the limit: only signs of life make it well

    assert ailments(stream._connector.groups.values()) == {}


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (0x8E, FatalError, "another client came with the client_id 'twin'"),
        (0x87, FatalError, "ended the connection: Not authorized"),
        (0x8B, RetryableError, "ended the connection: Server shutting down"),
        (0x97, RetryableError, "ended the connection: Quota exceeded"),
    ],
)
def test_the_reason_of_a_broker_decides_whether_it_is_tried_again(
    code: int, kind: type[Exception], told: str
) -> None:
    # Mosquitto 2.0.11 closes the connection without saying why.
    reason = ReasonCode(PacketTypes.DISCONNECT, identifier=code)

    error = ended_by_broker("broker:1883", reason.value, str(reason), "twin")

    assert type(error) is kind
    assert told in str(error)


async def test_a_start_can_be_cancelled_at_any_time(build: Build, server: MosquittoServer) -> None:
    server.pause()  # its kernel accepts the connection, and nobody answers
    source = build(server)
    for wait_s in (0.0, 0.001, 0.05, 0.3):
        starting = asyncio.ensure_future(source.start())
        await asyncio.wait((starting,), timeout=wait_s)
        starting.cancel()
        await asyncio.wait((starting,))
        assert starting.cancelled()
        await source.stop()
    server.resume()

    await source.start()
    server.publish("t/n", "1", "-q", "1")

    assert await taken(source, 1) == [1]
