"""What a component leaves behind, what it connects to, and whether it blocks the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

__all__ = ("tasks", "threads", "open_files", "connections", "cancelled_at", "LoopWatch")


def tasks() -> set[asyncio.Task[Any]]:
    """All tasks of the running loop but the one that asks."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def threads() -> set[threading.Thread]:
    """All threads but those of the pool of asyncio."""
    return {found for found in threading.enumerate() if not found.name.startswith("asyncio_")}


def open_files() -> int:
    """How many files, sockets and pipes this process has open."""
    found = Path("/proc/self/fd")
    return len(os.listdir(found if found.exists() else "/dev/fd"))  # noqa: PTH208 - 3.11


_CONNECTING: Final = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen"}
_watched: list[list[str]] = []


def _audit(event: str, _: tuple[object, ...]) -> None:
    if event in _CONNECTING:
        for seen in _watched:
            seen.append(event)


_installed: list[Callable[[str, tuple[object, ...]], None]] = []


@contextmanager
def connections() -> Iterator[list[str]]:
    """What is connected to in the block, as the names of Python's audit events."""
    if not _installed:
        # It cannot be taken away again; outside of a block it does nothing.
        _installed.append(_audit)
        sys.addaudithook(_audit)
    seen: list[str] = []
    _watched.append(seen)
    try:
        yield seen
    finally:
        _watched.remove(seen)


@types.coroutine
def cancelled_at(coroutine: Coroutine[Any, Any, object], number: int) -> Generator[Any, Any, bool]:
    """Run a coroutine, and cancel the running task at its await of that number, from 0 on.

    False: it ended before. Where it ends in spite of the cancellation: True.
    """
    task = asyncio.current_task()
    assert task is not None, "only a task can be cancelled"
    reached = 0
    resume: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        try:
            waited_for = resume()
        except StopIteration:
            return reached > number
        if reached == number:
            # The task cancels what it is about to wait for.
            task.cancel()
        reached += 1
        try:
            yield waited_for
        except BaseException as error:  # noqa: BLE001 - all that is thrown in is passed on
            resume = _throwing(coroutine, error)
        else:
            resume = lambda: coroutine.send(None)  # noqa: E731


def _throwing(coroutine: Coroutine[Any, Any, object], error: BaseException) -> Callable[[], Any]:
    return lambda: coroutine.throw(error)


TICK_S: Final = 0.01


class LoopWatch:
    """Sees from a thread of its own for how long the event loop stands still in a block.

    It counts its own looks, and what the loop's thread has computed, not time: where the whole
    machine stands still nobody is blamed.
    """

    def __init__(self, limit_s: float) -> None:
        self.longest_s = 0.0
        self.where = ""
        """What ran when the loop stood still for longer than the limit."""
        self._limit_s = limit_s
        self._beats = 0
        self._ended = threading.Event()
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="loop watch", daemon=True)
        self._beat: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._turn()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        # One turn, so that what blocked until now is seen by the thread.
        await asyncio.sleep(2 * TICK_S)
        if self._beat is not None:
            self._beat.cancel()
        self._ended.set()
        await asyncio.to_thread(self._thread.join)

    def _turn(self) -> None:
        self._beats += 1
        self._beat = asyncio.get_running_loop().call_later(TICK_S / 2, self._turn)

    def _computed_s(self) -> float:
        """What the loop's thread has computed since it began; 0 where nobody knows."""
        if sys.platform != "linux":
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(self._loop_thread))

    def _watch(self) -> None:
        seen, looks, began_s = self._beats, 0, self._computed_s()
        while not self._ended.wait(TICK_S):
            if self._beats != seen:
                seen, looks, began_s = self._beats, 0, self._computed_s()
                continue
            looks += 1
            stood_s = max(looks * TICK_S, self._computed_s() - began_s)
            self.longest_s = max(self.longest_s, stood_s)
            if stood_s > self._limit_s and not self.where:
                frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - documented
                self.where = "".join(traceback.format_stack(frame)[-6:])
