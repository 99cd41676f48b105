"""Follows a path of the SKA SDP configuration database by the library ska-sdp-config."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import attrs

from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigEvent,
    ConfigReport,
    ConfigUpdate,
    Synced,
    Unavailable,
)
from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_sdp.descriptors import SdpConfigSourceDescriptor
from queueconnector_sdp.layout import Layout
from queueconnector_sdp.sdp_raw import RawAccess
from queueconnector_sdp.sdp_thread import Found, Job, SdpThread, is_denial
from queueconnector_sdp.texts import readable

__all__ = ("SdpConfigSource",)

logger = logging.getLogger(__name__)

REPORT_TIMEOUT_S: Final = 10.0
STOP_TIMEOUT_S: Final = 5.0


def _connect() -> Any:
    return importlib.import_module("ska_sdp_config").Config()


def _caller() -> Callable[..., None]:
    """Calls a function in this event loop, from any thread, as long as the loop runs."""
    loop = asyncio.get_running_loop()

    def call(function: Callable[..., object], *arguments: object) -> None:
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            logger.debug("the event loop ended before the thread of ska-sdp-config")

    return call


def _settle(future: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not future.done():
        future.set_result(error)


@attrs.frozen
class _Told:
    text: str
    version: str


class SdpConfigSource:
    """A configuration source on the package `ska_sdp_config`, in a thread of its own.

    That library has no revisions to show: a version is a hash of the text, and a count. So a
    document that was deleted and made again with an equal text, unseen in between, is the same.
    """

    def __init__(
        self,
        descriptor: SdpConfigSourceDescriptor,
        context: ConfigContext,
        connect: Callable[[], Any] = _connect,
    ) -> None:
        self._descriptor = descriptor
        self._context = context
        self._connect = connect
        self._layout = Layout(descriptor)
        self._thread: SdpThread | None = None
        self._news = asyncio.Event()
        self._ended = asyncio.Event()
        self._found: Found | None = None
        self._told: dict[str | None, _Told] = {}
        self._count = 0
        self._available: bool | None = None

    async def follow(self) -> AsyncGenerator[ConfigEvent, None]:
        """The documents, `Synced`, and every change until it is closed.

        After a failure the library is closed, and connects anew, at least every five seconds.
        """
        if self._thread is None:
            self._start()
        while True:
            await self._news.wait()
            self._news.clear()
            found, self._found = self._found, None
            if found is not None:
                for event in self._events(found):
                    yield event

    def _start(self) -> None:
        call = _caller()
        self._thread = SdpThread(
            RawAccess(self._layout, self._context.host),
            self._descriptor.poll_s,
            connect=self._connect,
            found=lambda found: call(self._take, found),
            ended=lambda: call(self._ended.set),
        )
        self._thread.start()

    def _take(self, found: Found) -> None:
        """Keep the newest of what was read."""
        before = self._found
        if before is not None and found.failure is None:
            found = attrs.evolve(found, may_be_reset=found.may_be_reset or before.may_be_reset)
        self._found = found
        self._news.set()

    def _events(self, found: Found) -> list[ConfigEvent]:
        """What is to be told, deletions first: they free the names that others may need."""
        if found.failure is not None:
            return self._outage(found.failure)
        now, before = found.documents, self._told
        grace_s = self._descriptor.reset_grace_s if found.may_be_reset else 0.0
        gone = [name for name in before if name not in now]
        changed = [n for n in now if n not in before or now[n] != before[n].text]
        events: list[ConfigEvent] = [
            ConfigUpdate(name, None, self._version(""), grace_s) for name in gone
        ]
        for name in changed:
            version = self._version(now[name])
            before[name] = _Told(now[name], version)
            where = self._layout.state_path(name).rpartition("/")[0]
            text = readable(now[name].encode(errors="surrogatepass"), where)
            events.append(ConfigUpdate(name, text, version))
        for name in gone:
            del before[name]
        if self._available is not True:
            self._available = True
            events.append(Synced())
        return events

    def _outage(self, reason: str) -> list[ConfigEvent]:
        if self._available is False:
            return []
        self._available = False
        logger.error("the configuration database cannot be read: %s", reason)
        return [Unavailable(f"ska-sdp-config: {reason}")]

    def _version(self, text: str) -> str:
        self._count += 1
        digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
        return f"{digest[:12]}-{self._count}"

    async def report(self, report: ConfigReport) -> None:
        """Write state and fault beside the document, unless that has a newer version by now.

        Raises `RetryableError` while the database is away, `FatalError` when it denies the write.
        """
        if self._available is False:
            raise RetryableError("ska-sdp-config is not connected")
        told = self._told.get(report.key)
        is_gone = report.state is None
        if self._thread is None or (told is not None and is_gone):
            return
        if not is_gone and (told is None or told.version != report.seen):
            logger.debug("a report about a former version is dropped: %s", report)
            return
        written: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        call = _caller()
        text = None if told is None else told.text
        job = Job(report, text, lambda error: call(_settle, written, error))
        replaced = self._thread.put(job)
        if replaced is not None:
            replaced.done(None)
        await self._outcome(job, written)

    async def _outcome(self, job: Job, written: asyncio.Future[BaseException | None]) -> None:
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                error = await written
        except TimeoutError:
            raise RetryableError(
                f"ska-sdp-config did not write a report within {REPORT_TIMEOUT_S:g} s"
            ) from None
        finally:
            if self._thread is not None:
                self._thread.drop(job)
        if error is not None and is_denial(error):
            raise FatalError(f"ska-sdp-config: {error}")
        if error is not None:
            raise RetryableError(f"ska-sdp-config: {type(error).__name__}: {error}")

    async def stop(self) -> None:
        """Close the library, which withdraws the states. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.stop()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._ended.wait()
            thread.join()
        except TimeoutError:
            logger.warning(
                "ska-sdp-config is still busy after %g s; its thread is left alone", STOP_TIMEOUT_S
            )
