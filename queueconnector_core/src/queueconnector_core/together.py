"""Does several things at once, all or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

from queueconnector_core.errors import FatalError

__all__ = ("together", "to_its_end")


async def together(actions: Iterable[Callable[[], Coroutine[None, None, None]]]) -> None:
    """Do all at once; the first error cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for action in actions:
                tasks.create_task(to_its_end(action))
    except BaseExceptionGroup as group:
        raise _first_leaf(group) from None


async def to_its_end(action: Callable[[], Coroutine[None, None, None]]) -> None:
    """A cancellation that nobody asked for is a defect of a component, and no end of a stream."""
    try:
        await action()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise FatalError("a component was cancelled from within") from None


def _first_leaf(error: BaseException) -> BaseException:
    """The first real error of a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
