"""Every property of the device, as an operator sets it; and what clients see then."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tango

from queueconnector_tango.dtypes import TANGO_TYPES

if TYPE_CHECKING:
    from tests.device.conftest import ConnectorServer

MakeServer = Callable[..., "ConnectorServer"]
MakeExchange = Callable[..., dict[str, Any]]
DEVICE = "test-sdp/queueconnector/01"
ENDLESS = {"data": list(range(1, 3000)), "delay": 0.005}


@pytest.fixture
def with_properties(make_server: MakeServer) -> MakeServer:
    """Starts a server without a database, with properties from a file."""

    def start(**properties: Any) -> ConnectorServer:
        texts = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in properties.items()
        }
        return make_server(properties={DEVICE: texts}).start()

    return start


def fixed(name: str, data_type: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "data_type": data_type, **options}


FORMATS: dict[str, list[int]] = {"SCALAR": [], "SPECTRUM": [4], "IMAGE": [2, 3]}


def sample(dtype: str, shape: list[int]) -> Any:
    values = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    made = values.astype("U8" if dtype == "str" else dtype)
    return made.tolist()


# Fixed attributes


@pytest.fixture
def declaring(with_properties: MakeServer) -> ConnectorServer:
    """A server that has a fixed attribute of every type and format."""
    attributes = [
        fixed(f"{dtype}_{name}", dtype, data_format=name, writeable=True, max_dim_x=4, max_dim_y=3)
        for dtype in (*TANGO_TYPES, "str")
        for name in FORMATS
    ]
    return with_properties(
        attributes=[*attributes, fixed("encoded", "bytes"), fixed("shown", "float64")]
    )


def test_fixed_attributes_of_every_type_and_format_are_written_read_and_heard(
    declaring: ConnectorServer,
) -> None:
    proxy = declaring.proxy()
    assert declaring.state == "STANDBY"
    assert len(declaring.attributes()) == 3 * (len(TANGO_TYPES) + 1) + 2
    for dtype in (*TANGO_TYPES, "str"):
        for name, shape in FORMATS.items():
            attribute, value = f"{dtype}_{name}", sample(dtype, shape)
            assert proxy.read_attribute(attribute).quality == tango.AttrQuality.ATTR_INVALID
            listener = declaring.listen(attribute)
            proxy.write_attribute(attribute, value)
            found = proxy.read_attribute(attribute)
            assert found.quality == tango.AttrQuality.ATTR_VALID
            assert abs(found.time.totime() - time.time()) < 10
            heard = listener.wait_for(lambda heard: len(heard) > 1)[-1]
            for got in (found.value, heard):
                np.testing.assert_equal(np.asarray(got).tolist(), value)
    assert proxy.get_attribute_config("encoded").data_type == tango.DevEncoded
    with pytest.raises(tango.DevFailed, match="not writable"):
        proxy.write_attribute("shown", 1.0)


def test_exchanges_write_into_fixed_attributes_and_leave_them_when_they_go(
    with_properties: MakeServer, make_exchange: MakeExchange
) -> None:
    server = with_properties(
        attributes=[fixed("x", "float64", writeable=True), fixed("y", "DevDouble")]
    )
    assert server.attributes() == {"x", "y"}
    listener = server.listen("x")
    server.configure(make_exchange([1.0, 2.0], "X", delay=0.01))
    server.proxy().Start()
    assert listener.wait_for(lambda heard: len(heard) == 3) == [None, 1.0, 2.0]
    server.wait_for_state("OFF")
    server.configure()
    assert server.attributes() == {"x", "y"}
    assert server.read("x").value == 2.0
    server.proxy().write_attribute("x", 7.0)
    listener.wait_for(lambda heard: heard[-1] == 7.0)
    server.configure(make_exchange([], "y", default_value=5.0))
    assert server.read("y").value == 5.0


def test_what_a_client_writes_reaches_an_exchange_that_subscribes_to_the_own_device(
    with_properties: MakeServer,
) -> None:
    server = with_properties(attributes=[fixed("setpoint", "float64", writeable=True)])
    own = {
        "type": "TangoSubscriptionSource",
        "device_name": server.trl(),
        "attribute_name": "setpoint",
    }
    server.configure(
        {
            "dtype": "float64",
            "source": own,
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "copy"},
        }
    )
    listener = server.listen("copy")
    server.proxy().Start()
    server.wait_for_state("ON")
    for value in (1.0, 2.0, 3.0):
        server.proxy().write_attribute("setpoint", value)
    heard = listener.wait_for(lambda heard: heard[-1] == 3.0)
    assert heard[-3:] == [1.0, 2.0, 3.0], "each write is an event, however fast they come"
    server.proxy().Stop()
    server.wait_for_state("OFF")


def test_an_exchange_of_another_type_is_refused_with_its_place(
    with_properties: MakeServer, make_exchange: MakeExchange
) -> None:
    server = with_properties(attributes=[fixed("x", "float64")])
    with pytest.raises(tango.DevFailed) as refusal:
        server.configure(make_exchange([1], "X", dtype="int32"))
    told = refusal.value.args[0].desc
    assert told.startswith("exchanges[0].sink.attribute_name: found int32")
    assert "the device property 'attributes' declares 'x' as float64" in told
    assert server.state == "STANDBY"


def test_properties_that_cannot_be_used_are_all_told_and_the_device_lives(
    with_properties: MakeServer, make_exchange: MakeExchange
) -> None:
    server = with_properties(
        attributes=[fixed("a b", "int8"), fixed("x", "float64")],
        config_sources=[{"type": "Nothing"}],
        exchanges_config_path="/component/{}",
        commands="some",
    )
    assert server.state == "FAULT"
    status = server.proxy().status()
    for told in (
        "The device properties cannot be used:",
        "attributes[0].name: found 'a b'",
        "attributes[0].data_type: a Tango attribute cannot carry dtype int8",
        "config_sources[0].type: unknown",
        "exchanges_config_path: found '/component/{}'; {} needs the property subarray_id",
        "commands: found 'some'; allowed: full, configuration, none",
    ):
        assert told in status, status
    assert set(server.proxy().get_command_list()) == ALL
    assert server.proxy().IsMonitoringDB() is False
    with pytest.raises(tango.DevFailed, match="Start is not allowed in state FAULT"):
        server.proxy().Start()
    server.configure(make_exchange([1.0], "x"))
    assert (server.state, server.attributes()) == ("OFF", {"x"})


def test_a_property_that_tango_cannot_read_is_told_and_the_device_lives(
    with_properties: MakeServer,
) -> None:
    server = with_properties(autostart="perhaps")
    for _ in range(2):
        assert server.state == "FAULT"
        assert "property 'autostart'" in server.proxy().status()
        server.proxy().Init()


def test_a_path_with_braces_needs_the_subarray(with_properties: MakeServer) -> None:
    server = with_properties(exchanges_config_path="/component/{}")
    assert "{} needs the property subarray_id" in server.proxy().status()
    server.proxy().Reset()
    assert server.state == "STANDBY"


@pytest.mark.parametrize("command", ["Monitor", "Configure"])
def test_a_path_that_cannot_be_followed_is_refused_and_changes_nothing(
    server: ConnectorServer, make_exchange: MakeExchange, command: str
) -> None:
    server.configure(make_exchange([1.0], "x"))
    with pytest.raises(tango.DevFailed, match='path: found "/component/lmc/"'):
        server.proxy().command_inout(command, "/component/lmc/")
    assert (server.state, server.attributes()) == ("OFF", {"x"})
    assert server.proxy().IsMonitoringDB() is False
    with pytest.raises(tango.DevFailed, match="a path begins with a slash"):
        server.proxy().Monitor("component/lmc")


# Which commands there are

ALWAYS = {"Init", "State", "Status"}
CONFIGURING = ALWAYS | {"Configure", "Monitor", "IsMonitoringDB", "Reset"}
ALL = CONFIGURING | {"Start", "Stop", "Standby", "Abort"}


@pytest.mark.parametrize(("value", "commands"), [("configuration", CONFIGURING), ("none", ALWAYS)])
def test_commands(
    with_properties: MakeServer, make_exchange: MakeExchange, value: str, commands: set[str]
) -> None:
    configuration = {"exchanges": [make_exchange(**ENDLESS, name="x")]}
    server = with_properties(commands=value, exchanges_json=configuration, autostart="true")
    server.wait_for_state("ON")
    assert set(server.proxy().get_command_list()) == commands
    assert {"State", "Status"} <= set(server.proxy().get_attribute_list())
    for missing in ALL - commands:
        with pytest.raises(tango.DevFailed, match="not found"):
            server.proxy().command_inout(missing)
    server.proxy().Init()
    server.wait_for_state("ON")
    assert set(server.proxy().get_command_list()) == commands


# Last values


def test_last_values_survive_a_crash(
    with_properties: MakeServer, make_exchange: MakeExchange, tmp_path: Path
) -> None:
    properties = {
        "state_file": str(tmp_path / "last.state"),
        "attributes": [fixed("setpoint", "float64", writeable=True)],
        "exchanges_json": {
            "exchanges": [
                make_exchange([1.5], "x"),
                make_exchange([], "never"),
                make_exchange([[1, 2], [3, 4]], "array", dtype="int32", shape=[2]),
                make_exchange(["a", "b"], "text", dtype="str"),
            ]
        },
    }
    server = with_properties(**properties)
    server.proxy().Start()
    server.wait_for_state("OFF")
    server.proxy().write_attribute("setpoint", 21.5)
    names = ("x", "array", "text", "setpoint")
    before = [server.read(name) for name in names]
    time.sleep(1.5)  # the file is written once a second
    server.process.kill()
    again = with_properties(**properties)
    assert again.state == "OFF"
    for name, former in zip(names, before, strict=True):
        found = again.read(name)
        np.testing.assert_equal(found.value, former.value)
        assert abs(found.time.totime() - former.time.totime()) < 1e-5
        assert found.quality == tango.AttrQuality.ATTR_VALID
    assert again.read("never").quality == tango.AttrQuality.ATTR_INVALID
    again.configure(make_exchange([], "x", dtype="int32"))
    assert again.read("x").quality == tango.AttrQuality.ATTR_INVALID


def test_a_file_of_last_values_that_cannot_be_used_is_told(
    with_properties: MakeServer, make_exchange: MakeExchange, tmp_path: Path
) -> None:
    corrupt = tmp_path / "corrupt.state"
    corrupt.write_bytes(b"\xff\x00 no values")
    configuration = {"exchanges": [make_exchange([1.0], "x")]}
    server = with_properties(
        state_file=str(corrupt), exchanges_json=configuration, autostart="true"
    )
    server.wait_for_state("OFF")
    assert server.read("x").value == 1.0
    assert f"last values in {corrupt} cannot be read" in server.process.output()


def test_a_path_that_cannot_be_written_is_told_once(
    with_properties: MakeServer, make_exchange: MakeExchange
) -> None:
    configuration = {"exchanges": [make_exchange(**ENDLESS, name="x")]}
    server = with_properties(
        state_file="/proc/no/values", exchanges_json=configuration, autostart="true"
    )
    told = "last values cannot be kept in /proc/no/values"
    server.process.wait_until(lambda: told in server.process.output(), 5, "the message")
    time.sleep(1.5)
    assert server.process.output().count(told) == 1
    assert server.state == "ON"


# Commands that take long


def test_a_command_that_takes_long_returns_and_goes_on_behind(
    make_server: MakeServer, with_properties: MakeServer, make_exchange: MakeExchange
) -> None:
    """What leaves cannot deliver; the client is answered before its own time-out of 3 s."""
    far_end = with_properties(attributes=[fixed("far", "float64", writeable=True)])
    remote = {
        "type": "TangoRemoteAttributeSink",
        "device_name": far_end.trl(),
        "attribute_name": "far",
    }
    server = make_server().start()
    server.configure(make_exchange(**ENDLESS, name="x") | {"sink": remote})
    server.proxy().Start()
    server.wait_for_state("ON")
    far_end.process.wait_until(lambda: far_end.read("far").value, 5, "the first value")
    far_end.process.pause()
    begun = time.monotonic()
    server.configure(make_exchange([5.0], "y"))
    assert 1.5 < time.monotonic() - begun < 2.9
    assert server.state == "CLOSE"
    far_end.process.resume()
    server.process.wait_until(lambda: "y" in server.attributes(), 15, "the new attribute")
    server.wait_for_state("OFF")
    assert server.read("y").value == 5.0


# Logs


def admin_of(server: ConnectorServer) -> tango.DeviceProxy:
    return tango.DeviceProxy(server.proxy().adm_name())


def test_the_level_follows_the_admin_device_and_messages_reach_a_tango_target(
    make_server: MakeServer, make_exchange: MakeExchange, tmp_path: Path
) -> None:
    server = make_server().start()
    admin, target = admin_of(server), tmp_path / "device.log"
    admin.AddLoggingTarget([DEVICE, f"file::{target}"])
    server.configure(make_exchange([1.0], "x"))
    server.proxy().Start()
    server.wait_for_state("OFF")
    server.process.wait_until(
        lambda: "group default: CLOSE -> OFF" in target.read_text(), 5, "the message"
    )
    assert target.read_text().count("group default: OFF -> OPEN") == 1
    assert server.process.output().count("group default: OFF -> OPEN") == 1
    admin.SetLoggingLevel([[tango.LogLevel.LOG_ERROR.real], [DEVICE]])
    time.sleep(1.2)
    server.proxy().Start()
    server.wait_for_state("OFF")
    assert target.read_text().count("group default: OFF -> OPEN") == 1
    assert server.process.output().count("group default: OFF -> OPEN") == 1


@pytest.mark.parametrize("verbosity", ["-v4", "-v5"])
def test_no_message_is_printed_twice(
    make_server: MakeServer, make_exchange: MakeExchange, verbosity: str
) -> None:
    code = "import sys; from queueconnector_tango.server import main; main(sys.argv[1:] + [{!r}])"
    server = make_server(command=[sys.executable, "-c", code.format(verbosity)]).start()
    server.configure(make_exchange([1.0], "x"))
    server.proxy().Start()
    server.wait_for_state("OFF")
    output = server.process.output()
    assert output.count("group default: OFF -> OPEN") == 1
    assert re.search(r"\|DEBUG\|", output)
