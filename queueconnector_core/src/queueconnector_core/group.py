"""Exchanges that were configured together: one state machine; a fault stays inside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from queueconnector_core.errors import QueueConnectorError
from queueconnector_core.exchange import Exchange
from queueconnector_core.states import State, Trigger, allows, next_state, refusal
from queueconnector_core.together import together

__all__ = ("Group",)

logger = logging.getLogger(__name__)

DRAIN_TIMEOUT_S = 10.0
"""After `Stop` the sinks have so long to take what was received; then it is counted as dropped."""


class Group:
    """Starts, runs and stops its exchanges together.

    Every change of state calls `on_change`. Commands return fast; what they begin goes on in one
    task and ends in a state: `settled` waits for it.
    """

    def __init__(
        self,
        name: str,
        exchanges: Sequence[Exchange],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.exchanges = tuple(exchanges)
        self.fault: str | None = None
        """Why the group is in FAULT; None otherwise."""
        self._state = State.OFF
        self._on_change = on_change
        self._streaming: asyncio.Task[None] | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._draining: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """Where the group stands now."""
        return self._state

    def start(self) -> None:
        """Begin to open every exchange: OPEN, then ON by itself. Raises `StateError`."""
        self._move(Trigger.START)
        self._draining = None
        self._streaming = asyncio.create_task(self._stream(), name=f"group {self.name}")
        self._supervising = asyncio.create_task(self._supervise(self._streaming))

    def stop(self) -> None:
        """Begin to close: CLOSE, then OFF by itself, after delivering what was received.

        Raises `StateError`.
        """
        opening = self._state is State.OPEN
        self._move(Trigger.STOP)
        if self._streaming is None or self._streaming.done():
            return
        if opening:
            self._streaming.cancel()
        else:
            self._draining = asyncio.create_task(self._drain(self._streaming))

    async def abort(self) -> None:
        """Give up what is in flight and go OFF. Raises `StateError`."""
        if not allows(self._state, Trigger.ABORT):
            raise refusal(self._state, Trigger.ABORT)
        if self._streaming is not None:
            self._streaming.cancel()
        await self.settled()

    def reset(self) -> None:
        """Leave FAULT for OFF. Raises `StateError`."""
        if allows(self._state, Trigger.RESET):
            self.fault = None
        self._move(Trigger.RESET)

    async def settled(self) -> None:
        """Wait until nothing is going on: OFF or FAULT."""
        if self._supervising is not None:
            await asyncio.wait((self._supervising,))

    async def shut_down(self) -> None:
        """Bring it to rest from any state, draining it if it streams."""
        if allows(self._state, Trigger.STOP):
            self.stop()
        await self.settled()

    def _move(self, trigger: Trigger) -> None:
        before, self._state = self._state, next_state(self._state, trigger)
        logger.info("group %s: %s -> %s", self.name, before.value, self._state.value)
        try:
            self._on_change()
        except Exception:
            # Streams go on, and come to rest, whatever the host does with the news.
            logger.exception("group %s: the host failed on a change of state", self.name)

    async def _stream(self) -> None:
        await together(exchange.start for exchange in self.exchanges)
        self._move(Trigger.OPENED)
        await together(exchange.run for exchange in self.exchanges)

    async def _drain(self, streaming: asyncio.Task[None]) -> None:
        """Let the streams run dry; give them up when that fails or takes too long."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await together(exchange.drain for exchange in self.exchanges)
                await asyncio.wait((streaming,))
        except TimeoutError:
            logger.warning("group %s: not drained within %s s", self.name, DRAIN_TIMEOUT_S)
        finally:
            streaming.cancel()

    async def _supervise(self, streaming: asyncio.Task[None]) -> None:
        """Wait for the streams to end, stop every exchange, and come to rest."""
        await asyncio.wait((streaming,))
        failures = [_error(streaming)]
        if failures == [None] and not streaming.cancelled() and self._state is State.ON:
            self._move(Trigger.ENDED)
        if self._draining is not None:
            await asyncio.wait((self._draining,))
            failures.append(_error(self._draining))
        failures += await asyncio.gather(
            *(exchange.stop() for exchange in self.exchanges), return_exceptions=True
        )
        failure = next((error for error in failures if error is not None), None)
        if failure is not None:
            self._fail(failure)
        else:
            self._move(Trigger.CLOSED if self._state is State.CLOSE else Trigger.ABORT)

    def _fail(self, error: BaseException) -> None:
        expected = isinstance(error, QueueConnectorError)
        self.fault = str(error) if expected else f"{type(error).__name__}: {error}"
        logger.error("group %s: %s", self.name, self.fault, exc_info=None if expected else error)
        self._move(Trigger.FAILED)


def _error(task: asyncio.Task[None]) -> BaseException | None:
    """How a finished task failed; None when it did not, or was cancelled."""
    return None if task.cancelled() else task.exception()
