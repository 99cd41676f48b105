"""A configuration source that tells what a test says."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import attrs

from queueconnector_core.config.protocol import ConfigEvent, ConfigReport, ConfigUpdate
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.states import State


@attrs.frozen(kw_only=True)
class ScriptDescriptor(ConfigSourceDescriptor):
    """A source that tells what a test says."""


class Script:
    """A configuration source that tells what a test says, and keeps what is reported."""

    def __init__(self) -> None:
        self.host = ""
        self.reports: list[ConfigReport] = []
        self.follows = 0
        self.stops = 0
        self.answers: deque[Exception] = deque()
        """What the next calls of `report` raise."""
        self.gate = asyncio.Event()
        """Calls of `report` wait for it."""
        self.gate.set()
        self._events: asyncio.Queue[ConfigEvent | Exception | None] = asyncio.Queue()
        self._version = 0

    async def follow(self) -> AsyncIterator[ConfigEvent]:
        self.follows += 1
        while (event := await self._events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    async def report(self, report: ConfigReport) -> None:
        await self.gate.wait()
        if self.answers:
            raise self.answers.popleft()
        self.reports.append(report)

    async def stop(self) -> None:
        self.stops += 1

    def tell(self, *events: ConfigEvent | Exception | None) -> None:
        """All are told in one turn of the loop; None ends the source."""
        for event in events:
            self._events.put_nowait(event)

    def put(self, key: str | None, text: str | None, **options: Any) -> ConfigUpdate:
        """A new text, or None: gone."""
        self._version += 1
        return ConfigUpdate(key, text, options.pop("version", f"v{self._version}"), **options)

    def sets(self, key: str | None, text: str | None, **options: Any) -> None:
        """Tell a new text."""
        self.tell(self.put(key, text, **options))

    def told(self, key: str | None) -> list[State | None]:
        """The states that were reported of a document."""
        return [report.state for report in self.reports if report.key == key]

    def last(self, key: str | None) -> ConfigReport:
        return [report for report in self.reports if report.key == key][-1]
