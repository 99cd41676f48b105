"""One exchange on its way from start to stop, in a task of its own."""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Callable

from queueconnector_core.exchange import Exchange
from queueconnector_core.together import to_its_end

__all__ = ("Phase", "Stream", "DRAIN_TIMEOUT_S")

logger = logging.getLogger(__name__)

DRAIN_TIMEOUT_S = 10.0
"""The sinks have so long to take what was received; then it is counted as dropped."""


class Phase(enum.Enum):
    """How far a stream is; it goes back only to be opened again (`Stream.restart`)."""

    OPENING = "opening"
    STREAMING = "streaming"
    RESTARTING = "restarting"
    ENDING = "ending"
    ENDED = "ended"


class Stream:
    """Starts an exchange, runs it until its sources end, and stops it.

    `news` is called when `phase` has changed. `failure` is the first error that was met.
    """

    def __init__(self, exchange: Exchange, news: Callable[[], None]) -> None:
        self.exchange = exchange
        self.phase = Phase.OPENING
        self.failure: BaseException | None = None
        self._news = news
        self._again = False
        self._run_dry = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        self._living = asyncio.create_task(self._live(), name=exchange.name)
        # Not at the end of `_live`: a task that is cancelled at once never begins.
        self._living.add_done_callback(lambda _: self._enter(Phase.ENDED))

    def cancel(self) -> None:
        """Begin to end it at once; what is in flight is given up."""
        self._again = False
        self._give_up()

    def _give_up(self) -> None:
        if not self._run_dry.is_set():
            self._living.cancel()

    def drain(self) -> None:
        """Begin to end it after all that was received, within a bounded time."""
        self._again = False
        if self.phase is Phase.OPENING:
            self.cancel()
        elif self.phase is Phase.STREAMING:
            self._begin_drain()

    def restart(self) -> None:
        """Begin to end it as `drain` does, then to start it again; only before it ends."""
        self._again = True
        if self.phase is Phase.OPENING:
            self._enter(Phase.RESTARTING)
            self._give_up()
        elif self.phase is Phase.STREAMING:
            self._enter(Phase.RESTARTING)
            self._begin_drain()

    def _begin_drain(self) -> None:
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._drain())

    async def ended(self) -> None:
        """Wait until it has ended and everything is disconnected."""
        await asyncio.wait((self._living,))
        if self._draining is not None:
            await asyncio.wait((self._draining,))

    async def _live(self) -> None:
        await self._live_once()
        while self._again and self.failure is None:
            self._again = False
            self._run_dry.clear()
            self._enter(Phase.OPENING)
            await self._live_once()

    async def _live_once(self) -> None:
        try:
            await to_its_end(self._flow)
        except asyncio.CancelledError:
            # Whoever asked for it has been heard: the rest is done in peace.
            self._forget_cancellation()
        except Exception as error:  # noqa: BLE001 - told to the group, which logs it
            self._failed(error)
        self._run_dry.set()
        if not self._again:
            self._enter(Phase.ENDING)
        try:
            await to_its_end(self.exchange.stop)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)

    @staticmethod
    def _forget_cancellation() -> None:
        task = asyncio.current_task()
        while task is not None and task.cancelling():
            task.uncancel()

    async def _flow(self) -> None:
        await self.exchange.start()
        self._enter(Phase.STREAMING)
        await self.exchange.run()

    async def _drain(self) -> None:
        """Let it run dry; give it up when that fails or takes too long."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self.exchange.drain()
                await self._run_dry.wait()
        except TimeoutError:
            logger.warning("%s: not drained within %g s", self.exchange.name, DRAIN_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(error)
        finally:
            self._give_up()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._news()

    def _failed(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self._news()
