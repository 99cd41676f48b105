"""Exchanges that were configured together: one state machine; a fault stays inside."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence

from queueconnector_core.errors import QueueConnectorError, StateError
from queueconnector_core.exchange import Exchange
from queueconnector_core.fault import Fault
from queueconnector_core.plan import Policy
from queueconnector_core.states import State, Trigger, allows, next_state, refusal
from queueconnector_core.stream import Phase, Stream

__all__ = ("Group",)

logger = logging.getLogger(__name__)


class Group:
    """Starts, runs, stops and replaces its exchanges.

    Every change of state calls `on_change`. Commands return fast; what they begin goes on in one
    task and ends in a state: `settled` waits for it.
    """

    def __init__(
        self,
        name: str,
        exchanges: Sequence[Exchange] = (),
        on_change: Callable[[], None] = lambda: None,
        policy: Policy | None = None,
    ) -> None:
        self.name = name
        self.exchanges = tuple(exchanges)
        self.policy = policy or Policy()
        self.fault: Fault | None = None
        """Why the group is in FAULT; None otherwise."""
        self.restarts = 0
        """How many attempts the policy has used since the group last was well."""
        self.restart_at_s: float | None = None
        """When the group in FAULT starts again by itself: seconds since the Unix epoch."""
        self._state = State.OFF if exchanges else State.STANDBY
        self._on_change = on_change
        self._streams: list[Stream] = []
        self._leaving: list[Stream] = []
        self._news = asyncio.Event()
        self._opened_at_s = float("inf")
        self._replacing = False
        self._resume = False
        self._wanted = False
        """It is to stream: it was started, and is neither stopped nor being replaced since."""
        self._supervising: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """Where the group stands now."""
        return self._state

    # -- commands -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to open every exchange: OPEN, then ON by itself. Raises `StateError`."""
        self._move(Trigger.START)
        self.restarts = 0
        for exchange in self.exchanges:
            exchange.resume()
        self._open()

    def stop(self) -> None:
        """Begin to close: CLOSE, then OFF by itself, after delivering what was received.

        Raises `StateError`.
        """
        self._close()
        self._resume = False

    def abort(self) -> Coroutine[None, None, None]:
        """Give up what is in flight and go OFF, at once; wait for that with what it returns.

        Raises `StateError`.
        """
        if not allows(self._state, Trigger.ABORT):
            raise refusal(self._state, Trigger.ABORT)
        self._resume = self._replacing = self._wanted = False
        for stream in self._all_streams():
            stream.cancel()
        self._news.set()
        return self.settled()

    def reset(self) -> None:
        """Leave FAULT for OFF, or STANDBY when nothing is configured. Raises `StateError`."""
        self._move(Trigger.RESET)
        if not self.exchanges:
            self._move(Trigger.STANDBY)

    def pause(self, exchange: Exchange) -> None:
        """Have one exchange take nothing from its sources; the state does not change.

        Raises `StateError` when the group does not stream.
        """
        self._stream_of(exchange, "Pause")
        exchange.pause()
        self._tell()

    def resume(self, exchange: Exchange) -> None:
        """Have one exchange go on that was paused; in any state."""
        exchange.resume()
        self._tell()

    def restart(self, exchange: Exchange) -> None:
        """Begin to end one exchange, after all that it received, and to start it again.

        The group is OPEN until it streams again; the others stream on. Raises `StateError`.
        """
        self._stream_of(exchange, "Restart").restart()

    def _stream_of(self, exchange: Exchange, command: str) -> Stream:
        for stream in self._streams:
            if stream.exchange is exchange and self._wanted:
                if stream.phase in {Phase.OPENING, Phase.STREAMING}:
                    return stream
                text = f"while it is {stream.phase.value}; try again later"
                raise StateError(f"{command} of {exchange.name} is not allowed {text}")
        text = f"in state {self._state.value} of group {self.name}; allowed: while it streams"
        raise StateError(f"{command} of {exchange.name} is not allowed {text}")

    async def settled(self) -> None:
        """Wait until nothing goes on, and nothing will by itself: at rest in OFF or FAULT."""
        while tasks := [t for t in (self._supervising, self._restarting) if t and not t.done()]:
            await asyncio.wait(tasks)

    async def shut_down(self) -> None:
        """Bring it to rest from any state, draining it if it streams."""
        self._cancel_restart()
        if allows(self._state, Trigger.STOP):
            self.stop()
        self._resume = self._wanted = False
        await self.settled()

    # -- configuration ------------------------------------------------------------------------

    async def release(self, kept: Sequence[Exchange]) -> None:
        """The first half of a new configuration: end every exchange that is not kept.

        Those that are kept stream on. Until `adopt` nothing starts by itself.
        """
        running = self._wanted and allows(self._state, Trigger.STOP)
        self._resume = running or self.restart_at_s is not None
        self._wanted = False
        self._cancel_restart()
        keep = set(kept)
        staying = [stream for stream in self._streams if stream.exchange in keep]
        if running and staying and not self._has_failed():
            self._replacing = True
            self._leaving = [stream for stream in self._streams if stream.exchange not in keep]
            self._streams = staying
            self._move(Trigger.CONFIGURE)
            for stream in self._leaving:
                stream.drain()
            await asyncio.gather(*(stream.ended() for stream in self._leaving))
            for stream in self._leaving:
                if stream.failure is not None:
                    logger.warning("%s failed as it left: %s", stream.exchange.name, stream.failure)
            self._leaving = []
            self._news.set()
        else:
            if running:
                self._close()
            await self.settled()

    async def adopt(self, exchanges: Sequence[Exchange], policy: Policy, *, start: bool) -> None:
        """The second half: have exactly these exchanges.

        The new ones are started if the group was open and nobody has stopped it since, or when
        `start`; a group that loses all is in STANDBY.
        """
        known = set(self.exchanges)
        self.exchanges, self.policy = tuple(exchanges), policy
        for exchange in exchanges:
            exchange.outage_limit_s = policy.outage_limit_s
        if self._replacing:
            self._replacing, self._wanted = False, True
            self._streams += [self._stream(e) for e in exchanges if e not in known]
            self._news.set()
            return
        await self.settled()
        if exchanges:
            self._move(Trigger.CONFIGURE)
            if start or self._resume:
                self.start()
        elif self._state is State.FAULT:
            self.reset()
        elif self._state is State.OFF:
            self._move(Trigger.STANDBY)

    async def fail(self, error: Exception) -> None:
        """Come to rest in FAULT: what was to be configured cannot be used."""
        await self.shut_down()
        if self._state is State.FAULT:
            self.fault = Fault.of(error, self.name)
            self._tell()
        else:
            self._fail(Fault.of(error, self.name), error)

    async def give_up(self, error: Exception) -> None:
        """Have no exchanges, and come to rest in FAULT: there is nothing that they could do."""
        await self.fail(error)
        self.exchanges = ()

    # -- streaming ----------------------------------------------------------------------------

    def _open(self) -> None:
        self._wanted = True
        self._opened_at_s = float("inf")
        self._streams = [self._stream(exchange) for exchange in self.exchanges]
        self._supervising = asyncio.create_task(self._supervise(), name=f"group {self.name}")

    def _close(self) -> None:
        self._move(Trigger.STOP)
        self._replacing = self._wanted = False
        for stream in self._streams:
            stream.drain()
        self._news.set()

    def _stream(self, exchange: Exchange) -> Stream:
        return Stream(exchange, self._news.set)

    async def _supervise(self) -> None:
        """Follow the streams until all have ended, then come to rest."""
        while self._is_busy():
            await self._news.wait()
            self._news.clear()
            self._follow()
        await asyncio.gather(*(stream.ended() for stream in self._all_streams()))
        for stream in self._streams:
            if stream.failure is not None:
                place = self.exchanges.index(stream.exchange)
                self._fail(Fault.of(stream.failure, self.name, place), stream.failure)
                if self._wanted:
                    self._plan_restart()
                return
        self._move(Trigger.CLOSED if self._state is State.CLOSE else Trigger.ABORT)

    def _is_busy(self) -> bool:
        phases = (stream.phase for stream in self._all_streams())
        return self._replacing or any(phase is not Phase.ENDED for phase in phases)

    def _all_streams(self) -> tuple[Stream, ...]:
        """Those of the configuration, and those that a new one has not kept and that still end."""
        return (*self._streams, *self._leaving)

    def _has_failed(self) -> bool:
        return any(stream.failure for stream in self._streams)

    def _follow(self) -> None:
        """Draw the conclusions from the phases of the streams."""
        phases = {stream.phase for stream in self._streams}
        if self._has_failed():
            self._replacing = False
            for stream in self._all_streams():
                stream.cancel()
            return
        if not self._wanted:
            return
        if self._state is State.ON and Phase.RESTARTING in phases:
            self._move(Trigger.REOPENING)
        if self._state is State.OPEN and not phases & {Phase.OPENING, Phase.RESTARTING}:
            self._opened_at_s = time.monotonic()
            self._move(Trigger.OPENED)
        if self._state is State.ON and phases <= {Phase.ENDING, Phase.ENDED}:
            self._move(Trigger.ENDED)

    def _fail(self, fault: Fault, error: BaseException) -> None:
        self.fault = fault
        trace = None if isinstance(error, QueueConnectorError) else error
        failed = f"group {self.name}"
        if fault.exchange is not None:
            failed = self.exchanges[fault.exchange].name
        logger.error("%s: %s", failed, fault.message, exc_info=trace)
        self._move(Trigger.FAILED)

    def _plan_restart(self) -> None:
        policy = self.policy.restart
        if time.monotonic() - self._opened_at_s >= policy.longest_wait_s:
            self.restarts = 0
        if self.restarts < policy.attempts:
            doubled = 2.0 ** min(self.restarts, 100)
            wait_s = min(policy.wait_s * doubled, policy.longest_wait_s)
            self.restarts += 1
            self.restart_at_s = time.time() + wait_s
            self._restarting = asyncio.create_task(self._restart_after(wait_s))
            self._tell()

    async def _restart_after(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        self._restarting = None
        self._move(Trigger.RESTARTED)
        self._open()

    def _cancel_restart(self) -> None:
        self.restart_at_s = None
        if self._restarting is not None:
            self._restarting.cancel()
            self._restarting = None

    # -- state --------------------------------------------------------------------------------

    def _move(self, trigger: Trigger) -> None:
        before, after = self._state, next_state(self._state, trigger)
        if before is State.FAULT:
            self._leave_fault(trigger)
        self._state = after
        logger.info("group %s: %s -> %s", self.name, before.value, after.value)
        self._tell()

    def _leave_fault(self, trigger: Trigger) -> None:
        self._cancel_restart()
        self.fault = None
        if trigger is not Trigger.RESTARTED:
            self.restarts = 0

    def _tell(self) -> None:
        try:
            self._on_change()
        except Exception:
            # Streams go on, and come to rest, whatever the host does with the news.
            logger.exception("group %s: the host failed on a change of state", self.name)
