"""Dishes as a real device server, with plain proxies and a real device that offers offsets."""

import json
import queue
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tango

from devservices.process import wait_until
from devservices.tango import TangoDeviceServer
from pointing_loop.dish import SETTINGS_VARIABLE
from pointing_loop.names import dish_id
from pointing_loop.track import calibrator, choose_calibrator, position, tai_now, tai_to_unix

SOURCE = choose_calibrator(tai_now()).name
RATE_HZ = 20.0
DISHES = ["mid-dish/dish-manager/ska001", "mid-dish/dish-manager/ska002"]
OFFSETS = [sys.executable, str(Path(__file__).parent / "offsets_server.py")]
TIMEOUT_S = 20.0
ARCSEC = 1 / 3600


@pytest.fixture
def dishes() -> Iterator[TangoDeviceServer]:
    settings = json.dumps({"source": SOURCE, "rate_hz": RATE_HZ, "seed": 5})
    command = [sys.executable, "-m", "pointing_loop.dish"]
    environment = {SETTINGS_VARIABLE: settings}
    with TangoDeviceServer(
        command, "Dish", "sim", "Dish", DISHES, environment=environment
    ) as server:
        yield server


@pytest.fixture
def offsets() -> Iterator[TangoDeviceServer]:
    with TangoDeviceServer(OFFSETS, "Offsets", "1", "Offsets", ["test/offsets/1"]) as server:
        yield server


def template(server: TangoDeviceServer) -> str:
    device, _, fragment = server.trl().partition("#")
    return f"{device}/pointing_cal_{{dish_id}}#{fragment}"


def wait_for_state(dish: tango.DeviceProxy, state: tango.DevState) -> None:
    wait_until(lambda: dish.state() == state, TIMEOUT_S, f"{dish.dev_name()} to be {state}")


def mean_error_arcsec(dish: tango.DeviceProxy) -> float:
    """Length of the mean of the true error over some fresh samples."""
    samples: dict[float, tuple[float, float]] = {}
    start = tai_now()

    def collected() -> bool:
        time, cross, along = dish.beamError
        if time > start:
            samples[time] = (cross, along)
        return len(samples) >= 20

    wait_until(collected, TIMEOUT_S, "20 samples")
    return float(np.hypot(*np.mean(list(samples.values()), axis=0)))


def test_pointings_arrive_as_change_events_along_the_track(dishes: TangoDeviceServer) -> None:
    events: queue.SimpleQueue[tango.EventData] = queue.SimpleQueue()
    proxy = dishes.proxy(DISHES[0])
    subscription = proxy.subscribe_event(
        "achievedPointing", tango.EventType.CHANGE_EVENT, events.put
    )
    received = [events.get(timeout=TIMEOUT_S) for _ in range(40)]
    proxy.unsubscribe_event(subscription)
    assert not any(event.err for event in received)
    values = np.array([event.attr_value.value for event in received[1:]])
    assert np.abs(values[:, 0] - tai_now()).max() < TIMEOUT_S
    assert np.median(np.diff(values[:, 0])) == pytest.approx(1 / RATE_HZ, rel=0.3)
    _, elevation = position(calibrator(SOURCE), values[:, 0])
    assert np.abs(values[:, 2] - elevation).max() < 400 * ARCSEC
    last = received[-1].attr_value
    assert last.time.totime() == pytest.approx(tai_to_unix(values[-1, 0]), abs=1e-3)


def test_a_dish_applies_the_offsets_of_the_address_it_is_given(
    dishes: TangoDeviceServer, offsets: TangoDeviceServer
) -> None:
    first, second = (dishes.proxy(name) for name in DISHES)
    assert first.state() == tango.DevState.STANDBY
    before = mean_error_arcsec(first), mean_error_arcsec(second)
    for proxy in (first, second):
        proxy.sdpQueueConnectorFqdn = template(offsets)
        wait_for_state(proxy, tango.DevState.ON)
    offsets.proxy().Publish(["SKA001", "4", str(500 * ARCSEC), "0.0"])
    wait_until(lambda: first.appliedOffset[0] == 4, TIMEOUT_S, "the offset")
    assert first.appliedOffset.tolist() == [4.0, 500 * ARCSEC, 0.0]
    assert abs(mean_error_arcsec(first) - before[0]) > 100
    assert abs(mean_error_arcsec(second) - before[1]) < 5


def test_an_offset_with_a_nan_is_not_applied_and_raises_an_alarm(
    dishes: TangoDeviceServer, offsets: TangoDeviceServer
) -> None:
    dish, source = dishes.proxy(DISHES[0]), offsets.proxy()
    dish.sdpQueueConnectorFqdn = template(offsets)
    wait_for_state(dish, tango.DevState.ON)
    source.Publish(["SKA001", "3", "0.01", "0.02"])
    wait_until(lambda: dish.appliedOffset[0] == 3, TIMEOUT_S, "the offset")
    source.Publish(["SKA001", "4", "nan", "0.05"])
    wait_for_state(dish, tango.DevState.ALARM)
    assert dish.appliedOffset.tolist() == [3.0, 0.01, 0.02]
    source.Publish(["SKA001", "5", "0.0", "0.0"])
    wait_for_state(dish, tango.DevState.ON)


def test_a_restarted_dish_carries_its_offset_again(
    dishes: TangoDeviceServer, offsets: TangoDeviceServer
) -> None:
    offsets.proxy().Publish(["SKA001", "9", "0.01", "0.02"])
    dish = dishes.proxy(DISHES[0])
    for _ in range(2):
        dish.sdpQueueConnectorFqdn = template(offsets)
        wait_until(lambda: dish.appliedOffset[0] == 9, TIMEOUT_S, "the offset")
        dish.Init()
        assert dish.appliedOffset.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mid-dish/dish-manager/ska001", "SKA001"),
        ("ska_mid/tm_leaf_node/MKT063", "MKT063"),
        ("tango://127.0.0.1:20000/mid-dish/dish-manager/SKA100#dbase=no", "SKA100"),
    ],
)
def test_the_dish_is_read_from_the_device_name(name: str, found: str) -> None:
    assert dish_id(name) == found


def test_a_device_name_without_a_dish_is_refused() -> None:
    with pytest.raises(ValueError, match="no dish in 'sys/tg_test/1'"):
        dish_id("sys/tg_test/1")
