"""Values that travel through attributes, of every type, and at the rate of a telescope."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import msgpack_numpy
import numpy as np
import pytest

from devservices.process import wait_until

from . import wire
from .compare import same
from .hosts import DeviceHost, connector_server
from .services import Matrix
from .table import Row
from .tango_forms import tango_rows
from .world import World

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def second() -> Iterator[DeviceHost]:
    """A second device server, in a process of its own."""
    with connector_server("second", "test-sdp/queueconnector/02") as server:
        yield DeviceHost(server)


@pytest.fixture
def world(services: Matrix) -> Iterator[World]:
    """The far ends; the first device is left as it was found."""
    services.world.clear()
    yield services.world
    services.world.unsubscribe()
    services.device.stop()
    services.device.configure("")


def stream(host: DeviceHost, exchanges: Sequence[dict[str, Any]]) -> None:
    """Configure and start; returns when the device is ON."""
    host.configure(json.dumps({"exchanges": exchanges}))
    host.start()
    wait_until(lambda: set(host.states().values()) == {"ON"}, 60, "ON")


def topic(world: World, name: str, encoding: str | None) -> dict[str, Any]:
    return {"servers": world.broker.bootstrap, "topic": name, "encoding": encoding}


TRAVELLERS = [row for row in tango_rows() if row.shape in {(), (3,), (2, 3)}]


def inwards(world: World, index: int, row: Row) -> dict[str, Any]:
    """A topic into an attribute of the first device."""
    encoding = None if row.name == "bytes" else "npy"
    return {
        "dtype": row.literal,
        "shape": list(row.shape),
        "source": {"type": "KafkaConsumerSource", **topic(world, f"there-{index}", encoding)},
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": f"a{index}"},
    }


def outwards(world: World, device: str, index: int, row: Row) -> dict[str, Any]:
    """The attribute of the first device into a topic, by the second device."""
    encoding = None if row.name == "bytes" else "npy"
    return {
        "dtype": row.literal,
        "shape": list(row.shape),
        "source": {
            "type": "TangoSubscriptionSource",
            "device_name": device,
            "attribute_name": f"a{index}",
        },
        "sink": {"type": "KafkaProducerSink", **topic(world, f"back-{index}", encoding)},
    }


def test_every_tango_type_comes_back_equal_through_two_devices(
    services: Matrix, second: DeviceHost, world: World
) -> None:
    numbers = range(len(TRAVELLERS))
    world.use_topics([f"back-{n}" for n in numbers], [f"there-{n}" for n in numbers])
    stream(services.device, [inwards(world, n, row) for n, row in enumerate(TRAVELLERS)])
    device = services.server.trl()
    stream(second, [outwards(world, device, n, row) for n, row in enumerate(TRAVELLERS)])

    for number, row in enumerate(TRAVELLERS):
        world.produce(
            f"there-{number}", [wire.encode("npy", row, value) for value in row.samples()]
        )
    world.flush()

    def came(number: int, row: Row) -> list[Any]:
        messages = world.received(f"topic:back-{number}")
        return [wire.decode("npy", row, octets, "") for octets in messages]

    def all_came() -> bool:
        world.poll()
        return all(len(came(n, row)) >= len(row.samples()) for n, row in enumerate(TRAVELLERS))

    wait_until(all_came, 30, "all values")
    wrong = [
        (row, found)
        for number, row in enumerate(TRAVELLERS)
        if not same(found := came(number, row), list(row.samples()))
    ]
    assert not wrong
    second.stop()


DISHES = [f"SKA{number:03}" for number in range(64)]
FIELDS = ["last_scan_index", "xel_offset", "xel_offset_std", "el_offset", "el_offset_std"]
FIELDS += ["expected_width_h", "expected_width_v", "fitted_width_h", "fitted_width_h_std"]
FIELDS += ["fitted_width_v", "fitted_width_v_std", "fitted_height", "fitted_height_std"]
CALIBRATION = [["antenna_name", "U8"], *([name, "float64"] for name in FIELDS)]
RATE_HZ = 10
SCANS = 60
WARM_UP = -1


def calibration(scan: int) -> np.ndarray[Any, Any]:
    """The offsets of all dishes; one of them has none in every scan."""
    array = np.zeros(len(DISHES), [(name, dtype) for name, dtype in CALIBRATION])
    array["antenna_name"] = DISHES
    for place, name in enumerate(FIELDS):
        array[name] = scan + np.arange(len(DISHES)) / 64 + place / 1000
    array["last_scan_index"] = scan
    array["xel_offset"][scan % len(DISHES)] = math.nan
    return array


def offsets_of(dish: str) -> dict[str, Any]:
    """The attribute of one dish."""
    picked = "[0].[last_scan_index, xel_offset, el_offset]"
    return {
        "attribute_name": f"pointing_cal_{dish}",
        "dtype": "float64",
        "shape": [3],
        "path": f"[?antenna_name=='{dish}'] | {picked}",
        "default_value": 0.0,
    }


def publish(world: World, scan: int) -> None:
    """One message, as the pipeline's library writes it."""
    message = msgpack.packb(calibration(scan), default=msgpack_numpy.encode)
    world.produce("pointing-offset", [message])
    world.flush()


def _all_hear(world: World, channels: list[str]) -> bool:
    """Whether each subscription stands: Tango says so before events really come through."""
    publish(world, WARM_UP)
    with contextlib.suppress(TimeoutError):
        return wait_until(lambda: all(len(world.received(name)) > 1 for name in channels), 1, "all")
    return False


def test_pointing_calibrations_of_64_dishes_at_10_hz_are_all_heard(
    services: Matrix, world: World
) -> None:
    world.use_topics([], ["pointing-offset"])
    stream(
        services.device,
        [
            {
                "dtype": CALIBRATION,
                "shape": [len(DISHES)],
                "source": {
                    "type": "KafkaConsumerSource",
                    **topic(world, "pointing-offset", "msgpack_numpy"),
                },
                "sink": {
                    "type": "TangoObjectScatterAttributeSink",
                    "attributes": [offsets_of(dish) for dish in DISHES],
                },
            }
        ],
    )
    channels = {dish: f"attribute:pointing_cal_{dish}" for dish in DISHES}
    for channel in channels.values():
        world.subscribe(services.device.proxy, channel)

    wait_until(lambda: _all_hear(world, [*channels.values()]), 20, "each dish to be heard")

    began = time.monotonic()
    for scan in range(SCANS):
        time.sleep(max(0.0, began + scan / RATE_HZ - time.monotonic()))
        publish(world, scan)

    def last_came() -> bool:
        return all(
            (heard := world.received(channel)) and heard[-1][0] == SCANS - 1
            for channel in channels.values()
        )

    wait_until(last_came, 10, "the last scan of each dish")
    for number, channel in enumerate(channels.values()):
        initial, *every = world.received(channel)
        heard = [offsets for offsets in every if offsets[0] != WARM_UP]
        expected = [
            [row["last_scan_index"], row["xel_offset"], row["el_offset"]]
            for row in (calibration(scan)[number] for scan in range(SCANS))
        ]
        assert list(initial) == [0.0, 0.0, 0.0]
        np.testing.assert_array_equal(heard, expected)
