"""A thread that does what blocks, beside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

__all__ = ("Worker",)

Result = TypeVar("Result")


class Worker:
    """Runs what it is asked to, in order, and takes turns of its own meanwhile."""

    def __init__(self, name: str, turn: Callable[[], float]) -> None:
        """`turn` returns how long to wait for something to run before the next turn, in seconds."""
        self._turn = turn
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._last: Callable[[], None] | None = None
        self._ended: Future[None] = Future()
        # A client that hangs must not keep the process from its end.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        wait_s = 0.0
        while self._last is None:
            try:
                asked = self._asked.get(timeout=wait_s)
            except Empty:
                wait_s = self._turn()
            else:
                wait_s = 0.0
                asked()
        with contextlib.suppress(Exception):
            self._last()
        while not self._asked.empty():
            # Who asked late is not left waiting, but hears that it is over.
            self._asked.get()()
        self._ended.set_result(None)

    def wake(self) -> None:
        """Take the next turn without waiting any more."""
        self._asked.put(lambda: None)

    def serve_until(self, done: Future[None]) -> None:
        """Called in the thread, which goes on to run what it is asked to."""
        done.add_done_callback(lambda _: self.wake())
        while not done.done():
            self._asked.get()()

    async def call(self, function: Callable[[], Result]) -> Result:
        """Run it between two turns and return its result; it is run although this is cancelled."""
        done: Future[Result] = Future()

        def run() -> None:
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it is told to who asked
                done.set_exception(error)
            else:
                done.set_result(result)

        self._asked.put(run)
        return await asyncio.shield(asyncio.wrap_future(done))

    async def end(self, last: Callable[[], None]) -> None:
        """Take no more turns, and run `last`, whatever it raises."""
        self._last = last
        self.wake()
        await asyncio.shield(asyncio.wrap_future(self._ended))
