"""What Tango's own buffers drop is in the ledger; a count that is marked exact is exact."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.tango.ticking import Ticking

PUSHED = 5_000


async def test_events_beyond_the_high_water_marks_are_one_entry_and_what_is_exact_is_right(
    tmp_path: Path,
) -> None:
    """Exact needs a quiet moment to count in, which a busy machine may not have: then the entry
    says that it is an estimate."""
    gap, lost = await missed(tmp_path)
    assert lost > PUSHED // 4
    assert gap["reason"] == "events missed"
    assert (gap["records"], gap["is_exact"]) == (lost, True)


async def missed(tmp_path: Path) -> tuple[dict[str, Any], int]:
    """The one gap that the ledger has, and how many events did not come."""
    server = Ticking(tmp_path / "ticks", tick_s=0.0, TANGO_DS_EVENT_BUFFER_HWM="100")
    server.start()
    stop = tmp_path / "stop"
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tango.slow_client", server.trl(), str(stop),
        env={**os.environ, "TANGO_EVENT_BUFFER_HWM": "100"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert client.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert await client.stdout.readline() == b"started\n"
            proxy = server.proxy()
            proxy.set_timeout_millis(20_000)
            # Two bursts: Tango counts from its first event on.
            await asyncio.to_thread(proxy.Burst, 5)
            await asyncio.sleep(1.0)
            await asyncio.to_thread(proxy.Burst, PUSHED)
            stop.touch()
            assert await client.stdout.readline() == b"reading\n"
            await asyncio.sleep(1.0)
            await asyncio.to_thread(proxy.Burst, 1)
            told = json.loads(await client.stdout.readline())
            await client.wait()
    finally:
        if client.returncode is None:
            client.kill()
        server.stop()
    (gap,) = told["gaps"]
    events = [value for value in told["values"] if value]
    assert events == sorted(set(events))
    assert events[-1] == PUSHED + 6
    return gap, PUSHED + 6 - len(events)
