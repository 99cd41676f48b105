"""The device tells of each exchange whether it is well, its balance, and what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devservices.process import wait_until
from queueconnector_tango.claims import OWN_ATTRIBUTES
from tests.device.conftest import ConnectorServer, exchange

NOWHERE = {"type": "KafkaConsumerSource", "servers": "127.0.0.1:1", "topic": "t"}
SINK = {"type": "InMemorySink", "key": "accounts"}


def statistics(server: ConnectorServer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.read("exchanges_statistics").value)
    return found


def test_the_balance_of_each_exchange_is_an_attribute(server: ConnectorServer) -> None:
    server.configure(exchange([1, 2, 3], "counted"))
    server.proxy().Start()
    wait_until(lambda: statistics(server)["default[0]"]["delivered"] == 3, 5, "the counters")
    counts = statistics(server)["default[0]"]
    assert counts["received"] == 3
    assert counts["dropped"] == counts["dead_lettered"] == counts["in_flight"] == 0
    assert counts["unhealthy"] is None
    assert server.read("exchanges_healthy").value is True
    assert json.loads(server.read("exchanges_gaps").value) == []


def test_an_exchange_whose_far_end_is_away_is_unhealthy_and_tells_why(
    server: ConnectorServer,
) -> None:
    heard = server.listen("exchanges_healthy")
    server.configure({"source": NOWHERE, "sink": SINK})
    server.proxy().Start()
    heard.wait_for(lambda values: values == [True, False])
    assert "no Kafka broker answers at 127.0.0.1:1" in statistics(server)["default[0]"]["unhealthy"]
    assert server.read("exchanges_healthy").value is False
    server.proxy().Stop()
    heard.wait_for(lambda values: values == [True, False, True])


@pytest.mark.parametrize("name", OWN_ATTRIBUTES)
def test_no_exchange_may_take_the_name_of_one(server: ConnectorServer, name: str) -> None:
    with pytest.raises(Exception, match="the device itself has State, Status, exchanges_healthy"):
        server.configure(exchange([1], name.upper()))
