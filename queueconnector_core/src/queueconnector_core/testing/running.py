"""A source or sink under test, in a real exchange whose other end is a double."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from queueconnector_core.exchange import Exchange
from queueconnector_core.protocols import Pipe, Sink, Source

__all__ = ("Streaming",)

LOOK_S = 0.005


class Streaming:
    """Runs an exchange as long as a block lasts."""

    def __init__(self, source: Source, sink: Sink, pipes: Sequence[Pipe] = ()) -> None:
        self.exchange = Exchange("conformance[0]", [source], pipes, [sink])
        self.statistics = self.exchange.statistics
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect both ends and begin to stream."""
        await self.exchange.start()
        self._running = asyncio.create_task(self.exchange.run())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,), timeout=5)
        await self.exchange.stop()

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something holds: True, or False when it does not within the time.

        Raises what the exchange failed with.
        """
        running = self._running
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    if running is not None and running.done():
                        running.result()
                        return condition()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            return False
        return True

    async def drain(self, timeout_s: float) -> None:
        """End the stream after all that was received; `TimeoutError` when it does not end."""
        running = self._running
        assert running is not None, "it was not started"
        async with asyncio.timeout(timeout_s):
            await self.exchange.drain()
            await running
