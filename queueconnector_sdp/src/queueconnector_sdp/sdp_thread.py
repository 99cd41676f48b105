"""The thread in which ska-sdp-config is used: it blocks, and may raise anything."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from queueconnector_core.config.protocol import ConfigReport
from queueconnector_sdp.sdp_raw import RawAccess, Statement

__all__ = ("Found", "Job", "SdpThread", "is_denial")

logger = logging.getLogger(__name__)

WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 5.0


@attrs.frozen
class Found:
    """What the thread has read: the texts by name, or why it could not."""

    documents: Mapping[str | None, str] = attrs.field(factory=dict)
    may_be_reset: bool = False
    """Whether what is missing may have been lost with the whole database, not deleted."""
    failure: str | None = None


@attrs.frozen(eq=False)
class Job:
    """A report to be written; `expected` is the text that it is about, None: it is gone."""

    report: ConfigReport
    expected: str | None
    done: Callable[[BaseException | None], None]
    """Called in the thread, once, with what went wrong."""


def is_denial(error: BaseException) -> bool:
    """Whether the database does not allow it; the library has no class of its own for that."""
    return "permission denied" in str(error).lower()


class _LeaseLost(Exception):  # noqa: N818 - a signal within this module
    """The states that were written are no longer there."""


class SdpThread:
    """Reads documents and writes reports, one after the other, until it is stopped.

    `connect` makes a `Config`; `found` and `ended` are called in the thread.
    """

    def __init__(
        self,
        access: RawAccess,
        poll_s: float,
        *,
        connect: Callable[[], Any],
        found: Callable[[Found], None],
        ended: Callable[[], None],
    ) -> None:
        self._access = access
        self._poll_s = poll_s
        self._connect = connect
        self._found = found
        self._ended = ended
        self._stopping = threading.Event()
        self._watcher: Any = None
        self._lock = threading.Lock()
        self._jobs: dict[str | None, Job] = {}
        self._states: dict[str | None, Statement] = {}
        self._documents: Mapping[str | None, str] = {}
        self._revision = 0
        self._had_trouble = False
        self._wait_s = WAIT_S
        self._thread = threading.Thread(target=self._run, name="ska-sdp-config", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def put(self, job: Job) -> Job | None:
        """Write a report soon; returns the one of the same document that it replaces."""
        with self._lock:
            before = self._jobs.pop(job.report.key, None)
            self._jobs[job.report.key] = job
        self._wake()
        return before

    def drop(self, job: Job) -> None:
        """Do not write a report, if that has not begun."""
        with self._lock:
            if self._jobs.get(job.report.key) is job:
                del self._jobs[job.report.key]

    def stop(self) -> None:
        """End soon; `ended` is called then."""
        self._stopping.set()
        self._wake()

    def join(self) -> None:
        """Wait for its very end, which comes at once after `ended`."""
        self._thread.join(1.0)

    def _wake(self) -> None:
        watcher = self._watcher
        if watcher is not None:
            try:
                watcher.trigger()
            except Exception as error:  # noqa: BLE001 - the library may raise anything
                logger.debug("the watcher was not woken: %r", error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve_one_config()
            except _LeaseLost as lost:
                logger.info("%s; connecting anew", lost)
            except BaseException as error:  # noqa: BLE001 - the library may raise anything
                logger.info("ska-sdp-config failed: %r; connecting anew", error)
                self._found(Found(failure=f"{type(error).__name__}: {error}"))
                self._give_up_jobs(error)
                self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)
            self._had_trouble = True
            self._stopping.wait(self._wait_s)
        self._give_up_jobs(RuntimeError("it was stopped"))
        self._ended()

    def _give_up_jobs(self, error: BaseException) -> None:
        with self._lock:
            jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            job.done(error)

    def _serve_one_config(self) -> None:
        config = self._connect()
        try:
            self._rewrite_states(config)
            for watcher in config.watcher(timeout=self._poll_s):
                self._watcher = watcher
                if self._stopping.is_set():
                    return
                self._read(config, watcher)
                self._do_jobs(config)
                self._check_states(config)
                if self._stopping.is_set():
                    return
        finally:
            self._watcher = None
            try:
                config.close()
            except Exception as error:  # noqa: BLE001 - as above
                logger.debug("closing ska-sdp-config: %r", error)

    def _read(self, config: Any, watcher: Any) -> None:
        """Read within the watcher's transaction, so that it wakes when any of that changes."""
        documents: dict[str | None, str] = {}
        raw: Any = None
        for txn in watcher.txn():
            raw = txn.raw
            documents = self._access.documents(raw)
        revision = self._access.revision(raw)
        gone = [name for name in self._documents if name not in documents]
        may_be_reset = (
            self._had_trouble
            or 0 < revision < self._revision
            or any(self._state_is_gone(config, name) for name in gone)
        )
        self._documents, self._revision = documents, revision
        self._had_trouble, self._wait_s = False, WAIT_S
        self._found(Found(documents, may_be_reset))

    def _state_is_gone(self, config: Any, name: str | None) -> bool:
        """Whether a state that we wrote vanished as well: nobody but us deletes one."""
        return name in self._states and not self._access.has_state(config, name)

    def _rewrite_states(self, config: Any) -> None:
        """The states of a former connection went with its lease."""
        for statement in self._states.values():
            self._access.write(config, statement)

    def _check_states(self, config: Any) -> None:
        for name in self._states:
            if name in self._documents and self._state_is_gone(config, name):
                raise _LeaseLost(f"the state of document {name!r} has vanished")

    def _do_jobs(self, config: Any) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    return
                job = self._jobs.pop(next(iter(self._jobs)))
            try:
                self._do(config, job)
            except Exception as error:
                job.done(error)
                if not is_denial(error):
                    raise
            else:
                job.done(None)

    def _do(self, config: Any, job: Job) -> None:
        report, state = job.report, job.report.state
        if state is None:
            self._states.pop(report.key, None)
            if job.expected is None:
                self._access.remove(config, report.key)
        elif job.expected is not None:
            statement = Statement(report, state, job.expected)
            self._access.write(config, statement)
            self._states[report.key] = statement
