"""The processor: pointings from Kafka in, pointing offsets to Kafka out, once a scan.

A program of its own that knows nothing of Queue Connector: plain aiokafka, numpy and
msgpack-numpy, as any pipeline outside would use. Run as ``python -m pointing_loop.processor``.
"""

import asyncio
import io
import itertools
from collections import defaultdict
from collections.abc import Iterable

import cyclopts
import msgpack
import msgpack_numpy
import numpy as np
import numpy.typing as npt
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from pointing_loop.estimate import Offset, measure
from pointing_loop.messages import ACHIEVED_POINTING, POINTING_OFFSET, empty_offsets
from pointing_loop.scans import Scans
from pointing_loop.track import Calibrator, calibrator, datetime64_to_tai, position, tai_now

__all__ = ("STARTS_AT", "OffsetEstimator", "encode_offsets", "main")

STARTS_AT = "scan 1 starts at TAI "
"""What the program prints, followed by seconds since 2000, once it misses no pointing."""

LEAD_S = 2.0
"""Time from then to the start of scan 1."""

GAIN = 0.7
LATENESS_S = 0.3
BEAM_WIDTH_DEG = 1.0
"""Of a 15 m dish at L band, the width that the offsets' message expects."""


class OffsetEstimator:
    """Collects pointings and turns those of one scan into the offsets that dishes should carry.

    An offset is the total for the dish to carry, not a step: a dish that gets it twice, or comes
    back after a restart, still carries the right one. Each scan takes ``GAIN`` of what is left,
    so that one bad scan cannot throw a dish off.
    """

    def __init__(self, source: Calibrator, antennas: Iterable[str], scans: Scans) -> None:
        self._source = source
        self._scans = scans
        self._totals = {name: np.zeros(2) for name in antennas}
        self._pointings: defaultdict[tuple[int, str], list[tuple[float, float, float]]]
        self._pointings = defaultdict(list)
        self._closed = 0

    def add(self, rows: npt.NDArray[np.void]) -> None:
        """Take pointings in: structured values with antenna_name, ts, az, el of any shape.

        What a dish sent while it settled, or too late for its scan, is left out.
        """
        for row in np.atleast_1d(rows):
            tai_s = float(datetime64_to_tai(row["ts"]))
            scan = self._scans.index(tai_s)
            if scan > self._closed and tai_s >= self._scans.settled(scan):
                sample = (tai_s, float(row["az"]), float(row["el"]))
                self._pointings[scan, str(row["antenna_name"])].append(sample)

    def offsets(self, scan: int) -> npt.NDArray[np.void]:
        """Close a scan: return one row per antenna, NaN for one with too few pointings."""
        self._closed = scan
        rows = empty_offsets(list(self._totals))
        rows["last_scan_index"] = scan
        rows["expected_width_h"] = rows["expected_width_v"] = BEAM_WIDTH_DEG
        for row, (antenna, total) in zip(rows, self._totals.items(), strict=True):
            found = self._measure(self._pointings.pop((scan, antenna), []))
            if np.isnan(found.cross):
                continue
            total[:] -= GAIN * np.array([found.cross, found.elevation])
            row["xel_offset"], row["el_offset"] = total
            row["xel_offset_std"], row["el_offset_std"] = found.cross_std, found.elevation_std
        return rows

    def _measure(self, samples: list[tuple[float, float, float]]) -> Offset:
        if not samples:
            return Offset.unknown()
        times, azimuth, elevation = np.array(samples).T
        return measure(azimuth, elevation, *position(self._source, times))


def encode_offsets(rows: npt.NDArray[np.void]) -> bytes:
    """Return the message of a scan's offsets."""
    packed: bytes = msgpack.packb(rows, default=msgpack_numpy.encode)
    return packed


async def process(kafka: str, source: Calibrator, antennas: list[str], scan_s: float) -> None:
    """Run until cancelled; ``scan_s`` is the length of a scan in seconds."""
    # The first look at the sky takes astropy most of a second: now, not after scan 1.
    position(source, tai_now())
    consumer = AIOKafkaConsumer(
        ACHIEVED_POINTING, bootstrap_servers=kafka, auto_offset_reset="latest", fetch_max_wait_ms=10
    )
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    async with consumer, producer, asyncio.TaskGroup() as tasks:
        # Both are looked up at the first use otherwise: too late for messages sent until then,
        # and a delay for the first offsets.
        await producer.partitions_for(POINTING_OFFSET)
        for partition in consumer.assignment():
            await consumer.position(partition)
        scans = Scans(tai_now() + LEAD_S, scan_s)
        estimator = OffsetEstimator(source, antennas, scans)
        print(f"{STARTS_AT}{scans.start_s!r}", flush=True)
        tasks.create_task(_collect(consumer, estimator))
        await _publish(producer, estimator, scans)


async def _collect(consumer: AIOKafkaConsumer, estimator: OffsetEstimator) -> None:
    async for message in consumer:
        estimator.add(np.load(io.BytesIO(message.value)))


async def _publish(producer: AIOKafkaProducer, estimator: OffsetEstimator, scans: Scans) -> None:
    for scan in itertools.count(1):
        await asyncio.sleep(scans.end(scan) + LATENESS_S - tai_now())
        rows = estimator.offsets(scan)
        try:
            await producer.send_and_wait(POINTING_OFFSET, encode_offsets(rows))
        except KafkaError as error:
            # The broker is away; the offsets of a later scan are as good.
            print(f"scan {scan}: offsets were not sent: {error!r}", flush=True)
            continue
        known = np.count_nonzero(np.isfinite(rows["xel_offset"]))
        print(f"scan {scan}: offsets of {known} of {rows.size} dishes", flush=True)


def main(*, kafka: str, source: str, antennas: list[str], scan: float) -> None:
    """Estimate pointing offsets from the pointings in Kafka until terminated.

    Args:
        kafka: Address of a broker, host:port.
        source: Calibrator that the dishes follow.
        antennas: Names of the dishes, in the order of the rows.
        scan: Length of a scan in seconds.
    """
    asyncio.run(process(kafka, calibrator(source), antennas, scan))


if __name__ == "__main__":
    cyclopts.run(main)
