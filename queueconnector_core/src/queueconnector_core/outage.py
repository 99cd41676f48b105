"""Waits for a far end that is away: tries again, shows it, and gives up after a limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

import stamina

from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.stats import Statistics

__all__ = ("retrying", "LONGEST_WAIT_S")

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 5.0
"""The wait between two tries to reach a far end grows from 0.1 s to this."""


async def retrying(
    component: object,
    action: Callable[[], Awaitable[None]],
    *,
    name: str,
    statistics: Statistics,
    limit_s: Callable[[], float | None],
    failed: RetryableError | None = None,
) -> None:
    """Do it until it works or fails for good; the exchange `name` is degraded meanwhile.

    `failed` is how a first try has ended already: the next one waits as after any other. `limit_s`
    is asked after each failure. Raises `FatalError` when the far end of `component` is away for
    longer than that.
    """
    if failed is None:
        try:
            await action()
        except RetryableError as error:
            failed = error
        else:
            statistics.recovered(component)
            return
    outage = _Outage()

    def waiting(error: Exception) -> bool | float:
        """Whether to try again, and after how many seconds if the far end said so."""
        if not isinstance(error, RetryableError):
            return False
        if statistics.degraded is None:
            logger.warning("%s: %s; trying again", name, error)
        statistics.waiting(component, str(error))
        outage.goes_on(error, limit_s())
        return True if error.retry_after_s is None else error.retry_after_s

    async with outage:
        async for attempt in stamina.retry_context(
            waiting, attempts=None, timeout=None, wait_max=LONGEST_WAIT_S
        ):
            with attempt:
                if attempt.num == 1:
                    raise failed
                await action()
    statistics.recovered(component)


class _Outage:
    """Bounds how long a far end may be away, from the first failure; by a clock that never jumps.

    Raises `FatalError` when it was away for longer.
    """

    def __init__(self) -> None:
        self._timeout = asyncio.timeout(None)
        self._began_s: float | None = None
        self._told = ""

    def goes_on(self, error: RetryableError, limit_s: float | None) -> None:
        """One more try has failed."""
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s
        if limit_s is None:
            self._timeout.reschedule(None)
        else:
            self._told = f"{error}; away for more than outage_limit_s = {limit_s:g} s"
            self._timeout.reschedule(self._began_s + limit_s)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            raise FatalError(self._told) from None
