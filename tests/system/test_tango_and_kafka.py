"""A device and a client that nobody here wrote, on both ends of an exchange."""

from __future__ import annotations

import contextlib
import json
import queue
from collections.abc import Callable, Iterator

import pytest
import tango

from devservices import kcat
from devservices.errors import ServiceFailed
from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from devservices.tango import TangoDatabase, TangoTest

from .conftest import Connector

pytestmark = pytest.mark.usefixtures("kcat")


@pytest.fixture(params=["with a Tango database", "without a database"])
def connector(
    request: pytest.FixtureRequest,
    tango_database: TangoDatabase,
    start_connector: Callable[..., Connector],
) -> Connector:
    """A running device in STANDBY."""
    return start_connector(tango_database if "with a" in request.param else None)


def test_a_polled_attribute_of_tangotest_is_read_by_kcat(
    connector: Connector,
    tango_test: TangoTest,
    kafka_broker: KafkaBroker,
    topics: Iterator[str],
) -> None:
    topic = next(topics)
    kafka_broker.create_topic(topic)
    tango_test.poll("double_scalar_w", 20, abs_change=0.001)
    tango_test.proxy().write_attribute("double_scalar_w", 0.5)
    connector.stream(
        {
            "dtype": "float64",
            "source": {
                "type": "TangoSubscriptionSource",
                "device_name": tango_test.trl(),
                "attribute_name": "double_scalar_w",
            },
            "sink": {
                "type": "KafkaProducerSink",
                "servers": kafka_broker.bootstrap,
                "topic": topic,
                "encoding": "json",
            },
        }
    )

    received: list[float] = []

    def write_and_receive(value: float) -> None:
        # One write per event: polling shows only the last of several.
        tango_test.proxy().write_attribute("double_scalar_w", value)
        while not received or received[-1] != value:
            (message,) = kcat.consume(
                kafka_broker.bootstrap, topic, 1, offset=len(received), timeout_s=5
            )
            received.append(json.loads(message))

    for attempt in range(5):
        # Tango confirms a subscription before ZeroMQ has passed it on to the device.
        with contextlib.suppress(ServiceFailed):
            write_and_receive(1000.0 + attempt)
            break
    assert received[0] == 0.5, "the value that Tango gives at subscription"
    first = len(received)
    written = [1.5, -2.25, 1e300, 0.0]
    for value in written:
        write_and_receive(value)

    assert received[first:] == written


def test_a_message_written_by_kcat_is_read_and_heard_by_plain_proxies(
    connector: Connector, kafka_broker: KafkaBroker, topics: Iterator[str]
) -> None:
    topic = next(topics)
    kafka_broker.create_topic(topic)
    connector.stream(
        {
            "dtype": "float64",
            "shape": [3],
            "source": {
                "type": "KafkaConsumerSource",
                "servers": kafka_broker.bootstrap,
                "topic": topic,
                "encoding": "json",
            },
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "offsets"},
        }
    )
    heard: queue.Queue[tango.EventData] = queue.Queue()
    proxy = connector.proxy()
    before = proxy.read_attribute("offsets")
    subscription = proxy.subscribe_event("offsets", tango.EventType.CHANGE_EVENT, heard.put)
    initial = heard.get(timeout=10)

    kcat.produce(kafka_broker.bootstrap, topic, b"[1.0, -2.5, NaN]", b"[4, 5, 6]")
    first, second = heard.get(timeout=10), heard.get(timeout=10)
    proxy.unsubscribe_event(subscription)

    assert before.quality is tango.AttrQuality.ATTR_INVALID
    assert initial.attr_value.value is None
    assert str(first.attr_value.value.tolist()) == "[1.0, -2.5, nan]"
    assert list(second.attr_value.value) == [4.0, 5.0, 6.0]
    assert list(proxy.read_attribute("offsets").value) == [4.0, 5.0, 6.0]


def test_a_message_that_cannot_be_decoded_is_counted_and_told(
    connector: Connector, kafka_broker: KafkaBroker, topics: Iterator[str]
) -> None:
    topic = next(topics)
    kafka_broker.create_topic(topic)
    connector.stream(
        {
            "dtype": "int32",
            "source": {
                "type": "KafkaConsumerSource",
                "servers": kafka_broker.bootstrap,
                "topic": topic,
                "encoding": "json",
            },
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "count"},
        }
    )
    kcat.produce(kafka_broker.bootstrap, topic, b"1", b"{broken", b"2.5", b"2")
    proxy = connector.proxy()

    wait_until(lambda: proxy.read_attribute("count").value == 2, 10, "the last good value")
    wait_until(lambda: "2 delivered, 2 dropped" in proxy.status(), 10, proxy.status())

    assert f"{topic}[0]@" in proxy.status()
    assert str(proxy.state()) == "ON"
