"""Keeps the documents of one configuration source up to date, and its reports."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Protocol

import attrs

from queueconnector_core.config.protocol import (
    ConfigEvent,
    ConfigReport,
    ConfigSource,
    ConfigUpdate,
    Unavailable,
)
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.document import Document
from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_core.merge import close

__all__ = ("Documents", "Follower")

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 5.0
"""The wait before a report is tried again grows from 0.1 s to this."""


class Documents(Protocol):
    """What a follower needs of the connector."""

    def make_document(self, key: str | None, source: str) -> Document:
        """A document without groups."""

    def changed(self) -> None:
        """Tell the host that something about the source has changed."""


class Follower:
    """Offers each update to its document, and reports how the documents fare.

    `problem` says why the source cannot be read now, and `problem_since_s` (seconds since the Unix
    epoch) since when.
    """

    def __init__(
        self,
        name: str,
        source: ConfigSource,
        descriptor: ConfigSourceDescriptor,
        connector: Documents,
    ) -> None:
        self.name = name
        self.documents: dict[str | None, Document] = {}
        self.problem: Unavailable | None = None
        self.problem_since_s = 0.0
        self.synced = asyncio.Event()
        """Set when everything that the source had at first was told."""
        self.ended = asyncio.Event()
        """Set when the source will never tell anything again."""
        self._source = source
        self._descriptor = descriptor
        self._connector = connector
        self._graces: dict[str | None, asyncio.TimerHandle] = {}
        self._reports: dict[str | None, ConfigReport] = {}
        self._last: dict[str | None, ConfigReport] = {}
        self._reports_wait = asyncio.Event()
        self._told: set[str | None] = set()
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._following = self._spawn(self._follow())
        self._spawn(self._write_reports())

    @property
    def is_refused(self) -> bool:
        """Whether somebody has to mend the source, or what it asks for."""
        return self.problem is not None and self.problem.refused

    async def close(self, *, retire: bool) -> None:
        """Stop to follow; `retire`: end what the source has configured, too."""
        self._closed = True
        self.ended.set()
        self._following.cancel()
        for grace in self._graces.values():
            grace.cancel()
        await asyncio.wait((self._following,))
        if retire and (ends := [document.retire() for document in self.documents.values()]):
            await asyncio.wait(ends)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._source.stop()

    def reset(self) -> None:
        """Follow again after a problem that ended it."""
        self.problem = None
        if self._following.done() and not self.ended.is_set():
            self._following = self._spawn(self._follow())
        self._connector.changed()

    def refresh(self, document: Document) -> None:
        """Report a document if its state or fault has changed."""
        report = document.report()
        if report != self._last.get(document.key) and not document.gone:
            self._last[document.key] = self._reports[document.key] = report
            self._reports_wait.set()

    def retry(self, changed: Document) -> None:
        """Try rejected texts again: another document may have given up what they claim."""
        for document in self.documents.values():
            rejection = document.rejection
            if rejection and rejection.text and document is not changed and not self._closed:
                self._offer(document, rejection.text, again=True)

    # -- following ----------------------------------------------------------------------------

    async def _follow(self) -> None:
        events = self._source.follow()
        self._told.clear()
        try:
            # It may look at the disk.
            await asyncio.to_thread(self._descriptor.check)
            async for event in events:
                self._take(event)
        except ConfigError as error:
            self._take(Unavailable(str(error), refused=True))
        except Exception as error:
            logger.exception("configuration source %s failed", self.name)
            text = f"{type(error).__name__}: {error}; Reset tries again"
            self._take(Unavailable(text, refused=True))
        else:
            self.ended.set()
            self._connector.changed()
        finally:
            await close(events)

    def _take(self, event: ConfigEvent) -> None:
        if isinstance(event, ConfigUpdate):
            self._update(event)
        elif isinstance(event, Unavailable):
            if self.problem is None:
                self.problem_since_s = time.time()
            if event != self.problem:
                logger.warning("configuration source %s: %s", self.name, event.reason)
            self.problem = event
        else:
            if self.problem is not None:
                logger.info("configuration source %s can be read again", self.name)
            self.problem = None
            self.synced.set()
            self._remove_untold()
        self._connector.changed()

    def _update(self, update: ConfigUpdate) -> None:
        if grace := self._graces.pop(update.key, None):
            grace.cancel()
        self._told.add(update.key)
        if update.text is not None:
            document = self.documents.get(update.key)
            if document is None:
                document = self._connector.make_document(update.key, self.name)
                self.documents[update.key] = document
            elif document.seen == update.version and not document.gone:
                return
            document.seen = update.version
            self._offer(document, update.text)
        elif update.grace_s > 0:
            logger.warning(
                "%s/%s is gone after a reset of the source; it goes on for %g s",
                self.name, update.key, update.grace_s,
            )  # fmt: skip
            loop = asyncio.get_running_loop()
            self._graces[update.key] = loop.call_later(update.grace_s, self._remove, update.key)
        else:
            self._remove(update.key)

    def _offer(self, document: Document, text: str, *, again: bool = False) -> None:
        try:
            applied = document.offer(text, document.seen, start=self._descriptor.start)
        except Exception as error:  # noqa: BLE001 - a text may do no harm, whatever stands in it
            if not again:
                document.reject(text, error)
                self._spawn(self._stop_rejected(document))
        else:
            self._spawn(self._watch(document, applied))

    async def _watch(self, document: Document, applied: asyncio.Future[None]) -> None:
        try:
            await applied
        except Exception:  # noqa: BLE001 - the document keeps and logs it
            await self._stop_rejected(document)

    async def _stop_rejected(self, document: Document) -> None:
        """Where a text cannot be used: FAULT when nothing else runs, or the policy says so."""
        rejection = document.rejection
        if self._descriptor.invalid == "keep":
            await document.settled()
            if document.is_used:
                return
        if rejection is not None and document.rejection is rejection:
            await document.fail(rejection.error)

    def _remove(self, key: str | None) -> None:
        document = self.documents.get(key)
        if document is not None and not document.gone:
            self._graces.pop(key, None)
            self._spawn(self._forget(key, document, document.retire()))

    def _remove_untold(self) -> None:
        """A source that was asked anew told everything that it has: the others are gone."""
        for key in self.documents.keys() - self._told:
            if key not in self._graces:
                self._remove(key)

    async def _forget(
        self, key: str | None, document: Document, retired: asyncio.Future[None]
    ) -> None:
        await asyncio.wait((retired,))
        if retired.exception() is not None:
            return  # it stands in FAULT, with the reason
        if document.gone and self.documents.get(key) is document:
            del self.documents[key]
            gone = attrs.evolve(document.report(), state=None, groups={}, fault=None)
            self._last.pop(key, None)
            self._reports[key] = gone
            self._reports_wait.set()
            self._connector.changed()

    # -- reports ------------------------------------------------------------------------------

    async def _write_reports(self) -> None:
        wait_s, denied = 0.1, False
        while True:
            await self._reports_wait.wait()
            self._reports_wait.clear()
            while self._reports:
                key = next(iter(self._reports))
                report = self._reports.pop(key)
                try:
                    await self._source.report(report)
                    wait_s = 0.1
                except RetryableError as error:
                    logger.debug("%s: a report has to wait: %s", self.name, error)
                    self._reports.setdefault(key, report)
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)
                except FatalError as error:
                    logger.log(
                        logging.DEBUG if denied else logging.ERROR, "%s: %s", self.name, error
                    )
                    denied = True
                except Exception:
                    logger.exception("%s: a report failed", self.name)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine, name=f"configuration source {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
