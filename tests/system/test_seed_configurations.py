"""The configurations that the SKA LMC Queue Connector's documentation prints, run as they stand.

Only the address of the broker is exchanged for that of the broker of the tests.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tango

from devservices import kcat
from devservices.kafka import KafkaBroker

from .conftest import Connector

IMAGE = """
{
    "exchanges": [
        {
            "dtype": "float32",
            "shape": [2,2],
            "source": {
                "type": "InMemorySource",
                "data": [
                    [[0,0],
                    [0,1]],
                    [1.0, 2.0],
                    2.0,
                    2.1,
                    2.5
                ],
                "delay": 0.5
            },
            "sink": {
                "type": "KafkaProducerSink",
                "topic": "test-topic",
                "servers": "localhost",
                "encoding": "carray"
            }
        },
        {
            "dtype": "float32",
            "shape": [2,2],
            "source": {
                "type": "KafkaConsumerSource",
                "topic": "test-topic",
                "servers": "localhost",
                "encoding": "carray"
            },
            "sink": {
                "type": "TangoLocalAttributeSink",
                "attribute_name": "matrix",
                "default_value": 0
            }
        }
    ]
}
"""

GETTING_STARTED = """
{
    "exchanges": [
        {
            "dtype": "string",
            "shape": [],
            "source": {
                "type": "KafkaConsumerSource",
                "servers": "localhost:9092",
                "topic": "test_topic",
                "encoding": "utf-8"
            },
            "sink": {
                "type": "TangoLocalAttributeSink",
                "attribute_name": "message"
            }
        }
    ]
}
"""


@pytest.fixture
def connector(start_connector: Callable[..., Connector]) -> Connector:
    """A running device in STANDBY."""
    return start_connector()


@pytest.mark.parametrize("empty", ["{}", '{"exchanges": null}', '{"exchanges": []}', "", "null"])
def test_without_exchanges_the_device_stays_in_standby(connector: Connector, empty: str) -> None:
    connector.proxy().Configure(empty)

    assert connector.proxy().state() is tango.DevState.STANDBY


def run(connector: Connector, text: str, broker: KafkaBroker) -> None:
    """Configure with the text and the broker of the tests, start, and wait for ON."""
    configuration: dict[str, Any] = json.loads(text)
    for exchange in configuration["exchanges"]:
        for end in (exchange["source"], exchange["sink"]):
            if "servers" in end:
                end["servers"] = broker.bootstrap
    connector.proxy().Configure(json.dumps(json.dumps(configuration)))
    assert connector.proxy().state() is tango.DevState.OFF


def test_the_image_example_shows_each_image(
    connector: Connector, kafka_broker: KafkaBroker
) -> None:
    run(connector, IMAGE, kafka_broker)
    heard: queue.Queue[tango.EventData] = queue.Queue()
    proxy = connector.proxy()
    proxy.subscribe_event("matrix", tango.EventType.CHANGE_EVENT, heard.put)

    proxy.Start()
    images = [heard.get(timeout=30).attr_value.value for _ in range(6)]

    expected = [0, [[0, 0], [0, 1]], [[1, 2], [1, 2]], 2.0, 2.1, 2.5]
    for image, value in zip(images, expected, strict=True):
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, np.broadcast_to(np.array(value, np.float32), (2, 2)))
    assert proxy.state() is tango.DevState.ON


@pytest.mark.usefixtures("kcat")
def test_the_getting_started_example_prints_the_messages(
    connector: Connector, kafka_broker: KafkaBroker
) -> None:
    run(connector, GETTING_STARTED, kafka_broker)
    proxy = connector.proxy()
    proxy.Start()
    connector.wait_for_state("ON")
    heard: queue.Queue[tango.EventData] = queue.Queue()
    proxy.subscribe_event("message", tango.EventType.CHANGE_EVENT, heard.put)
    heard.get(timeout=10)

    kcat.produce(kafka_broker.bootstrap, "test_topic", b"Hello", b"world!")

    assert [heard.get(timeout=10).attr_value.value for _ in range(2)] == ["Hello", "world!"]
    assert proxy.read_attribute("message").value == "world!"
