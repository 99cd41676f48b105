"""A host writes what it tells of an exchange anew only when its pulse differs."""

from __future__ import annotations

import asyncio

from queueconnector_core.errors import RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.gaps import GapReason
from queueconnector_core.testing.doubles import RecordingSink, ScriptedSource


def resting() -> Exchange:
    return Exchange("x[0]", [ScriptedSource([])], [], [RecordingSink()])


async def test_at_rest_it_stays_the_same() -> None:
    exchange = resting()
    before = exchange.pulse
    await asyncio.sleep(0.01)
    assert exchange.pulse == before


async def test_records_change_it() -> None:
    exchange = Exchange("x[0]", [ScriptedSource([1, 2, 3])], [], [RecordingSink()])
    before = exchange.pulse
    await exchange.start()
    await exchange.run()
    await exchange.stop()
    after = exchange.pulse
    assert exchange.statistics.delivered == 3
    assert after != before
    assert exchange.pulse == after


async def test_time_changes_it_while_records_are_in_flight() -> None:
    exchange = resting()
    exchange.statistics.receive(1, replayable=False)
    before = exchange.pulse
    await asyncio.sleep(0.001)
    assert exchange.pulse != before


async def test_time_changes_it_while_a_far_end_is_away() -> None:
    exchange = resting()
    exchange.statistics.waiting(exchange, str(RetryableError("away")))
    before = exchange.pulse
    await asyncio.sleep(0.001)
    assert exchange.pulse != before


async def test_a_pause_and_each_change_of_a_gap_change_it() -> None:
    exchange = resting()
    pulses = [exchange.pulse]
    exchange.pause()
    pulses.append(exchange.pulse)
    gap = exchange.gaps.open("s", GapReason.DEVICE_AWAY)
    pulses.append(exchange.pulse)
    gap.close(records=0)
    pulses.append(exchange.pulse)
    assert len(set(pulses)) == 4
