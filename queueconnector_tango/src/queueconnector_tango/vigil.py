"""The vigil over a device: a heartbeat, and what follows when it stops or comes from another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from queueconnector_core.gaps import GapReason
from queueconnector_tango._lookout import (
    Identity,
    Lookout,
    Polled,
    Silence,
    drop,
    in_vigil_thread,
    take_up,
)
from queueconnector_tango.watch import QUIET_S, Watch

__all__ = ("Vigil", "Vigils", "READ_BACK_S")

logger = logging.getLogger(__name__)

READ_BACK_S: Final = 10.0
"""An attribute of which no event came for so long is read, to see whether it is silent or deaf."""

COUNT_S: Final = 1.0
"""So often the server's count is asked for until it is known how it compares."""

GRACE_S: Final = 0.05
"""What was read is delivered so much later: events of the same values come first."""

RENEWED_AT_ONCE: Final = 50
"""Between so many renewed subscriptions, of about 5 ms each, all doubtful attributes are read."""

AWAY_S: Final = 5.0
"""After a device was away for so long Tango may have begun to connect anew by itself, which takes
ten seconds and tells nobody what is lost."""

BROKEN_S: Final = 5.0
"""Tango tells each subscription that a connection is broken; so long that is the same news."""

Answers = list[tuple[Watch, Polled | str]]


class Vigils:
    """The vigils of one event loop: one for each device, however many subscriptions it has."""

    _of_loops: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Vigils]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._vigils: dict[str, Vigil] = {}
        self._connected_at: dict[str, float] = {}

    @classmethod
    def here(cls) -> Vigils:
        """Those of the running loop."""
        return cls._of_loops.setdefault(asyncio.get_running_loop(), cls())

    def add(self, watch: Watch) -> Vigil:
        """Begin to look after a subscription."""
        device = watch.subscription.device_name
        vigil = self._vigils.setdefault(device.lower(), Vigil(self, device))
        vigil.add(watch)
        return vigil

    async def remove(self, watch: Watch) -> None:
        """Look after it no longer."""
        device = watch.subscription.device_name.lower()
        vigil = self._vigils[device]
        if vigil.watches == [watch]:
            del self._vigils[device]
        await vigil.remove(watch)

    def connect_anew(self, vigil: Vigil, identity: Identity, *, restarted: bool) -> None:
        """Drop every subscription of the process to the server of `vigil`, and make them anew.

        Tango shares one connection among them, which it would make anew after ten seconds only.
        """
        now = time.monotonic()
        if not restarted and now - self._connected_at.get(vigil.server, 0.0) < BROKEN_S:
            return
        self._connected_at[vigil.server] = now
        concerned = [each for each in self._vigils.values() if each.server == vigil.server]
        subscriptions = [watch.subscription for each in concerned for watch in each.watches]
        dropping = asyncio.ensure_future(in_vigil_thread(drop, subscriptions))
        for each in concerned:
            each.begin_anew(identity, dropping, restarted=restarted)


class Vigil:
    """Looks after one device for all subscriptions of the process to it.

    At most one call is under way, so that a device that hangs costs one thread.
    """

    def __init__(self, vigils: Vigils, device_name: str) -> None:
        self.watches: list[Watch] = []
        self.server = ""
        """The admin device of its server, once it has answered."""
        self.answered_at = time.monotonic()
        """When the device answered last, by the monotonic clock."""
        self._vigils = vigils
        self._lookout = Lookout(device_name)
        self._identity: Identity | None = None
        self._dropping: asyncio.Future[None] | None = None
        self._read_back_at = time.monotonic()
        self._counted_at = 0.0
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def add(self, watch: Watch) -> None:
        """Look after one more subscription, from at once."""
        self.watches.append(watch)
        watch.wake = self._wake_from_anywhere
        self._woken.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def remove(self, watch: Watch) -> None:
        """Look after it no longer; without any left the vigil ends."""
        self.watches.remove(watch)
        if not self.watches and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait((task,))

    def begin_anew(
        self, identity: Identity, dropping: asyncio.Future[None], *, restarted: bool
    ) -> None:
        """The connection for events is dead: doubt everything, and subscribe anew once dropped."""
        self._identity = identity
        self._dropping = dropping
        for watch in self.watches:
            if restarted:
                text = "the device's server was restarted"
                watch.doubt(GapReason.DEVICE_AWAY, text, renewal=True, is_countable=False)
            else:
                text = "Tango's connection for events is in doubt"
                watch.doubt(GapReason.EVENT_TIMEOUT, text, renewal=True)
        self._woken.set()

    def _wake_from_anywhere(self) -> None:
        with suppress(RuntimeError):  # The loop may be closed already.
            self._loop.call_soon_threadsafe(self._woken.set)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except Exception:
                logger.exception("the vigil over a device failed; it goes on")
            with suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self._woken.wait()
            self._woken.clear()

    @property
    def _period(self) -> float:
        doubtful = any(watch.in_doubt or watch.must_be_read for watch in self.watches)
        return min((w.poll_s if doubtful else w.heartbeat_s for w in self.watches), default=1.0)

    async def _look(self) -> None:
        try:
            identity = await in_vigil_thread(self._lookout.probe)
        except Silence as silence:
            for watch in self.watches:
                watch.doubt(GapReason.DEVICE_AWAY, str(silence))
            return
        now = time.monotonic()
        was_away = now - self.answered_at > max(AWAY_S, 3 * self._period)
        self.answered_at = now
        self.server = self._lookout.server
        former, self._identity = self._identity, identity
        restarted = former is not None and identity.is_another_than(former)
        broken = [watch for watch in self.watches if watch.take_troubles()]
        if restarted or broken or (was_away and former is not None):
            self._vigils.connect_anew(self, identity, restarted=restarted)
        await self._read_doubtful()
        await self._renew()
        await self._settle()
        await self._read_back()

    async def _read_doubtful(self) -> None:
        doubtful = [watch for watch in self.watches if watch.must_be_read]
        asked = time.monotonic()
        answers = await self._read(doubtful, with_history=True)
        await asyncio.sleep(GRACE_S if doubtful else 0)
        for watch, answer in answers:
            watch.polled(answer, asked)

    async def _read(self, watches: Sequence[Watch], *, with_history: bool) -> Answers:
        names = [watch.subscription.attribute_name for watch in watches]
        if not names:
            return []
        answers = await in_vigil_thread(self._lookout.read, names, with_history)
        return [(watch, answers[name]) for watch, name in zip(watches, names, strict=True)]

    async def _renew(self) -> None:
        lapsed = [watch for watch in self.watches if watch.must_be_renewed]
        if not lapsed:
            return
        if self._dropping is not None:
            await asyncio.shield(self._dropping)
            self._dropping = None
        lapsed = lapsed[:RENEWED_AT_ONCE]
        answers = await in_vigil_thread(take_up, [watch.subscription for watch in lapsed])
        # Unless the server was restarted once more meanwhile.
        if self._dropping is None:
            for watch, refused in zip(lapsed, answers, strict=True):
                watch.renewed(refused)

    async def _settle(self) -> None:
        now = time.monotonic()
        if any(watch.must_be_counted for watch in self.watches) or (
            now - self._counted_at > COUNT_S and any(watch.may_be_counted for watch in self.watches)
        ):
            self._counted_at = now
            await self._count(self.watches)
        for watch in self.watches:
            watch.settle()

    async def _count(self, watches: Sequence[Watch]) -> None:
        if not watches:
            return
        before = [watch.tally.came for watch in watches]
        pushed = await in_vigil_thread(self._lookout.pushed_events)
        await asyncio.sleep(GRACE_S)
        for watch, came in zip(watches, before, strict=True):
            # Behind an exchange that holds up Tango's thread there are more on their way.
            count = None if watch.is_held_up() else pushed.get(watch.key)
            watch.tally.look(count, came, watch.tally.came)

    async def _read_back(self) -> None:
        """Read what is quiet; a change that no event told, a moment later still, is suspect."""
        now = time.monotonic()
        if now - self._read_back_at < READ_BACK_S:
            return
        self._read_back_at = now
        silent = [watch for watch in self.watches if watch.is_silent(now - READ_BACK_S)]
        await self._count(silent)
        quiet = [watch for watch in silent if watch.compares]
        answers = await self._read(quiet, with_history=False)
        changed = {
            watch: answer
            for watch, answer in answers
            if isinstance(answer, Polled) and watch.differs(answer)
        }
        for watch in silent:
            if watch not in changed:
                watch.audit()
        if not changed:
            return
        await asyncio.sleep(QUIET_S)
        await self._count(tuple(changed))
        for watch, answer in changed.items():
            if watch.differs(answer):
                name = watch.subscription.attribute_name
                watch.suspect(answer, await in_vigil_thread(self._lookout.least_change, name))
