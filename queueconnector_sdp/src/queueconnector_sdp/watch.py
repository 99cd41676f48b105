"""Follows the documents of an etcd: list, watch from there on, and list again after any trouble.

Nothing that was watched before is trusted over a reconnection: the revisions may have been
compacted, the database may be another one, and a watch from a revision beyond the present one is
accepted and stays silent. The list is a few keys.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from queueconnector_core.config.protocol import ConfigEvent, Synced, Unavailable
from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_sdp._gateway import Gateway, WatchStream
from queueconnector_sdp.documents import Documents
from queueconnector_sdp.errors import CompactedError, DeniedError
from queueconnector_sdp.layout import KeyRange, Layout
from queueconnector_sdp.messages import Change, Snapshot, range_request, snapshot_of

__all__ = ("Follower", "Backoff")

logger = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 2.0
REFUSED_WAIT_S: Final = 10.0
"""Between two attempts when somebody has to mend something first."""

SETTLE_S: Final = 1.0
"""A change that the database has must arrive within this time."""


class Backoff:
    """How long to wait before the next attempt: longer after each failure."""

    def __init__(self) -> None:
        self._next_s = FIRST_WAIT_S

    def reset(self) -> None:
        """It works again."""
        self._next_s = FIRST_WAIT_S

    def after(self, error: Exception) -> float:
        """Seconds to wait; they vary, so that many clients do not come back at the same moment."""
        if isinstance(error, CompactedError):
            return 0.0
        wait_s = REFUSED_WAIT_S if isinstance(error, FatalError) else self._next_s
        self._next_s = min(self._next_s * 2, LONGEST_WAIT_S)
        return wait_s * random.uniform(0.5, 1.0)  # noqa: S311 - nothing depends on its secrecy


class Follower:
    """Tells the documents of one path."""

    def __init__(
        self, gateway: Gateway, layout: Layout, documents: Documents, audit_s: float
    ) -> None:
        self._gateway = gateway
        self._layout = layout
        self._documents = documents
        self._audit_s = audit_s
        self._ranges: tuple[KeyRange, ...] = layout.ranges
        self._backoff = Backoff()
        self._available = False
        self._told: Unavailable | None = None
        self._failures = 0

    async def follow(self) -> AsyncGenerator[ConfigEvent, None]:
        """The events of a configuration source, without end."""
        while True:
            try:
                snapshot = await self._list()
                for update in self._documents.replace(snapshot):
                    yield update
                async with self._gateway.watch(self._ranges, snapshot.revision + 1) as stream:
                    if not self._available:
                        self._recovered()
                        yield Synced()
                    self._failures = 0
                    while True:
                        for update in self._documents.apply(await self._next(stream)):
                            yield update
            except (RetryableError, FatalError) as error:
                logger.info("the configuration database is listed again: %s", error)
                outage = self._outage(error)
                wait_s = self._backoff.after(error)
            if outage is not None:
                yield outage
            await asyncio.sleep(wait_s)

    def _recovered(self) -> None:
        if self._told is not None:
            logger.warning("the configuration database answers again: %s", self._gateway.server)
        self._available, self._told = True, None

    def _outage(self, error: Exception) -> Unavailable | None:
        """What is to be told of a failure: nothing if the next attempt may well succeed.

        A stream that ended is listed again first, and an outage is told once.
        """
        self._failures += 1
        refused = isinstance(error, FatalError)
        passing = self._available and self._failures == 1 and not refused
        told_already = self._told is not None and self._told.refused == refused
        if passing or told_already or isinstance(error, CompactedError):
            return None
        self._available = False
        self._told = Unavailable(f"configuration database {error}", refused)
        logger.error("%s", self._told.reason)
        return self._told

    async def _list(self) -> Snapshot:
        """What is there now, by the first server that answers; they are asked in turn."""
        servers = self._gateway.connection.servers
        for _ in servers[1:]:
            try:
                return await self._read()
            except (RetryableError, FatalError) as error:
                logger.info("the next server is asked: %s", error)
        return await self._read()

    async def _read(self) -> Snapshot:
        """All documents at one revision.

        A role may allow the children alone; then there is nothing at the path itself for us. But
        what was once read there is not gone because it may no longer be read.
        """
        self._ranges = self._layout.ranges
        try:
            return await self._range()
        except DeniedError:
            if len(self._ranges) == 1 or self._documents.holds(self._layout.exact.key):
                raise
            self._ranges = self._ranges[:1]
            return await self._range()

    async def _range(self, keys_only: bool = False) -> Snapshot:
        request = range_request(self._ranges, keys_only)
        return snapshot_of(await self._gateway.call("kv/txn", request))

    async def _next(self, stream: WatchStream) -> Sequence[Change]:
        """The next changes; raises when the stream has ended or is found to be deaf."""
        while True:
            changes = await stream.receive(self._audit_s)
            if not changes and await self._is_behind():
                changes = await stream.receive(SETTLE_S)
                if not changes:
                    server = self._gateway.server
                    self._gateway.leave(server)
                    raise RetryableError(f"{server}: changes did not arrive")
            self._backoff.reset()
            if changes:
                return changes

    async def _is_behind(self) -> bool:
        """Ask, on another connection, whether there is something that we were not told.

        Nothing else finds soon that a server is frozen, or cut off from the others.
        """
        snapshot = await self._range(keys_only=True)
        if snapshot.revision < self._documents.revision:
            raise RetryableError(f"{self._gateway.server}: the database has lost its content")
        return self._documents.differs(snapshot)
