"""FastStream copies a topic; `faststream_copy.py single|batch BOOTSTRAP SOURCE SINK`."""

from __future__ import annotations

import asyncio
import logging
import sys

from faststream import FastStream
from faststream.kafka import KafkaBroker

MAX_RECORDS = 500
MAX_BYTES = 1024 * 1024

mode, bootstrap, source, sink = sys.argv[1:]
broker = KafkaBroker(bootstrap, logger=None, max_batch_size=MAX_BYTES)

if mode == "single":

    @broker.subscriber(source, auto_offset_reset="earliest")
    @broker.publisher(sink)
    async def copy(value: bytes) -> bytes:
        """One record."""
        return value

else:

    @broker.subscriber(source, batch=True, max_records=MAX_RECORDS, auto_offset_reset="earliest")
    @broker.publisher(sink, batch=True)
    async def copy_all(values: list[bytes]) -> tuple[bytes, ...]:
        """Those of one fetch."""
        return tuple(values)


logging.disable()
asyncio.run(FastStream(broker, logger=None).run())
