"""One of several sinks that stand in for each other: it can be written, is away, or is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from queueconnector_core.errors import FatalError, RecordError, RecordErrors, RetryableError
from queueconnector_core.outage import LONGEST_WAIT_S
from queueconnector_core.protocols import Sink
from queueconnector_core.record import Batch

__all__ = ("Reserve",)

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 0.1


class Reserve:
    """A sink that is given up for a while when it fails for longer than `patience_s`.

    While it is away, a task stops and starts it until that works.
    """

    def __init__(self, name: str, sink: Sink, patience_s: float) -> None:
        self.name = name
        self.sink = sink
        self.is_ready = False
        self.is_lost = False
        """It has given up, and is not tried again before the next start."""
        self.reason = ""
        """What it fails with; empty while all is well."""
        self._patience_s = patience_s
        self._returning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it; one that does not start in time is tried on in the background."""
        if self.is_ready or self._returning is not None:
            return
        self.is_lost = False
        self.is_ready = await self._patiently(self.sink.start)

    async def write(self, batch: Batch) -> dict[int, RecordError] | None:
        """Write a batch; the records that it refused, or None: it did not take the batch."""
        refused: dict[int, RecordError] = {}

        async def write() -> None:
            try:
                await self.sink.write(batch)
            except RecordErrors as errors:
                refused.update(errors.failures)

        return refused if await self._patiently(write) else None

    async def give_up(self) -> None:
        """Try no longer to start it."""
        self.is_ready, self.reason = False, ""
        returning, self._returning = self._returning, None
        if returning is not None:
            returning.cancel()
            await asyncio.wait((returning,))

    async def _patiently(self, action: Callable[[], Awaitable[None]]) -> bool:
        """Whether it worked within the time allowed."""
        try:
            async with asyncio.timeout(self._patience_s) as limit:
                await self._until_it_works(action)
        except TimeoutError:
            if not limit.expired():
                raise
            self.reason = self.reason or f"no answer for {self._patience_s:g} s"
            self._leave()
        except FatalError as error:
            self._lose(error)
        else:
            self.reason = ""
            return True
        return False

    async def _until_it_works(self, action: Callable[[], Awaitable[None]]) -> None:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await action()
            except RetryableError as error:
                self.reason = str(error)
                await asyncio.sleep(wait_s if error.retry_after_s is None else error.retry_after_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _leave(self) -> None:
        logger.warning("%s is away, the next sink is used: %s", self.name, self.reason)
        self.is_ready = False
        self._returning = asyncio.create_task(self._return(), name=f"{self.name} returning")

    def _lose(self, error: Exception) -> None:
        logger.error("%s has given up, the next sink is used: %s", self.name, error)
        self.is_ready, self.is_lost, self.reason = False, True, str(error)

    async def _return(self) -> None:
        async def start() -> None:
            await self.sink.stop()
            await self.sink.start()

        try:
            await self._until_it_works(start)
        except Exception as error:  # noqa: BLE001 - a defect of it is no reason for the others to end
            self._lose(error)
        else:
            logger.warning("%s is back and is used again", self.name)
            self.is_ready, self.reason = True, ""
        self._returning = None
