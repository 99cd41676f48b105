"""Connecting and disconnecting, where aiokafka is hard to interrupt and sparing with reasons."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine
from typing import Any, Final

from queueconnector_core.errors import RetryableError
from queueconnector_kafka.descriptors import TopicOptions

__all__ = ("closed", "reach", "undisturbed")

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 3.0
CLOSE_TIMEOUT_S: Final = 5.0


async def reach(options: TopicOptions) -> None:
    """Raise `RetryableError`, with the reason of each, when no server accepts a connection.

    aiokafka would log the reasons as errors at each try, and raise without them.
    """
    reasons = await asyncio.gather(*map(_refusal, options.bootstrap))
    if all(reasons):
        told = "; ".join(map(": ".join, zip(options.bootstrap, reasons, strict=True)))
        raise RetryableError(f"no Kafka broker answers at {told}")


async def _refusal(server: str) -> str:
    """Why `server` accepts no connection; empty when it does."""
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except TimeoutError:
        return f"no connection within {CONNECT_TIMEOUT_S:g} s"
    except OSError as error:
        # asyncio's own text repeats the address; that of a name that is not known has a code < 0.
        known = error.errno is not None and error.errno > 0
        return os.strerror(error.errno or 0) if known else error.strerror or str(error)
    writer.close()
    return ""


async def undisturbed(connecting: Coroutine[Any, Any, None]) -> None:
    """Await it; if cancelled, let it end first, for a second: broken off it leaves sockets open."""
    task = asyncio.ensure_future(connecting)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def closed(
    closing: Coroutine[Any, Any, None], what: str, limit_s: float = CLOSE_TIMEOUT_S
) -> None:
    """Await the end of a client in a bounded time, whatever becomes of it."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait({task}, timeout=limit_s)
    finally:
        if not task.done():
            logger.warning("%s could not be closed in order within %g s", what, limit_s)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
