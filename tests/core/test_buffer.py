"""The bounded way from other threads to the event loop, and what a full buffer does."""

from __future__ import annotations

import asyncio
import threading

import pytest

from queueconnector_core.buffer import Buffer, Overflow


def filled(overflow: Overflow, count: int, size: int = 3) -> Buffer[int]:
    """A buffer that was given the numbers from 0, by the thread of the loop."""
    buffer: Buffer[int] = Buffer(asyncio.get_running_loop(), size, overflow)
    for number in range(count):
        buffer.put(number, wait=False)
    return buffer


async def test_records_of_several_threads_arrive_once_and_in_the_order_of_each() -> None:
    buffer: Buffer[tuple[int, int]] = Buffer(asyncio.get_running_loop(), 100_000)

    def put(thread: int) -> None:
        for number in range(5000):
            buffer.put((thread, number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    taken: list[tuple[int, int]] = []
    async with asyncio.timeout(10):
        while len(taken) < 15_000:
            await buffer.filled.wait()
            some = buffer.take(1000)
            assert len(some.items) <= 1000
            assert not some.dropped
            taken += some.items
    for thread in threads:
        thread.join()
    for number in range(3):
        assert [n for t, n in taken if t == number] == list(range(5000))


@pytest.mark.parametrize(
    ("overflow", "kept", "dropped", "first", "last"),
    [
        (Overflow.DROP_OLDEST, [7, 8, 9], 7, 0, 6),
        (Overflow.DROP_NEWEST, [0, 1, 2], 7, 3, 9),
        (Overflow.LATEST_ONLY, [9], 9, 0, 8),
    ],
)
async def test_what_is_dropped_is_counted_and_known(
    overflow: Overflow, kept: list[int], dropped: int, first: int, last: int
) -> None:
    taken = filled(overflow, 10).take(100)
    assert (taken.items, taken.dropped) == (kept, dropped)
    assert taken.episode is not None
    assert (taken.episode.first, taken.episode.last) == (first, last)
    assert taken.episode.dropped == dropped


async def test_one_overflow_is_one_episode_until_the_reader_has_caught_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buffer = filled(Overflow.DROP_OLDEST, 12, size=10)
    assert buffer.take(2).dropped == 2
    for number in range(5):
        buffer.put(number)
    going_on = buffer.take(2)
    assert going_on.episode is not None
    assert (going_on.dropped, going_on.episode.dropped, going_on.episode.is_over) == (3, 5, False)
    monkeypatch.setattr("queueconnector_core.buffer.QUIET_S", -1.0)
    caught_up = buffer.take(5)
    assert caught_up.episode is not None
    assert (caught_up.dropped, caught_up.episode.is_over) == (0, True)
    assert buffer.take(5).episode is None


async def test_after_close_nothing_is_taken_but_what_was_there_is_given() -> None:
    buffer = filled(Overflow.DROP_OLDEST, 1)
    buffer.close()
    assert not buffer.put(2)
    assert buffer.take(10).items == [0]
    assert buffer.take(10).items == []


async def test_block_lets_the_thread_wait_for_room_and_loses_nothing() -> None:
    buffer: Buffer[int] = Buffer(asyncio.get_running_loop(), 3, Overflow.BLOCK)
    putting = asyncio.ensure_future(asyncio.to_thread(lambda: [buffer.put(n) for n in range(100)]))
    taken: list[int] = []
    async with asyncio.timeout(10):
        while len(taken) < 100:
            await buffer.filled.wait()
            assert len(buffer) <= 3
            taken += buffer.take(2).items
    assert taken == list(range(100))
    assert all(await putting)


async def test_close_lets_go_a_thread_that_waits_for_room() -> None:
    buffer = filled(Overflow.BLOCK, 3)
    assert not buffer.put(3, wait=False)
    waiting = asyncio.ensure_future(asyncio.to_thread(buffer.put, 4))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    buffer.close()
    assert not await asyncio.wait_for(waiting, 5)
    assert buffer.take(10).items == [0, 1, 2]


async def test_fail_gives_what_was_there_and_takes_nothing_more() -> None:
    buffer = filled(Overflow.FAIL, 4)
    assert buffer.has_failed
    assert buffer.take(10).items == [0, 1, 2]
    assert not buffer.put(5)
