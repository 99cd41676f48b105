"""Connecting and disconnecting, where aiokafka is hard to interrupt and sparing with reasons."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import attrs

from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_kafka._access import Access, refusal
from queueconnector_kafka._client import translated
from queueconnector_kafka.descriptors import TopicOptions

__all__ = ("closed", "connect", "reach", "undisturbed")

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S: Final = 3.0
CLOSE_TIMEOUT_S: Final = 5.0


async def connect(
    options: TopicOptions,
    given: Access,
    doing: str,
    begin: Callable[[], Coroutine[Any, Any, None]],
    stop: Callable[[], Awaitable[None]],
) -> None:
    """Reach a server, then `begin`; whatever goes wrong, `stop` what was begun.

    `doing` begins the message. Raises `RetryableError` or `FatalError`.
    """
    try:
        await reach(options, given)
        await undisturbed(begin())
    except BaseException as error:
        await stop()
        if isinstance(error, Exception):
            raise translated(error, f"{doing} {options.where}") from None
        raise


async def reach(options: TopicOptions, given: Access) -> None:
    """Raise, with the reason of each, when no server lets this client in.

    It is a `FatalError` when all refuse it, a `RetryableError` when one may let it in later.
    aiokafka would log the reasons as errors at each try, and raise without them.
    """
    found = await asyncio.gather(*(_obstacle(server, given) for server in options.bootstrap))
    obstacles = [obstacle for obstacle in found if obstacle is not None]
    if len(obstacles) < len(found):
        return
    told = "; ".join(
        f"{server}: {obstacle.reason}"
        for server, obstacle in zip(options.bootstrap, obstacles, strict=True)
    )
    if all(obstacle.stays for obstacle in obstacles):
        raise FatalError(f"no access to {options.where}: {told}")
    raise RetryableError(f"no Kafka broker answers at {told}")


@attrs.frozen
class _Obstacle:
    """Why a server does not let this client in."""

    reason: str
    stays: bool = False
    """Whether it stays until somebody changes something."""


async def _obstacle(server: str, given: Access) -> _Obstacle | None:
    host, _, port = server.rpartition(":")
    address = host.strip("[]"), int(port)
    try:
        if given:
            refused = await refusal(*address, given)
            return _Obstacle(refused, stays=True) if refused else None
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(*address)
    except TimeoutError:
        return _Obstacle(f"no connection within {CONNECT_TIMEOUT_S:g} s")
    except OSError as error:
        # asyncio's own text repeats the address; that of a name that is not known has a code < 0.
        known = error.errno is not None and error.errno > 0
        return _Obstacle(os.strerror(error.errno or 0) if known else error.strerror or str(error))
    writer.close()
    return None


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
