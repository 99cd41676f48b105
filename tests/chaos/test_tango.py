"""A source device that is killed again and again: soon heard again, and no loss is silent."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tango.conftest import Reader, build
from tests.tango.ticking import Ticking, lost_in_silence

if TYPE_CHECKING:
    from queueconnector_core.gaps import Gap

RESTARTS = 2
LONG_RESTARTS = 20
RETURN_S = 1.0
AWAY_S = (0.0, 0.1, 0.5, 2.0)


@pytest.mark.timeout(300)
async def test_no_event_of_a_killed_device_is_lost_in_silence(
    tmp_path: Path, is_long: bool, tell: Callable[..., None]
) -> None:
    restarts = LONG_RESTARTS if is_long else RESTARTS
    delays: list[float] = []
    with Ticking(tmp_path / "ticks") as server:
        source: Any = build(server.options(), "int64", [])
        reader = Reader(source)
        await reader.start()
        try:
            for _ in range(restarts):
                heard = len(reader.values)
                await reader.wait_for(lambda heard=heard: len(reader.values) > heard + 50)  # type: ignore[misc]
                delays.append(await _restart(server, reader))
                await reader.wait_for(lambda: all(gap.to_ns for gap in source._gaps))
            heard = len(reader.values)
            await reader.wait_for(lambda: len(reader.values) > heard + 50)
            pushed = server.pushed[:-25]
        finally:
            await reader.stop()
    gaps: list[Gap] = list(source._gaps)
    silent = lost_in_silence(pushed, reader.records, gaps)
    tell(
        restarts=restarts,
        events=len(pushed),
        entries=len(gaps),
        lost_in_silence=len(silent),
        longest_until_heard_ms=max(delays) * 1e3,
    )
    assert silent == []
    assert len(gaps) == restarts
    assert max(delays) < RETURN_S
    assert reader.values == sorted(set(reader.values))


async def _restart(server: Ticking, reader: Reader) -> float:
    """Kill it and start it again: the seconds from its return to the first value."""
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(random.choice(AWAY_S))  # noqa: S311
    await asyncio.to_thread(server.start)
    returned_us = time.time_ns() // 1_000
    begun = time.monotonic()
    await reader.wait_for(lambda: reader.values[-1] > returned_us)
    return time.monotonic() - begun
