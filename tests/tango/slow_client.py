"""A process whose exchange is slow: a source with a small buffer that blocks Tango's thread.

Arguments: the device, a file that lets the exchange go on, the value that it must reach. It ends
when it has and a gap is over, and prints a JSON document: values read, gaps.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from queueconnector_tango import vigil
from tests.tango.conftest import build

vigil.READ_BACK_S = 2.0  # type: ignore[misc]


async def main(device: str, is_released: Callable[[], bool], last: float) -> None:
    options = {
        "type": "TangoSubscriptionSource",
        "device_name": device,
        "attribute_name": "array",
        "overflow": "block",
        "buffer_size": 10,
    }
    source: Any = build(options, "float64", [1000])
    await source.start()
    print("started", flush=True)
    values: list[float] = []

    async def read() -> None:
        # The first batch waits until all was pushed.
        async for batch in source.read():
            values.extend(float(value[0]) for value in batch.values)
            while not is_released():
                await asyncio.sleep(0.05)

    reading = asyncio.create_task(read())
    for _ in range(1_200):
        await asyncio.sleep(0.05)
        if any(gap.to_ns for gap in source._gaps) and values[-1] >= last:
            break
    await source.stop()
    await reading
    gaps = [gap.as_json() for gap in source._gaps]
    print(json.dumps({"values": values, "gaps": gaps}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).exists, float(sys.argv[3])))
