"""The source of core, and its descriptor, pass the kit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from queueconnector_core.component import ComponentKind, Guarantee
from queueconnector_core.record import Record, Value
from queueconnector_core.recording.container import RecordingWriter
from queueconnector_core.recording.entry import Entry
from queueconnector_core.testing import Capabilities, DescriptorSuite, SourceHarness, SourceSuite


class Recorded(SourceHarness):
    """A recording, written anew with each record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: list[Value] = []
        self._write()

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "ReplaySource", "path": str(self.path)}

    async def put_external(self, values: Sequence[Value]) -> None:
        self.values += values
        await asyncio.to_thread(self._write)

    async def put_unusable(self) -> None:
        await self.put_external(["no number"])

    def _write(self) -> None:
        with RecordingWriter(self.path, replace=True) as writer:
            for value in self.values:
                writer.write(Entry.of(Record(value)))


class TestReplaySource(SourceSuite):
    component = "ReplaySource"
    dtype = "int64"
    capabilities = Capabilities(
        guarantee=Guarantee.AT_MOST_ONCE, live=False, rewinds=True, ends=True, refuses=True
    )

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SourceHarness:
        return Recorded(tmp_path / "recording.avro")


class TestReplaySourceDescriptor(DescriptorSuite):
    component = "ReplaySource"
    kind = ComponentKind.SOURCE
    example: ClassVar = {"path": "night.avro", "speed": 10.0}
