"""Two groups, and the broker of one is killed: the other one notices nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devservices import kcat
from devservices.kafka import KafkaBroker
from devservices.process import wait_until

from .conftest import Connector, Counted

pytestmark = pytest.mark.usefixtures("kcat")


@pytest.fixture(scope="module")
def broker() -> Iterator[KafkaBroker]:
    """A broker of one's own, to be killed."""
    with KafkaBroker() as running:
        yield running


@pytest.fixture
def topic(broker: KafkaBroker, topics: Iterator[str]) -> str:
    """A topic of the test's own."""
    name = next(topics)
    broker.create_topic(name)
    return name


def local(name: str) -> dict[str, Any]:
    return {"type": "TangoLocalAttributeSink", "attribute_name": name}


def kafka(broker: KafkaBroker, topic: str) -> dict[str, Any]:
    source = {
        "type": "KafkaConsumerSource",
        "servers": broker.bootstrap,
        "topic": topic,
        "encoding": "json",
    }
    return {"dtype": "int64", "source": source, "sink": local("from_kafka")}


COUNTING = {
    "dtype": "int64",
    "source": {"type": "InMemorySource", "data": list(range(60_000)), "delay": 0.005},
    "sink": local("counting"),
}


def configure(connector: Connector, groups: dict[str, Any], **policy: Any) -> None:
    connector.proxy().Configure(json.dumps({"exchanges": groups, **policy}))


def status_says(connector: Connector, text: str, timeout_s: float = 30.0) -> str:
    proxy = connector.proxy()
    wait_until(lambda: text in proxy.status(), timeout_s, f"{text!r} in Status")
    return str(proxy.status())


def produced_is_read(connector: Connector, broker: KafkaBroker, topic: str, value: int) -> None:
    """Produce until the device shows it: after an outage the source reads on, soon."""
    kcat.produce(broker.bootstrap, topic, json.dumps(value).encode())
    wait_until(lambda: connector.proxy().read_attribute("from_kafka").value == value, 30, "it")


@pytest.mark.timeout(180)
def test_the_group_recovers_by_itself_and_the_other_has_no_gap(
    start_connector: Callable[..., Connector], broker: KafkaBroker, topic: str
) -> None:
    connector = start_connector()
    configure(connector, {"bus": [kafka(broker, topic)], "control": [COUNTING]})
    connector.proxy().Start()
    connector.wait_for_state("ON")
    counted = Counted(connector, "counting")
    produced_is_read(connector, broker, topic, 1)
    broker.kill()
    counted.more(400)
    assert "Group control is ON" in connector.proxy().status()
    assert "Group bus is ON" in connector.proxy().status(), "lost far ends are waited for"
    broker.start()
    produced_is_read(connector, broker, topic, 2)
    counted.more(50)
    counted.assert_no_gap()
    counted.close()
    connector.proxy().Abort()


@pytest.mark.timeout(180)
def test_by_policy_the_group_faults_and_starts_again_when_the_broker_is_back(
    start_connector: Callable[..., Connector], broker: KafkaBroker, topic: str
) -> None:
    connector = start_connector()
    broker.kill()
    configure(
        connector,
        {"bus": [kafka(broker, topic)], "control": [COUNTING]},
        outage_limit_s=1,
        restart={"attempts": 100, "wait_s": 1, "longest_wait_s": 2},
    )
    connector.proxy().Start()
    counted = Counted(connector, "counting")
    told = status_says(connector, "Group bus is FAULT")
    assert "away for more than outage_limit_s = 1 s" in told
    assert "starts again at" in told
    assert "of 100)" in told
    assert "Group control is ON" in told
    assert str(connector.proxy().state()) == "FAULT"
    broker.start()
    status_says(connector, "Group bus is ON")
    produced_is_read(connector, broker, topic, 3)
    connector.wait_for_state("ON")
    counted.more(50)
    counted.assert_no_gap()
    counted.close()
    connector.proxy().Abort()


@pytest.mark.timeout(180)
def test_without_a_restart_it_stands_in_fault_with_the_reason(
    start_connector: Callable[..., Connector], broker: KafkaBroker, topic: str
) -> None:
    connector = start_connector()
    broker.kill()
    configure(connector, {"bus": [kafka(broker, topic)], "control": [COUNTING]}, outage_limit_s=1)
    connector.proxy().Start()
    told = status_says(connector, "Group bus is FAULT")
    assert f"no Kafka broker answers at {broker.bootstrap}" in told
    assert "Reset or a new configuration leaves it" in told
    broker.start()
    connector.proxy().Reset()
    assert "Group bus is OFF" in connector.proxy().status()
    connector.proxy().Start()
    status_says(connector, "Group bus is ON")
    connector.proxy().Abort()
