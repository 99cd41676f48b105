"""A run of the demo is recorded; replayed by another device, it gives the same attributes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tango

from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from devservices.tango import TangoDeviceServer
from pointing_loop.configuration import configuration
from pointing_loop.names import offset_attribute
from queueconnector_core.cli.remote import Remote
from tests.demo.running import Run
from tests.recording.keeping import entries
from tests.screen import COMMAND

pytestmark = pytest.mark.timeout(400)  # The demo begins only when all its parts have.

DISHES = ("SKA001", "SKA002")
ATTRIBUTES = [offset_attribute(dish) for dish in DISHES]
TIMEOUT_S = 60.0

Event = tuple[int, tuple[float, ...], str]
"""The time of a value in microseconds, the value, its quality."""
Events = dict[str, list[Event]]


@contextmanager
def listening(device: tango.DeviceProxy, *attributes: str) -> Iterator[Events]:
    """The change events of attributes, growing; some have a first one, their value until then."""
    found: Events = {name: [] for name in attributes}

    def taker(name: str) -> Callable[[tango.EventData], None]:
        def take(event: tango.EventData) -> None:
            if not event.err and (known := event.attr_value).value is not None:
                time_us = 1_000_000 * known.time.tv_sec + known.time.tv_usec
                value = tuple(np.atleast_1d(known.value).tolist())
                found[name].append((time_us, value, str(known.quality)))

        return take

    change = tango.EventType.CHANGE_EVENT
    subscriptions = [device.subscribe_event(name, change, taker(name)) for name in attributes]
    try:
        yield found
    finally:
        for subscription in subscriptions:
            device.unsubscribe_event(subscription)


def recording(url: str, exchange: str, path: Path, limit: int) -> subprocess.Popen[bytes]:
    """Begin to record what the sources of an exchange give."""
    options = ["--stage", "source[0]", "--limit", str(limit), "-o", str(path)]
    return subprocess.Popen([COMMAND, "record", url, exchange, *options])


def replayed(path: Path, written: dict[str, Any], wanted: Events) -> Events:
    """The events of another device, whose one exchange reads the recording, up to the last."""
    source = {"type": "ReplaySource", "path": str(path), "speed": 4}
    name = "SDPQueueConnector"
    command = [sys.executable, "-m", "queueconnector_tango.server"]
    with TangoDeviceServer(command, name, "replay", name, ["test/replay/1"]) as server:
        device = server.proxy()
        device.Configure(json.dumps({"exchanges": [written | {"source": source}]}))
        wait_until(lambda: device.state() == tango.DevState.OFF, TIMEOUT_S, "the attributes")
        with listening(device, *wanted) as found:
            device.Start()
            done = f"{len(entries(path))} delivered"
            wait_until(lambda: done in device.status(), TIMEOUT_S, "the end of the replay")
            wait_until(
                lambda: all(found[name][-1:] == wanted[name][-1:] for name in wanted),
                TIMEOUT_S,
                "the last event",
            )
    # Without what was there when the listening began.
    return {name: those_of(path, events) for name, events in found.items()}


def those_of(path: Path, events: list[Event]) -> list[Event]:
    """The events of records that are in a recording, by their times."""
    times_us = {(entry.time_ns or 0) // 1000 for entry in entries(path)}
    return [event for event in events if event[0] in times_us]


def address(demo: Run, pattern: str) -> str:
    found = re.search(pattern, demo.output)
    assert found is not None, demo.output
    return found[1]


def test_a_recorded_run_replayed_gives_the_same_attributes(
    tmp_path: Path, kafka_broker: KafkaBroker
) -> None:
    demo = Run(
        tmp_path, *("--dishes", "2", "--scan", "1", "--duration", "900"),
        *("--kafka", kafka_broker.bootstrap),
    )  # fmt: skip
    try:
        demo.wait_for("scan   1", 240)
        url = address(demo, r"status page (\S+)")
        connector = tango.DeviceProxy(address(demo, r"device (\S+),"))
        pointings = Remote(url, None).get("api/status")["exchanges"][0]
        dish = tango.DeviceProxy(pointings["sources"][0]["options"]["device_name"])
        offsets_file, pointings_file = tmp_path / "offsets.avro", tmp_path / "pointings.avro"
        with (
            listening(connector, *ATTRIBUTES) as live,
            listening(dish, "achievedPointing") as pointed,
            recording(url, "default[1]", offsets_file, 5) as first,
            recording(url, "default[0]", pointings_file, 60) as second,
        ):
            assert (first.wait(TIMEOUT_S), second.wait(TIMEOUT_S)) == (0, 0)
            wait_until(
                lambda: (
                    all(len(those_of(offsets_file, live[name])) >= 5 for name in live)
                    and len(those_of(pointings_file, pointed["achievedPointing"])) >= 60
                ),
                TIMEOUT_S,
                "the events of all that was recorded",
            )
    finally:
        demo.signal(signal.SIGTERM)
        demo.exit_code()

    pointing, offsets = configuration(kafka_broker.bootstrap, dict.fromkeys(DISHES, ""))[
        "exchanges"
    ]
    wanted = {name: those_of(offsets_file, live[name]) for name in live}
    assert replayed(offsets_file, offsets, wanted) == wanted

    events = those_of(pointings_file, pointed["achievedPointing"])
    elevations = {
        "elevation": [(time_us, value[2:], quality) for time_us, value, quality in events]
    }
    one = {
        "dtype": pointing["dtype"],
        "pipe": {"type": "SelectFieldPipe", "field": "el"},
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "elevation"},
    }
    assert replayed(pointings_file, one, elevations) == elevations
