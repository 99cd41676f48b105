"""What subscribers live through when the device is configured anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tango

if TYPE_CHECKING:
    from tests.device.conftest import ConnectorServer

MakeExchange = Callable[..., dict[str, Any]]
REMOVED = "QueueConnector_AttributeRemoved"


def test_an_attribute_that_did_not_change_keeps_value_and_subscribers(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    numbers = [float(number) for number in range(1, 401)]
    kept = make_exchange(numbers, "kept", delay=0.005)
    server.configure(streams=[kept], other=[make_exchange([1], "other", dtype="int32")])
    listener = server.listen("kept")
    server.proxy().Start()
    for turn in range(8):
        other = make_exchange([1], "other", dtype=("int32", "float32")[turn % 2])
        server.configure(streams=[kept], other=[other])
    assert listener.wait_for(lambda heard: heard[-1] == numbers[-1]) == [None, *numbers]


def test_it_keeps_them_also_when_its_exchange_changes(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    server.configure(make_exchange([1.0, 2.0], "x"))
    listener = server.listen("x")
    server.proxy().Start()
    server.wait_for_state("OFF")
    server.configure(make_exchange([3.0, 4.0], "x"))
    assert server.read("x").value == 2.0
    server.proxy().Start()
    assert listener.wait_for(lambda heard: len(heard) == 5) == [None, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize(
    "changed",
    [{"dtype": "int32"}, {"shape": [3]}, {"dtype": "str"}],
    ids=["another number", "a spectrum", "text"],
)
def test_subscribers_of_a_changed_attribute_are_told_and_hear_the_new_one(
    server: ConnectorServer, make_exchange: MakeExchange, changed: dict[str, Any]
) -> None:
    server.configure(make_exchange([1.0], "x"))
    listener = server.listen("x")
    server.proxy().Start()
    listener.wait_for(lambda heard: heard[-1] == 1.0)
    server.wait_for_state("OFF")
    server.configure(make_exchange(["7"], "x", **changed))
    listener.wait_for(lambda heard: REMOVED in heard)
    server.proxy().Start()
    heard = listener.wait_for(lambda heard: "7" in str(heard[-1]))
    np.testing.assert_equal(np.array(heard[-1], int), np.array(server.read("x").value, int))


def test_an_attribute_that_goes_is_told_and_heard_when_it_comes_back(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    server.configure(make_exchange([1.0], "x"))
    listener = server.listen("x")
    server.proxy().Configure("")
    assert server.attributes() == set()
    listener.wait_for(lambda heard: heard == [None, REMOVED])
    with pytest.raises(tango.DevFailed, match="API_AttrNotFound"):
        server.read("x")
    server.configure(make_exchange([2.0], "X"))
    server.proxy().Start()
    listener.wait_for(lambda heard: heard[-1] == 2.0)


def test_a_group_that_streams_goes_on_by_itself_after_a_change(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    endless = list(range(3000))
    server.configure(make_exchange(endless, "x", delay=0.005))
    server.proxy().Start()
    server.wait_for_state("ON")
    server.configure(make_exchange(endless, "y", delay=0.005))
    server.wait_for_state("ON")
    assert server.attributes() == {"y"}
    server.process.wait_until(lambda: server.read("y").value, 5, "a value")


def test_many_attributes_come_and_go(server: ConnectorServer, make_exchange: MakeExchange) -> None:
    names = [f"attribute_{number}" for number in range(300)]
    server.configure(*(make_exchange([number], name) for number, name in enumerate(names)))
    server.proxy().Start()
    server.wait_for_state("OFF")
    values = [found.value for found in server.proxy().read_attributes(names)]
    assert values == [float(number) for number in range(300)]
    server.proxy().Configure("")
    assert server.attributes() == set()
