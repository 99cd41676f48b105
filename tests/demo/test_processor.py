"""The processor's mathematics, and the program itself on a real broker."""

import asyncio
import io
import sys
from pathlib import Path

import msgpack
import msgpack_numpy
import numpy as np
import numpy.typing as npt
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from hypothesis import given, settings
from hypothesis import strategies as st

from devservices.kafka import KafkaBroker
from devservices.process import ManagedProcess
from pointing_loop.estimate import MIN_SAMPLES, measure
from pointing_loop.messages import ACHIEVED_POINTING, POINTING_OFFSET, offset_dtype
from pointing_loop.mount import Mount, true_residual
from pointing_loop.processor import GAIN, STARTS_AT, OffsetEstimator, encode_offsets
from pointing_loop.scans import Scans
from pointing_loop.track import choose_calibrator, position, tai_now

ARCSEC = 1 / 3600
NOW = tai_now()
SOURCE = choose_calibrator(NOW)
POINTING = np.dtype([("antenna_name", "U8"), ("ts", "M8[ns]"), ("az", "f8"), ("el", "f8")])

offsets = st.floats(min_value=-0.1, max_value=0.1)


def pointing(antenna: str, tai_s: float, azimuth: float, elevation: float) -> npt.NDArray[np.void]:
    ts = np.datetime64("2000-01-01", "ns") + np.timedelta64(round(tai_s * 1e9), "ns")
    return np.array((antenna, ts, azimuth, elevation), dtype=POINTING)


@settings(deadline=None)
@given(
    cross=offsets,
    along=offsets,
    azimuth=st.floats(min_value=0, max_value=360),
    elevation=st.floats(min_value=15, max_value=80),
    samples=st.integers(min_value=20, max_value=60),
    wild=st.integers(min_value=0, max_value=4),
    seed=st.integers(min_value=0, max_value=1000),
)
def test_an_estimate_finds_the_offset_in_noise_and_some_wild_samples(
    cross: float, along: float, azimuth: float, elevation: float, samples: int, wild: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(size=(2, samples)) * 5 * ARCSEC
    noise[:, :wild] += 1.0
    target_el = np.full(samples, elevation)
    target_az = (azimuth + np.linspace(0, 0.01, samples)) % 360
    achieved_az = (target_az + (cross + noise[0]) / np.cos(np.radians(target_el))) % 360
    found = measure(achieved_az, target_el + along + noise[1], target_az, target_el)
    assert found.cross == pytest.approx(cross, abs=7 * ARCSEC)
    assert found.elevation == pytest.approx(along, abs=7 * ARCSEC)
    assert 0 < found.cross_std < 4 * ARCSEC
    assert 0 < found.elevation_std < 4 * ARCSEC


@given(st.integers(min_value=0, max_value=10), st.integers(min_value=0, max_value=10))
def test_an_estimate_from_too_few_good_samples_is_nan(good: int, bad: int) -> None:
    azimuth = np.array([10.0] * good + [np.nan] * bad)
    level = np.full(good + bad, 45.0)
    found = measure(azimuth, level, level, level)
    assert bool(np.isnan(found.cross)) is (good < MIN_SAMPLES)
    assert np.isnan([found.cross, found.elevation_std]).all() == (good < MIN_SAMPLES)


def observe_scan(
    estimator: OffsetEstimator, mounts: dict[str, Mount], scans: Scans, scan: int
) -> npt.NDArray[np.void]:
    times = np.arange(scans.end(scan - 1), scans.end(scan), 0.1)
    for name, mount in mounts.items():
        for sample in map(mount.observe, times):
            estimator.add(pointing(name, sample.tai_s, *sample.reported))
    return estimator.offsets(scan)


def test_dishes_that_carry_the_offsets_come_home_and_a_lost_dish_gets_nan() -> None:
    scans = Scans(NOW, 5.0)
    mounts = {"SKA001": Mount(SOURCE, 1), "MKT063": Mount(SOURCE, 2)}
    estimator = OffsetEstimator(SOURCE, [*mounts, "SKA100"], scans)
    for scan in range(1, 7):
        rows = observe_scan(estimator, mounts, scans, scan)
        assert rows["antenna_name"].tolist() == ["SKA001", "MKT063", "SKA100"]
        assert rows["last_scan_index"].tolist() == [scan] * 3
        for row, mount in zip(rows, mounts.values(), strict=False):
            mount.load_static_offset(float(row["xel_offset"]), float(row["el_offset"]))
        assert np.isnan([rows[2]["xel_offset"], rows[2]["el_offset"]]).all()
    for mount in mounts.values():
        left = [true_residual(mount.observe(NOW + 30 + tick / 10)) for tick in range(50)]
        assert np.hypot(*np.mean(left, axis=0)) < 5


def test_what_was_sent_while_settling_or_too_late_does_not_count() -> None:
    scans = Scans(NOW, 10.0)
    estimator = OffsetEstimator(SOURCE, ["SKA001"], scans)

    def send(times: npt.NDArray[np.float64], error_deg: float) -> None:
        for time in times:
            azimuth, elevation = position(SOURCE, time)
            row = pointing("SKA001", time, float(azimuth), float(elevation) + error_deg)
            estimator.add(row)

    send(NOW + np.arange(-5, 0, 0.1), 9.0)
    send(NOW + np.arange(0, 2.9, 0.1), 9.0)
    send(NOW + np.arange(3.1, 9.9, 0.1), 0.01)
    first = estimator.offsets(1)
    assert first["el_offset"][0] == pytest.approx(-GAIN * 0.01, abs=1e-6)
    send(NOW + np.arange(3.1, 9.9, 0.1), 9.0)
    assert np.isnan(estimator.offsets(2)["el_offset"][0])


def test_the_message_has_the_fourteen_fields_of_the_pointing_pipeline() -> None:
    rows = OffsetEstimator(SOURCE, ["SKA001", "SKA036"], Scans(NOW, 5.0)).offsets(1)
    read = msgpack.unpackb(encode_offsets(rows), object_hook=msgpack_numpy.decode)
    assert read.dtype == offset_dtype()
    assert (read.shape, read.dtype.itemsize, len(read.dtype.names)) == ((2,), 136, 14)
    assert read.dtype.names[:3] == ("antenna_name", "last_scan_index", "xel_offset")
    assert read.dtype.names[4] == "el_offset"
    assert read["expected_width_h"].tolist() == [1.0, 1.0]
    assert np.isnan(read["fitted_height"]).all()


async def exchange_with_program(
    kafka: str, process: ManagedProcess, scan_s: float
) -> npt.NDArray[np.void]:
    """Play a dish, off by 0.02 degrees in elevation, until the offsets of scan 1 arrive."""
    consumer = AIOKafkaConsumer(POINTING_OFFSET, bootstrap_servers=kafka)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer, consumer:
        for partition in consumer.assignment():
            await consumer.position(partition)
        while STARTS_AT not in process.output():
            await asyncio.sleep(0.05)

        async def play() -> None:
            while True:
                now = tai_now()
                azimuth, elevation = position(SOURCE, now)
                buffer = io.BytesIO()
                np.save(buffer, pointing("SKA001", now, float(azimuth), float(elevation) + 0.02))
                await producer.send(ACHIEVED_POINTING, buffer.getvalue())
                await asyncio.sleep(0.02)

        dish = asyncio.create_task(play())
        message = await asyncio.wait_for(consumer.getone(), 30.0 + scan_s)
        dish.cancel()
    rows: npt.NDArray[np.void] = msgpack.unpackb(message.value, object_hook=msgpack_numpy.decode)
    return rows


async def test_the_program_answers_pointings_in_kafka_with_offsets_in_kafka(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    for topic in (ACHIEVED_POINTING, POINTING_OFFSET):
        if not kafka_broker.admin.partitions(topic):
            kafka_broker.create_topic(topic)
    command = [sys.executable, "-m", "pointing_loop.processor", "--kafka", kafka_broker.bootstrap]
    command += ["--source", SOURCE.name, "--scan", "1.0"]
    command += ["--antennas", "SKA001", "--antennas", "SKA002"]
    process = ManagedProcess("processor", command, log=tmp_path / "processor.log")
    try:
        rows = await exchange_with_program(kafka_broker.bootstrap, process, scan_s=1.0)
    finally:
        process.stop()
    assert rows["antenna_name"].tolist() == ["SKA001", "SKA002"]
    assert rows["el_offset"][0] == pytest.approx(-GAIN * 0.02, abs=1e-6)
    assert rows["xel_offset"][0] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(rows["el_offset"][1])
