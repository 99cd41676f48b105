"""The server process: with and without a database, started, restarted and ended."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tango

from devservices.process import wait_until

if TYPE_CHECKING:
    from tests.device.conftest import ConnectorServer

MakeServer = Callable[..., "ConnectorServer"]
MakeExchange = Callable[..., dict[str, Any]]
SCRIPT = str(Path(sys.executable).parent / "SDPQueueConnector")


def as_json(*exchanges: dict[str, Any]) -> str:
    return json.dumps({"exchanges": exchanges})


@pytest.mark.parametrize(
    "command", [[SCRIPT], [sys.executable, "-m", "queueconnector_tango.server"]]
)
def test_it_serves_without_a_database(make_server: MakeServer, command: list[str]) -> None:
    server = make_server(command=command).start()
    assert server.state == "STANDBY"
    assert server.proxy().adm_name().endswith("/dserver/SDPQueueConnector/test#dbase=no")


def test_it_is_configured_by_its_property(
    with_database: MakeServer, make_exchange: MakeExchange
) -> None:
    server = with_database(exchanges_json=as_json(make_exchange([1.0, 2.0], "x", delay=0.01)))
    assert server.state == "OFF"
    assert server.attributes() == {"x"}
    listener = server.listen("x")
    server.proxy().Start()
    assert listener.wait_for(lambda heard: len(heard) == 3) == [None, 1.0, 2.0]


def test_a_property_may_be_entered_in_many_lines(
    with_database: MakeServer, make_exchange: MakeExchange
) -> None:
    lines = json.dumps({"exchanges": [make_exchange([1.0], "x")]}, indent=2).splitlines()
    assert len(lines) > 10
    server = with_database(exchanges_json=lines)
    assert server.attributes() == {"x"}


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"exchanges_json": "{"}, "not valid JSON"),
        ({"exchanges_json": as_json({"source": {"type": "Nothing"}})}, "exchanges[0].source.type"),
        ({"exchanges_config_path": "/component/{}"}, "{} needs the property subarray_id"),
    ],
)
def test_wrong_properties_end_in_fault_and_are_left_by_a_good_configuration(
    with_database: MakeServer,
    make_exchange: MakeExchange,
    properties: dict[str, str],
    told: str,
) -> None:
    server = with_database(**properties)
    assert server.state == "FAULT"
    assert told in server.proxy().status()
    with pytest.raises(tango.DevFailed, match="Start is not allowed in state FAULT"):
        server.proxy().Start()
    server.configure(make_exchange([1.0], "x"))
    assert server.state == "OFF"


def test_reset_leaves_a_fault_of_the_properties(with_database: MakeServer) -> None:
    server = with_database(exchanges_json="{")
    server.proxy().Reset()
    assert server.state == "STANDBY"


@pytest.mark.parametrize("again", ["Init", "DevRestart", "RestartServer"])
def test_after_a_restart_of_the_device_it_works_as_before(
    with_database: MakeServer, make_exchange: MakeExchange, again: str
) -> None:
    server = with_database(exchanges_json=as_json(make_exchange([1.0, 2.0], "x", delay=0.02)))
    server.proxy().Start()
    server.wait_for_state("OFF")
    server.configure(make_exchange([3.0], "y"))
    listener = server.listen("y")
    server.proxy().Start()
    listener.wait_for(lambda heard: heard[-1] == 3.0)
    restart(server, again)
    wait_until(lambda: has_attribute(server, "x"), 10, "the device as its properties make it")
    server.wait_for_state("OFF")
    assert server.read("x").value is None
    server.process.wait_until(lambda: server.attributes() == {"x"}, 10, "the end of the restart")
    if again != "RestartServer":
        listener.wait_for(lambda heard: "QueueConnector_AttributeRemoved" in heard)
    heard = server.listen("x")
    server.proxy().Start()
    assert heard.wait_for(lambda values: len(values) == 3) == [None, 1.0, 2.0]
    assert server.is_running


@pytest.mark.parametrize("again", ["Init", "DevRestart"])
def test_subscribers_live_on_after_a_restart_of_the_device(
    with_database: MakeServer, make_exchange: MakeExchange, again: str
) -> None:
    server = with_database(exchanges_json=as_json(make_exchange([1.0, 2.0], "x", delay=0.02)))
    state, values = server.listen("State"), server.listen("x")
    restart(server, again)
    server.wait_for_state("OFF")
    settle = server.listen("x")
    assert settle.heard == [None]
    server.proxy().Start()
    values.wait_for(lambda heard: heard[-2:] == [1.0, 2.0])
    state.wait_for(lambda heard: [str(value) for value in heard][-2:] == ["CLOSE", "OFF"])


def restart(server: ConnectorServer, again: str) -> None:
    if again == "Init":
        server.proxy().Init()
        return
    admin = tango.DeviceProxy(server.proxy().adm_name())
    if again == "RestartServer":
        admin.RestartServer()
    else:
        admin.DevRestart(server.devices[0])
    wait_until(lambda: answers(server), 10, "the device")


def has_attribute(server: ConnectorServer, name: str) -> bool:
    """Whether it answers and has the attribute: a restart begins after its command returned."""
    try:
        return name in server.attributes()
    except tango.DevFailed:
        return False


def answers(server: ConnectorServer) -> bool:
    try:
        return bool(server.proxy().ping())
    except tango.DevFailed:
        return False


def test_a_restart_while_it_streams_ends_the_streams(
    make_server: MakeServer, make_exchange: MakeExchange
) -> None:
    server = make_server().start()
    server.configure(make_exchange(list(range(5000)), "x", delay=0.002))
    server.proxy().Start()
    server.wait_for_state("ON")
    server.proxy().Init()
    server.wait_for_state("STANDBY")
    server.process.wait_until(lambda: not server.attributes(), 10, "the end of the restart")
    server.configure(make_exchange([1], "x"))
    server.proxy().Start()
    server.process.wait_until(lambda: server.read("x").value == 1, 5, "the value")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quickly_also_while_it_streams(
    make_server: MakeServer, make_exchange: MakeExchange, number: signal.Signals
) -> None:
    import os

    server = make_server().start()
    server.configure(make_exchange(list(range(5000)), "x", delay=0.002))
    listener = server.listen("x")
    server.proxy().Start()
    listener.wait_for(lambda heard: len(heard) > 20)
    begun = time.monotonic()
    os.kill(server.process.pid, number)
    wait_until(lambda: not server.process.is_running, 10, "its end")
    assert server.process.exit_code == 0
    assert time.monotonic() - begun < 3
    assert "Traceback" not in server.process.output()


def test_the_log_is_in_the_format_of_the_ska(
    make_server: MakeServer, make_exchange: MakeExchange
) -> None:
    import re

    server = make_server().start()
    server.configure(make_exchange([1.0], "x"))
    server.proxy().Start()
    server.wait_for_state("OFF")
    line = re.compile(
        r"1\|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|INFO\|connector\|\w+\|group\.py#\d+\|[^|]*\|"
        r"group default: OFF -> OPEN"
    )
    assert line.search(server.process.output())


def test_importing_the_plugin_does_not_import_tango() -> None:
    code = (
        "import sys, queueconnector_tango.plugin as plugin; "
        "list(plugin.queueconnector_components()); sys.exit('tango' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
