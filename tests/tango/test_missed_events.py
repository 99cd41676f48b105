"""What Tango's own buffers drop is in the ledger, to the event."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import tango

from tests.tango.ticking import Ticking

PUSHED = 2_000
Told = dict[str, Any]


async def an_event_follows(proxy: tango.DeviceProxy, client: asyncio.Task[Told]) -> None:
    await asyncio.sleep(0.5)
    await asyncio.to_thread(proxy.Burst, 1)
    await client


async def no_event_follows(_: tango.DeviceProxy, client: asyncio.Task[Told]) -> None:
    await client


async def events_follow_without_a_pause(
    proxy: tango.DeviceProxy, client: asyncio.Task[Told]
) -> None:
    while not client.done():
        await asyncio.to_thread(proxy.Burst, 20)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("afterwards", "last"),
    [
        (an_event_follows, PUSHED + 1),
        (no_event_follows, PUSHED),
        (events_follow_without_a_pause, PUSHED + 1),
    ],
)
async def test_the_ledger_counts_what_is_lost_beyond_the_high_water_marks(
    tmp_path: Path,
    afterwards: Callable[[tango.DeviceProxy, asyncio.Task[Told]], Awaitable[None]],
    last: int,
) -> None:
    """The last event of all may be lost too: then its value is read, and not missing."""
    server = Ticking(tmp_path / "ticks", tick_s=0.0, TANGO_DS_EVENT_BUFFER_HWM="100")
    server.start()
    go_on = tmp_path / "go on"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tango.slow_client", server.trl(), str(go_on), str(last),
        env={**os.environ, "TANGO_EVENT_BUFFER_HWM": "100"},
        stdout=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(90):
            assert await process.stdout.readline() == b"started\n"
            proxy = server.proxy()
            proxy.set_timeout_millis(20_000)
            # Two bursts: Tango counts from its first event on.
            await asyncio.to_thread(proxy.Burst, 5)
            await asyncio.sleep(0.5)
            await asyncio.to_thread(proxy.Burst, PUSHED - 5)
            go_on.touch()
            client = asyncio.create_task(_told(process.stdout))
            await afterwards(proxy, client)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        server.stop()
    told = client.result()
    events = [value for value in told["values"] if value]
    assert events == sorted(set(events))
    lost = int(events[-1]) - len(events)
    assert lost > PUSHED // 4
    assert {(gap["reason"], gap["is_exact"]) for gap in told["gaps"]} == {("events missed", True)}
    assert sum(gap["records"] for gap in told["gaps"]) == lost


async def _told(output: asyncio.StreamReader) -> Told:
    told: Told = json.loads(await output.readline())
    return told
