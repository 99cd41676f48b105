"""Sources, pipes and sinks that do what a test tells them, and remember what was done to them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeAlias

import attrs

from queueconnector_core.errors import RecordError, RecordErrors, RetryableError
from queueconnector_core.record import Acknowledgement, Batch

Observer: TypeAlias = Callable[[], None]


class Pause:
    """A source stands still here until it is resumed or stopped."""


class FarEnd:
    """What all components have in common: whether they are connected, and how often they were."""

    def __init__(self, failures: Iterable[BaseException] = (), awaits: int = 1) -> None:
        self.starts = 0
        self.stops = 0
        self.running = False
        self.failures = deque(failures)
        """What the next calls of `start` raise, one each."""
        self.unreachable: RetryableError | None = None
        """What every call of `start` raises as long as it stands here."""
        self.awaits = awaits
        """How often each method lets others run before it does anything."""

    async def breathe(self) -> None:
        for _ in range(self.awaits):
            await asyncio.sleep(0)

    async def start(self) -> None:
        self.starts += 1
        self.running = True
        await self.breathe()
        if self.failures:
            raise self.failures.popleft()
        if self.unreachable is not None:
            raise self.unreachable

    async def stop(self) -> None:
        await self.breathe()
        self.stops += 1
        self.running = False


class ScriptedSource(FarEnd):
    """Gives batches (written as lists of values), raises errors and pauses, in this order.

    At the end of the script it ends, or waits to be stopped when `endless`. A connection that is
    opened again goes on where the script stands.
    """

    def __init__(
        self,
        *script: Batch | list[Any] | BaseException | type[Pause],
        endless: bool = False,
        failures: Iterable[BaseException] = (),
        awaits: int = 1,
        observe: Observer = lambda: None,
        replays: bool = True,
    ) -> None:
        super().__init__(failures, awaits)
        self.given: list[Any] = []
        self.replays = replays
        """Its batches carry an acknowledgement: what is not delivered it would give again."""
        self.received = 0
        self.acknowledged: list[Any] = []
        self._script = deque(script)
        self._endless = endless
        self._observe = observe
        self._stopped = asyncio.Event()
        self._resumed = asyncio.Event()

    async def start(self) -> None:
        self._stopped.clear()
        await super().start()

    async def stop(self) -> None:
        self._stopped.set()
        await super().stop()

    def resume(self) -> None:
        """Go on after the pause."""
        self._resumed.set()

    async def read(self) -> AsyncIterator[Batch]:
        while self._script and not self._stopped.is_set():
            await self.breathe()
            item = self._script.popleft()
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, type):
                await self._paused()
                continue
            batch = self._acknowledging(item)
            self.given += batch.values
            self.received += batch.source_records
            yield batch
            self._observe()
        if self._endless:
            await self._stopped.wait()

    async def _paused(self) -> None:
        waits = [asyncio.ensure_future(e.wait()) for e in (self._stopped, self._resumed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    def _acknowledging(self, item: Batch | list[Any]) -> Batch:
        batch = item if isinstance(item, Batch) else Batch(item)
        values = list(batch.values)
        if not self.replays:
            return batch
        acknowledgement = Acknowledgement(lambda: self.acknowledged.extend(values))
        return attrs.evolve(batch, values=values, acknowledgements=(acknowledgement,))


class RecordingSink(FarEnd):
    """Accepts values; `script` says what each write does instead of accepting all at once.

    An exception is raised (and the batch not accepted), a number refuses the values at multiples
    of it, None accepts. `gate`, when given, is waited for before each write.
    """

    def __init__(
        self,
        *script: BaseException | int | None,
        gate: asyncio.Event | None = None,
        failures: Iterable[BaseException] = (),
        awaits: int = 1,
        observe: Observer = lambda: None,
    ) -> None:
        super().__init__(failures, awaits)
        self.accepted: list[Any] = []
        self.refused: list[Any] = []
        self.batches: list[Batch] = []
        self.writes = 0
        self._script = deque(script)
        self._gate = gate
        self._observe = observe

    async def write(self, batch: Batch) -> None:
        assert self.running, "written before start or after stop"
        self.writes += 1
        self._observe()
        if self._gate is not None:
            await self._gate.wait()
        await self.breathe()
        step = self._script.popleft() if self._script else None
        if isinstance(step, BaseException):
            raise step
        self.batches.append(batch)
        refused = range(0, len(batch), step) if step else ()
        self.refused += [batch.values[index] for index in refused]
        self.accepted += [v for index, v in enumerate(batch.values) if index not in refused]
        if refused:
            raise RecordErrors({index: RecordError("refused") for index in refused})


class StubbornSource(ScriptedSource):
    """Does not stop, not even when it is cancelled, before it is let go."""

    def __init__(self, *script: list[Any], endless: bool = True) -> None:
        super().__init__(*script, endless=endless)
        self.let_go = asyncio.Event()

    async def stop(self) -> None:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        await super().stop()


class Mapping:
    """A pipe that applies a function to each value."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            yield batch.map(self._function)


class Halving:
    """A pipe that splits each batch in two."""

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            for part in batch.split(len(batch) // 2):
                yield part


class Window:
    """A pipe that joins so many batches into one value, the list of their values."""

    def __init__(self, size: int) -> None:
        self._size = size

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        held: list[Batch] = []
        async for batch in batches:
            held.append(batch)
            if len(held) == self._size:
                yield self._joined(held)
                held = []
        if held:
            yield self._joined(held)

    @staticmethod
    def _joined(held: Sequence[Batch]) -> Batch:
        return Batch.joined(held, [value for batch in held for value in batch.values], None)


async def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    """Let others run until `condition` holds; raises `TimeoutError` when it does not become so."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0)


async def turns(number: int) -> None:
    """Let the loop turn so many times."""
    for _ in range(number):
        await asyncio.sleep(0)


def other_tasks() -> set[asyncio.Task[Any]]:
    """All tasks of the running loop but the one that asks."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def run_alone(main: Callable[[], Awaitable[None]]) -> None:
    """Run in a loop of its own and fail when a task is left; for property tests."""

    async def guarded() -> None:
        await main()
        left = other_tasks()
        assert not left, f"tasks left: {left}"

    asyncio.run(guarded())
