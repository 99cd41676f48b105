"""The life of what is started and stopped: sources and sinks."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Protocol

import pytest

from queueconnector_core.component import ComponentType, Services
from queueconnector_core.registry import Registry
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.suite import Suite
from queueconnector_core.testing.watching import (
    LoopWatch,
    cancelled_at,
    connections,
    open_files,
    tasks,
    threads,
)

__all__ = ("EndHarness", "LifecycleSuite")

LIVES = 3
"""So many lives are led when what is left behind is counted."""


class EndHarness:
    """Base of the harnesses of sources and sinks: it touches the far end around the plugin.

    A harness is a fixture named `harness`, made anew for each test; whatever it opens it closes
    in that fixture.
    """

    services: Services = Services()
    """What the host offers to the component."""

    @property
    def descriptor(self) -> dict[str, Any]:
        """The configuration of the component, as an user writes it in JSON."""
        raise NotImplementedError

    async def interrupt(self) -> None:
        """Cut the connection once (capability `interruptible`); the far end stays."""
        raise NotImplementedError


class Startable(Protocol):
    """What sources and sinks have in common."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@pytest.mark.asyncio
class LifecycleSuite(Suite):
    """Rules 3.1 to 3.7; `LifecycleSuite` is not subclassed by authors."""

    stop_limit_s: ClassVar[float] = 5.0
    """Seconds within which `stop` must return here; the runner waits for 15 s."""
    longest_block_s: ClassVar[float] = 0.25
    """Seconds for which the event loop may stand still."""
    settled_s: ClassVar[float] = 0.3
    """What was closed is gone for the kernel a little later."""
    cancel_points: ClassVar[int] = 40
    """`start` is cancelled at each of so many awaits, as far as it has them."""

    def build(self, harness: Any, registry: Registry) -> Any:
        """A new component from the configuration of the harness."""
        raise NotImplementedError

    async def built(self, harness: Any, registry: Registry) -> Any:
        """A new component, with something for it to do where that has to be there before."""
        return self.build(harness, registry)

    async def use(self, harness: Any, component: Any) -> None:
        """Do a little with a component that was started."""
        raise NotImplementedError

    async def ended(self, component: Startable) -> None:
        """Stop it within the limit."""
        await self.in_time(component.stop(), f"stop takes longer than {self.stop_limit_s:g} s")

    async def in_time(self, action: Coroutine[Any, Any, None], otherwise: str) -> None:
        """Do something within the limit for `stop`; a task that does not end is left behind."""
        task = asyncio.create_task(action)
        await asyncio.wait((task,), timeout=self.stop_limit_s)
        if not task.done():
            task.cancel()
            pytest.fail(otherwise)
        await task

    async def _live(self, harness: Any, component: Startable) -> None:
        await component.start()
        await self.use(harness, component)
        await self.ended(component)

    @rule("3.1")
    async def test_factory_connects_nothing(self, harness: Any, registry: Registry) -> None:
        """A factory only builds: no connection, no task, no thread."""
        await self.built(harness, registry)  # whatever is imported late is imported now
        before = tasks(), threads(), open_files()
        with connections() as seen:
            component = self.build(harness, registry)
        await asyncio.sleep(0)
        after = tasks(), threads(), open_files()

        assert not seen, f"the factory connects: {seen}"
        assert after == before, "the factory starts a task or a thread, or opens something"
        del component

    @rule("3.5")
    async def test_stop_is_safe_before_start(self, harness: Any, registry: Registry) -> None:
        """`stop` before `start` does nothing, as often as it comes."""
        component = await self.built(harness, registry)
        for _ in range(2):
            await component.stop()

    @rule("3.5")
    async def test_stop_returns_in_time(self, harness: Any, registry: Registry) -> None:
        """`stop` returns soon."""
        component = await self.built(harness, registry)
        await component.start()
        await self.use(harness, component)
        await self.ended(component)

    @rule("3.5", after=("test_stop_returns_in_time",))
    async def test_stop_twice_is_stop_once(self, harness: Any, registry: Registry) -> None:
        """`stop` is idempotent."""
        component = await self.built(harness, registry)
        await self._live(harness, component)
        await self.ended(component)

    @rule("3.6", after=("test_stop_returns_in_time",))
    async def test_it_starts_again_after_stop(self, harness: Any, registry: Registry) -> None:
        """A component may be started again after `stop`."""
        component = await self.built(harness, registry)
        for _ in range(2):
            await self._live(harness, component)

    @rule("3.3", after=("test_it_starts_again_after_stop",))
    async def test_start_may_be_cancelled(self, harness: Any, registry: Registry) -> None:
        """`start` may be cancelled at any await; then `stop` is called, and it starts again."""
        component = await self.built(harness, registry)
        for point in range(self.cancel_points):
            if not await self.cancelled(component.start, point):
                break
            await self.ended(component)
        await self.ended(component)
        await self._live(harness, component)

    async def cancelled(self, action: Callable[[], Coroutine[Any, Any, None]], point: int) -> bool:
        """Cancel something at an await of its own; False: it has fewer awaits.

        Fails when the cancellation does not come out again.
        """

        async def stepped() -> bool:
            return await cancelled_at(action(), point)

        task = asyncio.create_task(stepped())
        await asyncio.wait((task,), timeout=self.timeout_s)
        if not task.done():
            pytest.fail(f"it did not end when it was cancelled at its await number {point}")
        if task.cancelled():
            return True
        reached = task.result()
        assert not reached, f"the cancellation at its await number {point} was swallowed"
        return False

    async def _settled(self, count: Callable[[], int], allowed: int = 0) -> int:
        """A count that falls by itself: once it is small enough, or does not fall any more."""
        gc.collect(1)
        fell_s = time.monotonic()
        least = count()
        while least > allowed and time.monotonic() - fell_s < self.settled_s:
            await asyncio.sleep(0.02)
            if count() < least:
                least, fell_s = count(), time.monotonic()
        return least

    async def _left(self, harness: Any, registry: Registry, count: Callable[[], int]) -> int:
        """By how much a count grows over some lives, after a first one."""
        component = await self.built(harness, registry)
        await self._live(harness, component)
        before = await self._settled(count)
        for _ in range(LIVES):
            await self._live(harness, component)
        return await self._settled(count, before) - before

    @rule("3.5", after=("test_stop_returns_in_time",))
    async def test_no_task_is_left(self, harness: Any, registry: Registry) -> None:
        """When `stop` returns, the component's own tasks have ended."""
        mine = tasks()
        component = await self.built(harness, registry)
        await component.start()
        await self.use(harness, component)
        await self.ended(component)
        # One that was cancelled needs a turn of the loop to end.
        await asyncio.sleep(0)
        left = tasks() - mine
        assert not left, f"tasks are left: {left}"

    @rule("3.5", after=("test_it_starts_again_after_stop",))
    async def test_no_thread_is_left(self, harness: Any, registry: Registry) -> None:
        """No life leaves a thread behind."""
        left = await self._left(harness, registry, lambda: len(threads()))
        assert left < LIVES, f"{LIVES} lives leave {left} threads: {threads()}"

    @rule("3.5", after=("test_it_starts_again_after_stop",))
    async def test_no_connection_is_left(self, harness: Any, registry: Registry) -> None:
        """No life leaves a file, a socket or a pipe open."""
        left = await self._left(harness, registry, open_files)
        assert left < LIVES, f"{LIVES} lives leave {left} files or sockets open"

    @rule("3.7", after=("test_it_starts_again_after_stop",))
    async def test_nothing_blocks_the_loop(
        self, harness: Any, registry: Registry, component_type: ComponentType
    ) -> None:
        """No blocking call in the event loop, and no long computation."""
        component = await self.built(harness, registry)
        await self._live(harness, component)  # whatever is imported late is imported now
        with no_blocking_calls(component_type):
            async with LoopWatch(self.longest_block_s) as watch:
                await self._live(harness, component)
        assert watch.longest_s <= self.longest_block_s, (
            f"the loop stood still for {watch.longest_s:g} s:\n{watch.where}"
        )


def no_blocking_calls(component_type: ComponentType) -> AbstractContextManager[object]:
    """Blocking calls that the package of a component makes in a loop raise `BlockingError`."""
    try:
        from blockbuster import blockbuster_ctx
    except ImportError:  # pragma: no cover - on a Python that it does not support yet
        return nullcontext()
    package = component_type.factory.__module__.partition(".")[0]
    return blockbuster_ctx(package)
