"""Tells a sink of every gap as soon as its end is known."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import QueueConnectorError, RetryableError
from queueconnector_core.gaps import KEPT_GAPS, Gap, GapLedger
from queueconnector_core.outage import LONGEST_WAIT_S
from queueconnector_core.protocols import Sink
from queueconnector_core.record import Batch, Metadata, TimestampOrigin

__all__ = ("GapSink", "GAP_SPEC")

logger = logging.getLogger(__name__)

GAP_SPEC = DataSpec.of("object", [])
"""What reaches the sink of gaps: an object with the fields of `Gap`, and the exchange."""


class GapSink:
    """Writes the gaps of one exchange to a sink, in the background.

    A sink that is away is tried again; what it misses stands in the ledger all the same, so that
    trouble with it never holds up the exchange.
    """

    def __init__(self, sink: Sink, ledger: GapLedger) -> None:
        self._sink = sink
        self._exchange = ""
        self._waiting: deque[Gap] = deque(maxlen=KEPT_GAPS)
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._writing: asyncio.Task[None] | None = None
        ledger.on_closed = self._put

    def start(self, exchange: str) -> None:
        """Begin to write; what came before is written first."""
        self._exchange = exchange
        self._writing = asyncio.create_task(self._write(), name=f"{exchange} gaps")

    async def stop(self, timeout_s: float) -> None:
        """Write what is left, within `timeout_s` seconds, and disconnect."""
        if self._writing is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("%s: %d gaps were not told", self._exchange, len(self._waiting))
        self._writing.cancel()
        await asyncio.wait((self._writing,))
        self._writing = None
        await self._sink.stop()

    def _put(self, gap: Gap) -> None:
        logger.warning("%s: %s", self._exchange, gap)
        self._waiting.append(gap)
        self._idle.clear()
        self._news.set()

    async def _write(self) -> None:
        connected = False
        while True:
            if not self._waiting:
                self._idle.set()
                self._news.clear()
                await self._news.wait()
            try:
                if not connected:
                    await self._sink.start()
                    connected = True
                await self._sink.write(self._batch(self._waiting[0]))
                self._waiting.popleft()
            except RetryableError:
                await asyncio.sleep(LONGEST_WAIT_S)
            except QueueConnectorError as error:
                logger.error("%s: a gap could not be told: %s", self._exchange, error)  # noqa: TRY400
                self._waiting.popleft()

    def _batch(self, gap: Gap) -> Batch:
        told = {"exchange": self._exchange, **gap.as_json()}
        return Batch([told], [Metadata(gap.to_ns, TimestampOrigin.ARRIVAL, source=gap.source)])
