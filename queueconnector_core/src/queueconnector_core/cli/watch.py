"""Tells others what a run does: a status page, and a report in a file."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

from queueconnector_core.connector import Connector
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.provenance import time_text
from queueconnector_core.report import Report
from queueconnector_core.web.options import WebOptions, serve

if TYPE_CHECKING:
    from queueconnector_core.web.server import WebServer

__all__ = ("Watch",)

EVERY_S = 1.0


class Watch:
    """An asynchronous context manager that reports every second while its body runs, and last."""

    def __init__(self, connector: Connector, web: WebOptions | None, report: Path | None) -> None:
        self._connector = connector
        self._web = web
        self._server: WebServer | None = None
        self._path = report
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Report once; raises `ConfigError` when the file cannot be written, or nothing served."""
        try:
            await self._tell()
        except OSError as error:
            raise ConfigError.at("--report", f"cannot write: {error}") from None
        if self._web is not None:
            self._server = await self._served(self._web)
        self._task = asyncio.create_task(self._tell_for_ever())
        return self

    async def _served(self, web: WebOptions) -> WebServer:
        try:
            server = await serve(self._connector, web)
        except ConfigError as error:
            raise ConfigError(_as_arguments(error)) from None
        print(f"queueconnector: status page at {server.address}", file=sys.stderr)
        return server

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        await self._tell_or_warn()
        if self._server is not None:
            await self._server.close()

    async def _tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self._tell_or_warn()

    async def _tell_or_warn(self) -> None:
        try:
            await self._tell()
        except OSError as error:
            print(f"queueconnector: the report cannot be written: {error}", file=sys.stderr)

    async def _tell(self) -> None:
        if self._path is not None:
            told = {"exchanges": self._connector.statistics(), "gaps": self._connector.gaps()}
            await asyncio.to_thread(_write, self._path, told)


def _as_arguments(error: ConfigError) -> Iterator[Problem]:
    """The problems at the arguments of the command line instead of at properties."""
    for problem in error.problems:
        yield attrs.evolve(problem, path=f"--{problem.path.replace('_', '-')}")


def _write(path: Path, told: Report) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    document = {"time": time_text(time.time_ns()), **told}
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    unfinished.replace(path)
