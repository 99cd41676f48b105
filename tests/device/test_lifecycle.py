"""States, commands and configurations, driven as an operator drives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import tango

from queueconnector_core.states import TRANSITIONS, State, Trigger

if TYPE_CHECKING:
    from tests.device.conftest import ConnectorServer

MakeExchange = Callable[..., dict[str, Any]]
ENDLESS = {"data": list(range(1, 3000)), "delay": 0.005}


def states(heard: list[Any]) -> list[str]:
    return [str(state) for state in heard]


def refusal(action: Callable[[], object]) -> tango.DevError:
    """The first error of a command that is refused."""
    with pytest.raises(tango.DevFailed) as caught:
        action()
    error: tango.DevError = caught.value.args[0]
    return error


def test_a_device_that_nobody_configured_is_in_standby(server: ConnectorServer) -> None:
    assert server.proxy().status() == "Not configured."
    assert server.attributes() == set()
    assert server.proxy().IsMonitoringDB() is False
    assert server.proxy().info().dev_class == "SDPQueueConnector"


def test_every_change_of_state_is_an_event(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    state, status = server.listen("State"), server.listen("Status")
    server.configure(make_exchange(**ENDLESS, name="x"))
    server.proxy().Start()
    server.wait_for_state("ON")
    # Of texts that follow each other closely the last is told.
    status.wait_for(lambda heard: any(text.startswith("Group default is ON") for text in heard))
    server.proxy().Stop()
    server.wait_for_state("OFF")
    server.proxy().Standby()
    expected = ["STANDBY", "OFF", "OPEN", "ON", "CLOSE", "OFF", "STANDBY"]
    state.wait_for(lambda heard: len(heard) == len(expected))
    assert states(state.heard) == expected
    status.wait_for(lambda heard: heard[-1] == "Not configured.")


def test_start_returns_when_it_is_open_and_a_finished_stream_is_off_by_itself(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    state = server.listen("State")
    server.configure(make_exchange([1.0, 2.0], "x", delay=0.02))
    server.proxy().Start()
    assert server.state in {"OPEN", "ON"}
    state.wait_for(lambda heard: states(heard)[-3:] == ["ON", "CLOSE", "OFF"])
    assert server.read("x").value == 2.0
    assert "2 received, 2 delivered" in server.proxy().status()


def test_it_can_be_started_again(server: ConnectorServer, make_exchange: MakeExchange) -> None:
    server.configure(make_exchange([1.0, 2.0], "x"))
    listener = server.listen("x")
    for turn in (1, 2):
        server.proxy().Start()
        listener.wait_for(lambda heard, turn=turn: len(heard) == 1 + 2 * turn)  # type: ignore[misc]
        server.wait_for_state("OFF")
    assert listener.heard == [None, 1.0, 2.0, 1.0, 2.0]


def test_abort_ends_it_at_once(server: ConnectorServer, make_exchange: MakeExchange) -> None:
    server.configure(make_exchange(**ENDLESS, name="x"))
    server.proxy().Start()
    server.wait_for_state("ON")
    server.proxy().Abort()
    assert server.state == "OFF"


COMMANDS = (Trigger.START, Trigger.STOP, Trigger.ABORT, Trigger.RESET, Trigger.STANDBY)


@pytest.mark.parametrize("trigger", COMMANDS, ids=lambda trigger: trigger.value)
@pytest.mark.parametrize(
    "state", [State.STANDBY, State.OFF, State.ON], ids=lambda state: state.value
)
def test_a_command_that_the_state_does_not_allow_is_refused(
    server: ConnectorServer, make_exchange: MakeExchange, state: State, trigger: Trigger
) -> None:
    if any(move.source is state and move.trigger is trigger for move in TRANSITIONS):
        return
    if state is not State.STANDBY:
        server.configure(make_exchange(**ENDLESS, name="x"))
    if state is State.ON:
        server.proxy().Start()
        server.wait_for_state("ON")
    error = refusal(lambda: server.proxy().command_inout(trigger.value))
    assert error.reason == "QueueConnector_StateError"
    assert f"{trigger.value} is not allowed in state {state.value}" in error.desc
    assert server.state == state.value


def source(data: list[Any], **options: Any) -> dict[str, Any]:
    return {"type": "InMemorySource", "data": data, **options}


def local(name: str, **options: Any) -> dict[str, Any]:
    return {"type": "TangoLocalAttributeSink", "attribute_name": name, **options}


def one(**options: Any) -> str:
    return json.dumps({"exchanges": [{"source": source([1]), "sink": local("y"), **options}]})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"exchanges": [', "not valid JSON: Expecting value (line 1, column 16)"),
        ("[]", "found []"),
        (one(source={"type": "InMemorySorce", "data": []}), "exchanges[0].source.type: unknown"),
        (one(source=source([], dlay=1)), "exchanges[0].source.dlay: unknown option"),
        (one(dtype="flaot64"), "exchanges[0].dtype: unknown dtype 'flaot64'"),
        (one(dtype="int8"), "exchanges[0].sink: a Tango attribute cannot carry dtype int8"),
        (one(dtype="object"), "exchanges[0].sink: a Tango attribute cannot carry dtype object"),
        (one(dtype="float64", shape=[2, 2, 2]), "exchanges[0].sink: found shape [2, 2, 2]"),
        (one(dtype="float64", shape=[-1]), "exchanges[0].sink: found shape [-1]"),
        (one(sink=local("a b")), "exchanges[0].sink.attribute_name: found 'a b'"),
        (one(sink=local("1a")), "exchanges[0].sink.attribute_name: found '1a'"),
        (one(sink=local("sTATE")), "exchanges[0].sink.attribute_name: found 'sTATE'"),
        (one(sink=local("status")), "exchanges[0].sink.attribute_name: found 'status'"),
        (
            one(dtype="uint8", sink=local("y", default_value=300)),
            "exchanges[0].sink.default_value: found 300",
        ),
        (
            one(sink=[local("Twice"), local("tWICE")]),
            "exchanges[0].sink[1].attribute_name: Tango attribute 'tWICE' is already used",
        ),
        (
            one(
                dtype="object",
                sink={
                    "type": "TangoObjectScatterAttributeSink",
                    "attributes": [{"attribute_name": "y", "dtype": "int32", "path": "a..b"}],
                },
            ),
            "exchanges[0].sink.attributes[0].path: found 'a..b', which is no JMESPath",
        ),
        (
            one(
                dtype="float64",
                shape=[4],
                sink={
                    "type": "TangoArrayScatterAttributeSink",
                    "attribute_names": ["a", "b"],
                    "indices": [1, 2],
                },
            ),
            "exchanges[0].sink.indices: 2 indices make 3 parts",
        ),
        (
            one(
                source={
                    "type": "TangoSubscriptionSource",
                    "device_name": "a/b/c",
                    "attribute_name": "x",
                    "etype": 5,
                }
            ),
            "exchanges[0].source.etype: found 5",
        ),
        ("/component/{}", "{} needs the property subarray_id"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place_and_what_runs_still_runs(
    server: ConnectorServer, make_exchange: MakeExchange, text: str, told: str
) -> None:
    server.configure(make_exchange(**ENDLESS, name="x"))
    listener = server.listen("x")
    server.proxy().Start()
    server.wait_for_state("ON")
    error = refusal(lambda: server.proxy().Configure(text))
    assert error.reason == "QueueConnector_ConfigError"
    assert told in error.desc
    assert error.desc.count(told) == 1
    assert server.state == "ON"
    assert server.attributes() == {"x"}
    already = len(listener.heard)
    heard = listener.wait_for(lambda values: len(values) > already + 5)
    assert heard == [None, *range(1, len(heard))]


def test_all_problems_are_told_at_once(server: ConnectorServer) -> None:
    wrong = [
        {"dtype": "int8", "source": source([]), "sink": local("a")},
        {"dtype": "int32", "source": source([]), "sink": local("b c")},
        {"dtype": "int32", "source": source(["x"]), "sink": local("d")},
    ]
    error = refusal(lambda: server.configure(*wrong))
    assert [line.partition(":")[0] for line in error.desc.splitlines()] == [
        "exchanges[0].sink",
        "exchanges[1].sink.attribute_name",
        "exchanges[2].source.data[0]",
    ]


def test_a_fault_is_told_and_left_by_reset(server: ConnectorServer) -> None:
    away = {
        "type": "TangoSubscriptionSource",
        "device_name": "tango://127.0.0.1:1/no/such/device#dbase=no",
        "attribute_name": "x",
        "stateless": False,
    }
    server.configure({"dtype": "float64", "source": away, "sink": local("x")})
    server.proxy().Start()
    server.wait_for_state("FAULT")
    status = server.proxy().status()
    assert (
        "Group default is FAULT: cannot subscribe to tango://127.0.0.1:1/no/such/device/x" in status
    )
    server.proxy().Reset()
    assert server.state == "OFF"


def test_a_fault_stays_inside_its_group(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    away = {
        "type": "TangoSubscriptionSource",
        "device_name": "tango://127.0.0.1:1/no/such/device#dbase=no",
        "attribute_name": "x",
        "stateless": False,
    }
    server.configure(
        good=[make_exchange(**ENDLESS, name="x")],
        bad=[{"dtype": "float64", "source": away, "sink": local("y")}],
    )
    listener = server.listen("x")
    server.proxy().Start()
    server.wait_for_state("FAULT")
    already = len(listener.heard)
    listener.wait_for(lambda heard: len(heard) > already + 10)
    assert "Group good is ON" in server.proxy().status()
    server.proxy().Stop()


def test_text_beyond_latin_1_in_a_configuration_is_sent_as_utf_8(server: ConnectorServer) -> None:
    text = one(dtype="str", source=source(["望"]), sink=local("y", default_value="€"))
    server.proxy().Configure(json.dumps(json.loads(text), ensure_ascii=False).encode())
    assert server.read("y").value.encode("latin-1").decode() == "€"
