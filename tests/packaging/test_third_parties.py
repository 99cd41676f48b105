"""Plugins of third parties: one that works, in the device server too, and two that do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tango

from devservices.mosquitto import MosquittoServer
from devservices.process import wait_until
from devservices.tango import TangoDeviceServer
from tests.packaging.environment import TIMEOUT_S, Environment

DEVICE = "test-sdp/queueconnector/third-party"
AGAIN = (
    "source 'InMemorySource' is defined twice, by queueconnector-memory and queueconnector-again"
)


@pytest.fixture(scope="module")
def listed(everything: Environment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        everything.run("queueconnector", "list", "--json").stdout
    )
    return found


@pytest.fixture(scope="module")
def device(everything: Environment) -> Iterator[tango.DeviceProxy]:
    """The installed device server, without a Tango database, and a plain client of it."""
    with TangoDeviceServer(
        [everything.command("SDPQueueConnector")],
        "SDPQueueConnector",
        "third_party",
        "SDPQueueConnector",
        [DEVICE],
        environment={"PYTHONPATH": "", "PYTHONSAFEPATH": "1"},
    ) as server:
        yield server.proxy()
        # Whoever looks after the device sees in its log which plugins it does without.
        assert "acme-broken 0.3.1: RuntimeError" in server.process.output()


def stream(device: tango.DeviceProxy, *exchanges: dict[str, Any]) -> None:
    """Configure the device and start it."""
    if device.state() is tango.DevState.ON:
        device.Stop()
    wait_until(lambda: str(device.state()) in {"OFF", "STANDBY"}, TIMEOUT_S, "rest")
    device.Configure(json.dumps({"exchanges": list(exchanges)}))
    device.Start()


def test_a_wheel_of_a_third_party_is_listed_with_its_types(listed: list[dict[str, Any]]) -> None:
    (found,) = (
        plugin for plugin in listed if plugin["distribution"] == "queueconnector-line-files"
    )

    assert found["error"] is None
    assert [found["name"] for found in found["types"]] == ["LineFileSource", "LineFileSink"]


def test_lines_of_a_file_become_an_attribute_of_the_device(
    everything: Environment, device: tango.DeviceProxy
) -> None:
    path = everything.write("in.txt", "first\nsecond\n")

    stream(
        device,
        {
            "source": {"type": "LineFileSource", "path": path, "follow": True},
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "line"},
        },
    )
    wait_until(lambda: device.read_attribute("line").value == "second", TIMEOUT_S, "second")
    assert device.state() is tango.DevState.ON
    with Path(path).open("a") as file:
        file.write("third\n")
    wait_until(lambda: device.read_attribute("line").value == "third", TIMEOUT_S, "third")


def test_records_in_the_device_become_lines_of_a_file(
    everything: Environment, device: tango.DeviceProxy
) -> None:
    path = everything.work / "out.txt"

    stream(
        device,
        {
            "source": {"type": "InMemorySource", "data": ["one", "two"]},
            "sink": {"type": "LineFileSink", "path": str(path)},
        },
    )

    wait_until(lambda: path.exists() and path.read_text() == "one\ntwo\n", TIMEOUT_S, "lines")
    wait_until(lambda: device.state() is tango.DevState.OFF, TIMEOUT_S, "the end of the source")


def test_messages_of_a_topic_become_an_attribute_and_records_messages(
    device: tango.DeviceProxy, mosquitto: MosquittoServer
) -> None:
    broker = {"host": mosquitto.host, "port": mosquitto.port}
    source = {"type": "MqttSource", "topic_filter": "packaging/+/in"} | broker
    sink = {"type": "MqttSink", "topic": "packaging/out", "retain": True} | broker

    stream(
        device,
        {
            "dtype": "float64",
            "shape": [2],
            "source": source,
            "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "pair"},
        },
        {"dtype": "float64", "shape": [2], "source": source, "sink": sink},
    )
    wait_until(lambda: device.state() is tango.DevState.ON, TIMEOUT_S, "ON")
    mosquitto.publish("packaging/a/in", "[1.5, -2.25]", "-q", "1")

    wait_until(lambda: device.read_attribute("pair").value is not None, TIMEOUT_S, "a value")
    assert list(device.read_attribute("pair").value) == [1.5, -2.25]
    assert json.loads(mosquitto.retained("packaging/out")) == [1.5, -2.25]


def test_the_terminal_runs_it_too(everything: Environment) -> None:
    everything.write("copied-from.txt", "a\nb\n")
    exchange = {
        "source": {"type": "LineFileSource", "path": "copied-from.txt"},
        "sink": {"type": "LineFileSink", "path": "copied-to.txt"},
    }

    done = everything.run("queueconnector", "run", "-", stdin=json.dumps({"exchanges": [exchange]}))

    assert done.returncode == 0
    assert (everything.work / "copied-to.txt").read_text() == "a\nb\n"


@pytest.mark.parametrize(
    ("distribution", "version", "entry_point", "error"),
    [
        ("acme-broken", "0.3.1", "raising", "RuntimeError: this machine has no correlator card"),
        ("acme-broken", "0.3.1", "leaving", "SystemExit: usage: acme [options]"),
        ("queueconnector-again", "7.0", "again", AGAIN),
    ],
    ids=["raises at import", "exits at import", "takes a name again"],
)
def test_a_plugin_that_cannot_be_used_is_listed_with_the_reason(
    everything: Environment,
    listed: list[dict[str, Any]],
    distribution: str,
    version: str,
    entry_point: str,
    error: str,
) -> None:
    done = everything.run("queueconnector", "list")

    assert done.returncode == 0
    assert f"broken: {distribution} {version}: {error}" in done.stdout.splitlines()
    assert {
        "distribution": distribution,
        "version": version,
        "entry_point": entry_point,
        "api_version": 1,
        "error": error,
        "types": [],
    } in listed


def test_no_name_can_be_taken_from_the_project(listed: list[dict[str, Any]]) -> None:
    owners = [
        plugin["distribution"]
        for plugin in listed
        if "InMemorySource" in [found["name"] for found in plugin["types"]]
    ]

    assert owners == ["queueconnector-memory"]


def test_a_type_of_a_plugin_that_was_refused_is_unknown(everything: Environment) -> None:
    exchange = {
        "source": {"type": "AgainSource"},
        "sink": {"type": "InMemorySink", "key": "nothing"},
    }

    done = everything.run("queueconnector", "run", "-", stdin=json.dumps({"exchanges": [exchange]}))

    assert done.returncode == 2
    assert "exchanges[0].source.type: unknown source type 'AgainSource'" in done.stderr
