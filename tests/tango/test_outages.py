"""Whatever happens to a source device: the last value soon, and every loss in the ledger."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devservices.tango import TangoDatabase
from queueconnector_core.gaps import Gap, GapReason
from tests.tango.ticking import Ticking, lost_in_silence

if TYPE_CHECKING:
    from tests.tango.conftest import Reader, Reading

RETURN_S = 1.0
"""The last value is there within this time of the device's return."""


@pytest.fixture
def ticking(tmp_path: Path) -> Any:
    server = Ticking(tmp_path / "ticks")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def still(tmp_path: Path) -> Any:
    """A device that does not tick."""
    server = Ticking(tmp_path / "ticks", tick_s=0.0)
    server.start()
    yield server
    server.stop()


def gaps_of(reader: Reader) -> list[Gap]:
    """What the ledger says, those that go on included."""
    source: Any = reader.source
    return list(source._gaps)


async def settled(reader: Reader, count: int, timeout_s: float = 10.0) -> list[Gap]:
    """The ledger, once it has so many entries and none of them goes on."""
    await reader.wait_for(
        lambda: len(gaps_of(reader)) == count and all(gap.to_ns for gap in gaps_of(reader)),
        timeout_s,
    )
    return gaps_of(reader)


@pytest.mark.parametrize("away_s", [0.0, 0.1, 2.0])
async def test_a_killed_device_is_heard_within_a_second_of_its_return(
    ticking: Ticking, reading: Reading, away_s: float
) -> None:
    async with reading(ticking.options(), "int64") as reader:
        await reader.wait_for(lambda: len(reader.values) > 50)
        await asyncio.to_thread(ticking.kill)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(ticking.start)
        returned = time.time_ns() // 1_000
        await reader.wait_for(lambda: reader.values[-1] > returned, RETURN_S)
        (gap,) = await settled(reader, 1)
        heard = len(reader.values)
        await reader.wait_for(lambda: len(reader.values) > heard + 20)
    assert gap.reason is GapReason.DEVICE_AWAY
    assert gap.records
    assert not gap.is_exact
    lost = lost_in_silence(ticking.pushed[:-20], reader.records, [gap])
    assert lost == [], (reader.values[:4], gap)
    assert reader.values == sorted(set(reader.values))
    assert {record.metadata.event for record in reader.records} == {"initial", "change", "polled"}


async def test_a_frozen_device_that_lost_nothing_leaves_no_gap(
    ticking: Ticking, reading: Reading
) -> None:
    async with reading(ticking.options(), "int64") as reader:
        await reader.wait_for(lambda: len(reader.values) > 20)
        ticking.pause()
        await reader.wait_for(lambda: bool(gaps_of(reader)), 5)
        ticking.resume()
        await settled(reader, 0)
        heard = len(reader.values)
        await reader.wait_for(lambda: len(reader.values) > heard + 20)
    assert lost_in_silence(ticking.pushed[:-20], reader.records, []) == []


async def test_after_a_long_freeze_tango_connects_anew_and_what_it_lost_is_counted(
    still: Ticking, reading: Reading
) -> None:
    async with reading(still.options(), "int64") as reader:
        await asyncio.to_thread(still.proxy().Push, 1)
        await reader.wait_for(lambda: reader.values[-1:] == [1])
        source: Any = reader.source
        await reader.wait_for(lambda: source._watch.tally.is_known)
        still.pause()
        await asyncio.sleep(8)
        still.resume()
        await asyncio.to_thread(still.proxy().Push, 2)
        await reader.wait_for(lambda: reader.values[-1] == 2, RETURN_S)
        await settled(reader, 0)
        await asyncio.to_thread(still.proxy().Push, 3)
        # Tango may just be connecting anew by itself: then it is found by reading.
        await reader.wait_for(lambda: reader.values[-1] == 3, 5 * RETURN_S)


async def test_a_device_that_is_unregistered_and_comes_back(
    tango_database: TangoDatabase, tmp_path: Path, reading: Reading
) -> None:
    server = Ticking(tmp_path / "ticks", database=tango_database)
    server.start()
    try:
        async with reading(server.options(), "int64") as reader:
            await reader.wait_for(lambda: len(reader.values) > 20)
            await asyncio.to_thread(server.stop)
            tango_database.client.delete_device("test/ticking/1")
            await reader.wait_for(lambda: bool(gaps_of(reader)))
            tango_database.register("ticking_device", "test", "Ticking", "test/ticking/1")
            await asyncio.to_thread(server.start)
            returned = time.time_ns() // 1_000
            await reader.wait_for(lambda: reader.values[-1] > returned, RETURN_S)
            (gap,) = await settled(reader, 1)
        assert gap.reason is GapReason.DEVICE_AWAY
        assert lost_in_silence(server.pushed[:-20], reader.records, [gap]) == []
    finally:
        server.stop()


async def test_two_attributes_of_a_device_share_one_heartbeat_and_both_come_back(
    ticking: Ticking, reading: Reading
) -> None:
    array = ticking.options(attribute_name="array")
    async with (
        reading(ticking.options(), "int64") as number,
        reading(array, "float64", [1000]) as numbers,
    ):
        first: Any = number.source
        second: Any = numbers.source
        assert first._vigil is second._vigil
        await number.wait_for(lambda: len(number.values) > 20)
        await asyncio.to_thread(ticking.kill)
        await asyncio.to_thread(ticking.start)
        await settled(number, 1)
        await settled(numbers, 1)
        await asyncio.to_thread(ticking.proxy().Burst, 10)
        await numbers.wait_for(lambda: numbers.values[-1][0] == 10)
    assert [value[0] for value in numbers.values[-10:]] == [*range(1, 11)]


async def test_deaf_subscribers_of_an_attribute_that_was_added_anew_are_found_by_reading(
    still: Ticking, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queueconnector_tango.vigil.READ_BACK_S", 1.0)
    async with reading(still.options(), "int64") as reader:
        await asyncio.to_thread(still.proxy().Push, 1)
        await reader.wait_for(lambda: reader.values[-1:] == [1])
        await asyncio.sleep(0.5)  # Else the reading after each start finds it.
        await asyncio.to_thread(still.proxy().AddAnew)
        await asyncio.to_thread(still.proxy().Push, 2)
        (gap,) = await settled(reader, 1)
        await asyncio.to_thread(still.proxy().Push, 3)
        # Tango may just be connecting anew by itself: then it is found by reading.
        await reader.wait_for(lambda: reader.values[-1] == 3, 5 * RETURN_S)
    assert reader.values[1:] == [1, 2, 3]
    assert gap.reason is GapReason.EVENT_TIMEOUT


async def test_an_attribute_that_changes_without_events_is_doubted_once_only(
    still: Ticking, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queueconnector_tango.vigil.READ_BACK_S", 0.5)
    async with reading(still.options(), "int64") as reader:
        for value in range(1, 5):
            await asyncio.to_thread(still.proxy().Change, value)
            await asyncio.sleep(1.2)
        assert len(gaps_of(reader)) == 1


async def test_a_fresh_time_stamp_of_an_unchanged_value_is_no_record(
    still: Ticking, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queueconnector_tango.vigil.READ_BACK_S", 0.5)
    await asyncio.to_thread(still.proxy().Push, 1)
    async with reading(still.options(), "int64") as reader:
        for _ in range(4):
            await asyncio.to_thread(still.proxy().Change, 1)
            await asyncio.sleep(0.5)
        assert (reader.values, gaps_of(reader)) == ([1], [])


async def test_history_of_the_server_fills_the_gap(tmp_path: Path, reading: Reading) -> None:
    # The server keeps ten polls: a second, longer than the heartbeat that finds it restarted.
    server = Ticking(tmp_path / "ticks", tick_s=0.0, POLLING_MS="100")
    server.start()
    try:
        async with reading(server.options(heartbeat_s=0.8), "int64") as reader:
            await reader.wait_for(lambda: bool(reader.values))
            for number in range(1, 11):
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                for value in (2, 4, 6):
                    await asyncio.to_thread(server.proxy().Change, value)
                    await asyncio.sleep(0.15)
                await settled(reader, number)
                assert reader.values[-3:] == [2, 4, 6]
                kinds = {record.metadata.event for record in reader.records[-3:]}
                if "history" in kinds:
                    break  # Else the heartbeat came just between the changes.
    finally:
        server.stop()
    assert "history" in kinds
    stamps = [record.metadata.timestamp_ns or 0 for record in reader.records]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    ("kind", "is_now"), [("str", "DevString SCALAR"), ("spectrum", "DevDouble SPECTRUM")]
)
async def test_an_attribute_that_comes_back_as_another_one_is_refused_by_name(
    ticking: Ticking, reading: Reading, kind: str, is_now: str
) -> None:
    ticking.environment["KIND"] = "float"
    await asyncio.to_thread(ticking.kill)
    await asyncio.to_thread(ticking.start)
    async with reading(ticking.options()) as reader:
        await reader.wait_for(lambda: len(reader.values) > 5)
        ticking.environment["KIND"] = kind
        await asyncio.to_thread(ticking.kill)
        await asyncio.to_thread(ticking.start)
        await reader.wait_for(lambda: bool(reader.failures), RETURN_S)
    assert (
        "/test/ticking/1/number: the attribute was DevDouble SCALAR and is " in reader.failures[0]
    )
    assert is_now in reader.failures[0]
    failure = next(failure for batch in reader.batches for failure in batch.failures)
    (origin,) = failure.origins
    assert origin.original is not None


async def test_without_a_heartbeat_nothing_is_asked_of_the_device(
    ticking: Ticking, reading: Reading
) -> None:
    async with reading(ticking.options(heartbeat_s=0), "int64") as reader:
        await reader.wait_for(lambda: len(reader.values) > 5)
        source: Any = reader.source
        assert source.silent_s() == 0
        await asyncio.to_thread(ticking.kill)
        await asyncio.sleep(1)
        assert gaps_of(reader) == []


async def test_silence_is_told_in_seconds(ticking: Ticking, reading: Reading) -> None:
    async with reading(ticking.options(), "int64") as reader:
        source: Any = reader.source
        await asyncio.sleep(1)
        assert source.silent_s() < 0.7
        await asyncio.to_thread(ticking.kill)
        await asyncio.sleep(1)
        assert source.silent_s() > 0.9


async def test_where_a_record_comes_from(ticking: Ticking, reading: Reading) -> None:
    async with reading(ticking.options(), "int64") as reader:
        await reader.wait_for(lambda: len(reader.values) > 5)
    name = f"{ticking.trl().partition('#')[0]}/number"
    assert {record.metadata.source for record in reader.records} == {name}
    assert [record.metadata.sequence for record in reader.records[:3]] == [1, 2, 3]
    assert [record.metadata.event for record in reader.records[:2]] == ["initial", "change"]
    positions = [record.metadata.position or "" for record in reader.records]
    assert len(set(positions)) == len(positions)
    assert positions[0].startswith(f"{name}@")
    assert positions[0].endswith("#1")
