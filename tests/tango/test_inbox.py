"""The bounded way from Tango's threads to the event loop, and how repetitions are recognised."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from queueconnector_core.record import Quality
from queueconnector_tango._proxy import Reading
from queueconnector_tango.subscription import Inbox, Repeats


async def test_events_of_several_threads_arrive_once_and_in_the_order_of_each() -> None:
    inbox = Inbox(asyncio.get_running_loop())

    def put(thread: int) -> None:
        for number in range(5000):
            inbox.put((thread, number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    taken: list[tuple[int, int]] = []
    async with asyncio.timeout(10):
        while len(taken) < 15_000:
            await inbox.filled.wait()
            events, dropped = inbox.take()
            assert not dropped
            taken += events
    for thread in threads:
        thread.join()
    for number in range(3):
        assert [n for t, n in taken if t == number] == list(range(5000))


async def test_when_it_is_full_the_oldest_are_dropped_and_counted() -> None:
    inbox = Inbox(asyncio.get_running_loop(), limit=3)
    for number in range(10):
        inbox.put(number)
    assert inbox.take() == ([7, 8, 9], 7)
    assert inbox.take() == ([], 0)


async def test_after_close_nothing_is_taken_but_what_was_there_is_given() -> None:
    inbox = Inbox(asyncio.get_running_loop())
    inbox.put(1)
    inbox.close()
    inbox.put(2)
    assert inbox.take() == ([1], 0)


def reading(value: object, time_ns: int, quality: Quality = Quality.VALID) -> Reading:
    return Reading(value, quality, time_ns)


@pytest.mark.parametrize("value", [1.0, float("nan"), "text", np.array([1.0, np.nan]), ("a", b"b")])
def test_the_same_value_of_the_same_time_is_a_repetition_after_a_renewal(value: object) -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(value, 5))
    repeats.renew()
    assert repeats.is_repeat(reading(value, 5))


def test_an_older_value_is_one_too_but_a_newer_or_another_is_not() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(2, 5))
    repeats.renew()
    assert repeats.is_repeat(reading(1, 4))
    assert not repeats.is_repeat(reading(3, 5))
    assert not repeats.is_repeat(reading(4, 6))


def test_a_change_of_quality_is_no_repetition() -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(None, 5, Quality.INVALID))
    assert not repeats.is_repeat(reading(1, 5))


def test_long_after_a_renewal_nothing_is_a_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    repeats = Repeats()
    assert not repeats.is_repeat(reading(1, 5))
    monkeypatch.setattr("queueconnector_tango.subscription.SETTLING_S", -1.0)
    repeats.renew()
    assert not repeats.is_repeat(reading(1, 5))
    assert not repeats.is_repeat(reading(1, 4))
