"""An event loop in a thread of its own, for a device that Tango calls from many threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import TypeVar

import tango

__all__ = ("LoopThread",)

T = TypeVar("T")

END_TIMEOUT_S = 5.0


class LoopThread:
    """A thread that omniORB knows, with an event loop that runs until `stop`."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="connector", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        with tango.EnsureOmniThread(), asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            self._stopped = asyncio.Event()
            self._ready.set()
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stopped.wait()

    def submit(self, coroutine: Coroutine[None, None, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        """Cancel whatever runs and end the thread; raises `TimeoutError` if it does not end."""
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(END_TIMEOUT_S)
        if self._thread.is_alive():
            raise TimeoutError("the event loop did not end")
