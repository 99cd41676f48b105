"""Writes states and faults to etcd: only while the document is the one that they are about."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import attrs

from queueconnector_core.config.protocol import ConfigReport
from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.states import State
from queueconnector_sdp._gateway import Gateway
from queueconnector_sdp.documents import Documents
from queueconnector_sdp.errors import DeniedError, LeaseLostError
from queueconnector_sdp.layout import KeyRange, Layout, etcd_key
from queueconnector_sdp.messages import (
    delete_request,
    modified_is,
    put_request,
    range_request,
    snapshot_of,
)
from queueconnector_sdp.reports import fault_text, state_text

__all__ = ("Writer",)

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""So often a write is tried again because somebody else has written the same state meanwhile."""


@attrs.define
class _Written:
    """The last report of a document, and the revision at which its state was written."""

    report: ConfigReport
    state: State
    revision: int = 0


class Writer:
    """Keeps a lease, and what stands under it."""

    def __init__(
        self, gateway: Gateway, layout: Layout, documents: Documents, ttl_s: int, host: str
    ) -> None:
        self._gateway = gateway
        self._layout = layout
        self._documents = documents
        self._ttl_s = ttl_s
        self._host = host
        self._lease = 0
        self._keeper: asyncio.Task[None] | None = None
        self._written: dict[str | None, _Written] = {}
        self._lock = asyncio.Lock()

    async def write(self, report: ConfigReport) -> None:
        """Write or remove the state and the fault of a document.

        Raises `RetryableError` or `FatalError`.
        """
        async with self._lock:
            try:
                if report.state is None:
                    await self._remove(report.key)
                else:
                    await self._write(report, report.state)
            except DeniedError as error:
                raise FatalError(
                    f"{error}: user {self._gateway.connection.user!r} may not write "
                    f"{self._layout.state_path(report.key)}; grant it readwrite on the prefix "
                    f"{etcd_key(self._layout.state_path(report.key)).decode()}"
                ) from None

    async def _remove(self, name: str | None) -> None:
        """The document is gone; if it is there again, what is beside it is about the new one."""
        self._written.pop(name, None)
        if self._documents.entry(name) is None:
            paths = (self._layout.state_path(name), self._layout.fault_path(name))
            deletions = [delete_request(etcd_key(path)) for path in paths]
            await self._gateway.call("kv/txn", {"success": deletions})

    async def _write(self, report: ConfigReport, state: State) -> None:
        document = self._documents.entry(report.key)
        if document is None or str(document.modified) != report.seen:
            logger.debug("a report about a former version is dropped: %s", report)
            return
        known = self._written.setdefault(report.key, _Written(report, state))
        known.report, known.state = report, state
        for _ in range(ATTEMPTS):
            try:
                if await self._attempt(document.key, known):
                    return
            except LeaseLostError:
                self._lease = 0
        raise RetryableError(f"{self._layout.state_path(report.key)}: others write it too")

    async def _attempt(self, document: bytes, known: _Written) -> bool:
        """Write once; whether there is nothing more to be done.

        The state may only be written over what we know. So a write that was given up, because its
        answer did not come in time, cannot happen after a later one.
        """
        report = known.report
        state_key = etcd_key(self._layout.state_path(report.key))
        request = {
            "compare": [
                modified_is(document, int(report.seen)),
                modified_is(state_key, known.revision),
            ],
            "success": await self._operations(state_key, known),
            "failure": range_request([KeyRange(document), KeyRange(state_key)], keys_only=True)[
                "success"
            ],
        }
        answer = await self._gateway.call("kv/txn", request)
        if answer.get("succeeded"):
            known.revision = int(answer["header"]["revision"])
            return True
        found = {entry.key: entry.modified for entry in snapshot_of(answer).entries}
        known.revision = found.get(state_key, 0)
        # Another version is on its way to us, and its reports will follow.
        return found.get(document, 0) != int(report.seen)

    async def _operations(self, state_key: bytes, known: _Written) -> list[dict[str, Any]]:
        report = known.report
        state = state_text(report, known.state, self._host).encode()
        fault_key = etcd_key(self._layout.fault_path(report.key))
        lease = await self._held_lease()
        if report.fault is None:
            fault = delete_request(fault_key)
        else:
            # Without the lease: it is there for whoever looks into the death of this program.
            fault = put_request(fault_key, fault_text(report.fault).encode())
        return [put_request(state_key, state, lease), fault]

    async def _held_lease(self) -> int:
        if not self._lease:
            answer = await self._gateway.call("lease/grant", {"TTL": str(self._ttl_s)})
            self._lease = int(answer["ID"])
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name="lease of configuration states")
        return self._lease

    async def _keep(self) -> None:
        """Prolong the lease at a third of its time; after a failure somewhat sooner."""
        wait_s = self._ttl_s / 3
        while True:
            await asyncio.sleep(wait_s)
            try:
                async with self._lock:
                    await self._prolong()
                wait_s = self._ttl_s / 3
            except RetryableError as error:
                logger.info("the lease of the states was not prolonged: %s", error)
                wait_s = min(1.0, self._ttl_s / 6)
            except FatalError as error:
                logger.warning("the lease of the states is not prolonged: %s", error)
                wait_s = float(self._ttl_s)

    async def _prolong(self) -> None:
        """Prolong the lease; if it has expired, write all states again under a new one."""
        if self._lease:
            answer = await self._gateway.call("lease/keepalive", {"ID": str(self._lease)})
            if int(answer.get("result", {}).get("TTL", 0)) > 0:
                return
        logger.info("the lease of the states has expired; they are written again")
        self._lease = 0
        for known in list(self._written.values()):
            await self._write(known.report, known.state)

    async def stop(self) -> None:
        """Give the lease back, so that the states vanish. Idempotent."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        lease, self._lease = self._lease, 0
        self._written.clear()
        if lease:
            try:
                await self._gateway.call("lease/revoke", {"ID": str(lease)})
            except (RetryableError, FatalError) as error:
                logger.info("the states vanish in %d s by themselves: %s", self._ttl_s, error)
