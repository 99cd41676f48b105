"""Tells other programs what a run does: metrics, and a report in a file."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from queueconnector_core.connector import Connector
from queueconnector_core.errors import ConfigError
from queueconnector_core.provenance import time_text
from queueconnector_core.report import Report

if TYPE_CHECKING:
    from queueconnector_core.metrics import Metrics

__all__ = ("Watch", "served")

EVERY_S = 1.0


def served(host: str, port: int) -> Metrics:
    """Metrics that are served there; raises `ConfigError`, also when the extra is missing."""
    try:
        from queueconnector_core.metrics import Metrics
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("prometheus_client"):
            raise
        text = "metrics need: pip install 'queueconnector-core[metrics]'"
        raise ConfigError.at("--metrics-port", text) from None
    metrics = Metrics()
    found = metrics.serve(host, port)
    print(f"queueconnector: metrics at http://{host}:{found}/metrics", file=sys.stderr)
    return metrics


class Watch:
    """An asynchronous context manager that reports every second while its body runs, and last."""

    def __init__(self, connector: Connector, metrics: Metrics | None, report: Path | None) -> None:
        self._connector = connector
        self._metrics = metrics
        self._path = report
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Report once; raises `ConfigError` when the file cannot be written."""
        try:
            await self._tell()
        except OSError as error:
            raise ConfigError.at("--report", f"cannot write: {error}") from None
        self._task = asyncio.create_task(self._tell_for_ever())
        return self

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
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)

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
        statistics = self._connector.statistics()
        if self._metrics is not None:
            self._metrics.update(statistics)
        if self._path is not None:
            told = {"exchanges": statistics, "gaps": self._connector.gaps()}
            await asyncio.to_thread(_write, self._path, told)


def _write(path: Path, told: Report) -> None:
    """Replace the file at once, so that nobody reads half of it."""
    document = {"time": time_text(time.time_ns()), **told}
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    unfinished.replace(path)
