"""Values picked out of real messages, as dish leaf nodes and dashboards read them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import confluent_kafka
import msgpack
import msgpack_numpy
import numpy as np
import pytest
import tango

from devservices import kcat
from devservices.kafka import KafkaBroker
from devservices.process import wait_until

from .conftest import Connector

OFFSETS = np.dtype([
    ("antenna_name", "U8"),
    *((name, "f8") for name in (
        "last_scan_index", "xel_offset", "xel_offset_std", "el_offset", "el_offset_std",
        "expected_width_h", "expected_width_v", "fitted_width_h", "fitted_width_h_std",
        "fitted_width_v", "fitted_width_v_std", "fitted_height", "fitted_height_std",
    )),
])  # fmt: skip
DISHES = [f"SKA{number:03}" for number in range(1, 65)]
MESSAGES = 50
RATE_HZ = 10


def pointing_cal(dish: str) -> dict[str, Any]:
    """The attribute that the leaf node of a dish subscribes to."""
    return {
        "attribute_name": f"pointing_cal_{dish}",
        "dtype": "float64",
        "shape": [3],
        "path": f"[?antenna_name=='{dish}'] | [0].[last_scan_index, xel_offset, el_offset]",
        "default_value": 0.0,
    }


def offsets(scan: int) -> np.ndarray[Any, np.dtype[Any]]:
    """A message of the pointing pipeline; of each tenth dish nothing could be fitted."""
    rows = np.zeros(len(DISHES), OFFSETS)
    rows["antenna_name"] = DISHES
    rows["last_scan_index"] = scan
    rows["xel_offset"] = np.arange(len(DISHES)) + scan / 1000
    rows["el_offset"] = -rows["xel_offset"]
    rows["xel_offset"][::10] = math.nan
    return rows


def test_offsets_of_64_dishes_reach_each_dish_ten_times_a_second_with_none_missing(
    start_connector: Callable[..., Connector], kafka_broker: KafkaBroker, topics: Iterator[str]
) -> None:
    topic = next(topics)
    kafka_broker.create_topic(topic)
    connector = start_connector()
    connector.stream({
        "dtype": [[name, OFFSETS[name].str.lstrip("<")] for name in OFFSETS.names or ()],
        "shape": [len(DISHES)],
        "source": {
            "type": "KafkaConsumerSource",
            "servers": kafka_broker.bootstrap,
            "topic": topic,
            "encoding": "msgpack_numpy",
        },
        "sink": {
            "type": "TangoObjectScatterAttributeSink",
            "attributes": [pointing_cal(dish) for dish in DISHES],
        },
    })  # fmt: skip
    proxy = connector.proxy()
    heard: dict[str, list[Any]] = {dish: [] for dish in DISHES}

    def listen(dish: str) -> int:
        def hear(event: tango.EventData) -> None:
            heard[dish].append((time.monotonic(), event.attr_value.value))

        name = f"pointing_cal_{dish}"
        return int(proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, hear))

    subscriptions = [listen(dish) for dish in DISHES]
    wait_until(lambda: all(heard.values()), 20, "the values at subscription")

    producer = confluent_kafka.Producer({"bootstrap.servers": kafka_broker.bootstrap})
    begun = time.monotonic()
    sent: list[float] = []
    for scan in range(1, MESSAGES + 1):
        sent.append(time.monotonic())
        producer.produce(topic, msgpack.packb(offsets(scan), default=msgpack_numpy.encode))
        producer.flush()
        time.sleep(max(0.0, begun + scan / RATE_HZ - time.monotonic()))
    done = MESSAGES + 1
    wait_until(lambda: all(len(values) == done for values in heard.values()), 60, "all offsets")
    for subscription in subscriptions:
        proxy.unsubscribe_event(subscription)

    for index, dish in enumerate(DISHES):
        (_, first), *events = heard[dish]
        np.testing.assert_array_equal(first, [0.0, 0.0, 0.0])
        expected = [offsets(scan)[index] for scan in range(1, MESSAGES + 1)]
        np.testing.assert_array_equal(
            [value for _, value in events],
            [[row["last_scan_index"], row["xel_offset"], row["el_offset"]] for row in expected],
        )
    delays = [max(events[n + 1][0] for events in heard.values()) - at for n, at in enumerate(sent)]
    assert np.median(delays) < 1 / RATE_HZ, "the last dish hears before the next message is sent"


def metric(name: str, dtype: str, default: Any, path: str | None = None) -> dict[str, Any]:
    """One attribute of the dashboard of a receiver."""
    return {
        "attribute_name": name,
        "dtype": dtype,
        "path": path or name,
        "filter": "type=='visibility_receive'",
        "default_value": default,
    }


METRICS = [
    metric("receiver_state", "str", "unknown", "state"),
    metric("last_update", "float", 0.0, "time"),
    metric("processing_block_id", "str", ""),
    metric("execution_block_id", "str", ""),
    metric("subarray_id", "str", "-1"),
    metric("scan_id", "int", 0),
    metric("payloads_received", "int", 0),
    metric("time_slices_received", "int", 0, "time_slices"),
    metric("time_since_last_payload", "float", 0.0),
]
RECEIVING = {
    "type": "visibility_receive",
    "state": "receiving",
    "time": 1733391923.5413702,
    "processing_block_id": "pb-test-20241205-12345",
    "execution_block_id": "eb-test-20241205-12345",
    "subarray_id": "01",
    "scan_id": 34,
    "payloads_received": 2,
    "time_slices": 0,
    "time_since_last_payload": 1.62e-05,
}


@pytest.mark.usefixtures("kcat")
def test_the_metrics_of_a_receiver_are_nine_attributes(
    start_connector: Callable[..., Connector], kafka_broker: KafkaBroker, topics: Iterator[str]
) -> None:
    topic = next(topics)
    kafka_broker.create_topic(topic)
    connector = start_connector()
    connector.stream({
        "dtype": "object",
        "source": {
            "type": "KafkaConsumerSource",
            "servers": kafka_broker.bootstrap,
            "topic": topic,
            "encoding": "json",
        },
        "sink": {"type": "TangoObjectScatterAttributeSink", "attributes": METRICS},
    })  # fmt: skip
    proxy = connector.proxy()

    def shown() -> dict[str, Any]:
        return {
            each["attribute_name"]: proxy.read_attribute(each["attribute_name"]).value
            for each in METRICS
        }

    def send(message: dict[str, Any], count: int) -> None:
        kcat.produce(kafka_broker.bootstrap, topic, json.dumps(message).encode())
        told = f"{count} received, {count} delivered"
        wait_until(lambda: told in proxy.status(), 10, told)

    assert shown() == {each["attribute_name"]: each["default_value"] for each in METRICS}

    send({"time": 1733391920, "scan_id": -1, "streams": []}, 1)
    assert shown()["scan_id"] == 0, "an event of another kind changes nothing"

    send(RECEIVING, 2)
    received = {each["attribute_name"]: RECEIVING[each["path"]] for each in METRICS}
    assert shown() == received

    send({**RECEIVING, "state": "waiting", "scan_id": None, "time": 1733391924}, 3)
    expected = {**received, "receiver_state": "waiting", "last_update": 1733391924.0}
    assert shown() == expected, "where a metric is null its attribute keeps the last value"
    types = {"str": str, "int": int, "float": float}
    assert all(isinstance(shown()[m["attribute_name"]], types[m["dtype"]]) for m in METRICS)
