"""Tells a sink of every gap as soon as its end is known."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RetryableError
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
        self._telling: Gap | None = None
        """What is being told; the next start goes on with it."""
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
        """Write what is left and disconnect; each step has `timeout_s` seconds."""
        if self._writing is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            logger.warning("%s: %d gaps were not told", self._exchange, self._untold)
        writing, self._writing = self._writing, None
        writing.cancel()
        # The sink may not even heed a cancellation.
        await asyncio.wait((writing,), timeout=timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(stopping := asyncio.create_task(self._sink.stop()))
        except Exception as error:  # noqa: BLE001 - trouble with it is not the exchange's
            stopping.cancel()
            logger.error("%s: the sink of gaps failed to stop: %r", self._exchange, error)  # noqa: TRY400

    @property
    def _untold(self) -> int:
        return len(self._waiting) + (self._telling is not None)

    def _put(self, gap: Gap) -> None:
        logger.warning("%s: %s", self._exchange, gap)
        self._waiting.append(gap)
        self._idle.clear()
        self._news.set()

    async def _write(self) -> None:
        connected = False
        # A sink may have swallowed the cancellation by `stop`.
        while self._writing is asyncio.current_task():
            if self._telling is None and not self._waiting:
                self._idle.set()
                self._news.clear()
                await self._news.wait()
            # Not left in the queue meanwhile: a full one drops its first.
            self._telling = self._telling or self._waiting.popleft()
            try:
                if not connected:
                    await self._sink.start()
                    connected = True
                await self._sink.write(self._batch(self._telling))
            except RetryableError:
                await asyncio.sleep(LONGEST_WAIT_S)
                continue
            except Exception as error:  # noqa: BLE001 - also a defect of it is no reason to end
                logger.error("%s: a gap could not be told: %r", self._exchange, error)  # noqa: TRY400
            self._telling = None

    def _batch(self, gap: Gap) -> Batch:
        told = {"exchange": self._exchange, **gap.as_json()}
        return Batch([told], [Metadata(gap.to_ns, TimestampOrigin.ARRIVAL, source=gap.source)])
