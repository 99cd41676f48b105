"""Doubles that only the tests of core need; the others are the conformance kit's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from queueconnector_core.record import Batch
from queueconnector_core.testing.doubles import ScriptedSource


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
