"""A plugin as a third party makes it: a configuration source that follows one text file.

While the file that `TOLD_SOURCE_WAITS` names exists, the plugin does not finish loading, as one on
a slow disk: the device stays in INIT.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import attrs

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigEvent,
    ConfigReport,
    ConfigUpdate,
    Synced,
)
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.hookspecs import hookimpl


@attrs.frozen(kw_only=True)
class ToldConfigSourceDescriptor(ConfigSourceDescriptor):
    """The text of a file is the only document."""

    path: str


class ToldConfigSource:
    def __init__(self, descriptor: ToldConfigSourceDescriptor, _: ConfigContext) -> None:
        self._path = Path(descriptor.path)

    async def follow(self) -> AsyncIterator[ConfigEvent]:
        known: str | None = None
        yield Synced()
        while True:
            text = self._path.read_text() if self._path.exists() else None
            if text != known:
                known = text
                yield ConfigUpdate(None, text, str(time.time_ns()))
            await asyncio.sleep(0.02)

    async def report(self, report: ConfigReport) -> None:
        """Nobody reads it."""

    async def stop(self) -> None:
        """Nothing is open."""


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    waits = Path(os.environ.get("TOLD_SOURCE_WAITS", "/nonexistent"))
    while waits.exists():
        time.sleep(0.01)
    return [
        ComponentType(
            "ToldConfigSource",
            ComponentKind.CONFIG_SOURCE,
            ToldConfigSource,
            ToldConfigSourceDescriptor,
        )
    ]
