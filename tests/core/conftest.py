"""Guards around every asynchronous test of core: no task is left, nothing blocks the loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest
import stamina
from blockbuster import blockbuster_ctx

from tests.core.doubles import other_tasks


@pytest.fixture
async def no_task_is_left() -> AsyncIterator[None]:
    yield
    await asyncio.sleep(0)
    left = other_tasks()
    assert not left, f"tasks left: {left}"


@pytest.fixture(autouse=True)
def guarded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Retries do not wait; the rest only where there is a loop to guard."""
    if not inspect.iscoroutinefunction(request.function):
        with stamina.set_testing(True, attempts=1_000_000):
            yield
        return
    request.getfixturevalue("no_task_is_left")
    with stamina.set_testing(True, attempts=1_000_000), blockbuster_ctx("queueconnector_core"):
        yield
