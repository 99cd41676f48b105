"""The ends that need no other program keep the contract of components."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from queueconnector_core.component import ComponentKind, Guarantee
from queueconnector_core.record import Value
from queueconnector_core.testing import (
    Capabilities,
    DescriptorSuite,
    SinkHarness,
    SinkSuite,
    SourceHarness,
    SourceSuite,
)
from queueconnector_memory import store


class Literals(SourceHarness):
    """The values stand in the configuration itself."""

    def __init__(self) -> None:
        self.data: list[Any] = []

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "InMemorySource", "data": self.data}

    async def put_external(self, values: Sequence[Value]) -> None:
        self.data += values


class Stored(SinkHarness):
    """A key of the store."""

    def __init__(self) -> None:
        self.key = uuid.uuid4().hex

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "InMemorySink", "key": self.key}

    async def take_external(self) -> Sequence[Value]:
        return [record.value for record in store.records(self.key)]


class Lines(SourceHarness):
    """A file that others append to."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.options = options
        path.touch()

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "FileSource", "path": str(self.path), **self.options}

    async def put_external(self, values: Sequence[Value]) -> None:
        lines = "".join(json.dumps({"value": str(value)}) + "\n" for value in values)
        await asyncio.to_thread(self._append, lines)

    async def put_unusable(self) -> None:
        await asyncio.to_thread(self._append, '{"value": "no number"}\n')

    def _append(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)


class Written(SinkHarness):
    """A file that is read line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "FileSink", "path": str(self.path)}

    async def take_external(self) -> Sequence[Value]:
        if not self.path.exists():
            return []
        return [int(json.loads(line)["value"]) for line in self.path.read_text().splitlines()]

    def unusable(self) -> Value:
        return "no number"


class TestInMemorySource(SourceSuite):
    component = "InMemorySource"
    dtype = "int64"
    capabilities = Capabilities(
        guarantee=Guarantee.AT_MOST_ONCE, live=False, rewinds=True, ends=True
    )

    @pytest.fixture
    def harness(self) -> SourceHarness:
        return Literals()


class TestInMemorySink(SinkSuite):
    component = "InMemorySink"
    dtype = "object"
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE)

    @pytest.fixture
    def harness(self) -> Iterator[SinkHarness]:
        harness = Stored()
        yield harness
        store.reset(harness.key)


class TestFileSource(SourceSuite):
    component = "FileSource"
    dtype = "int64"
    capabilities = Capabilities(
        guarantee=Guarantee.AT_LEAST_ONCE, acknowledges=True, refuses=True, max_held=2000
    )

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SourceHarness:
        return Lines(tmp_path / "in", follow=True, checkpoint=str(tmp_path / "checkpoint"))


class TestFileSourceThatEnds(SourceSuite):
    component = "FileSource"
    dtype = "int64"
    capabilities = Capabilities(live=False, rewinds=True, ends=True, refuses=True, max_held=2000)

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SourceHarness:
        return Lines(tmp_path / "in")


class TestFileSink(SinkSuite):
    component = "FileSink"
    dtype = "int64"
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE, refuses=True)

    @pytest.fixture
    def harness(self, tmp_path: Path) -> SinkHarness:
        return Written(tmp_path / "out")


class TestInMemorySourceDescriptor(DescriptorSuite):
    component = "InMemorySource"
    kind = ComponentKind.SOURCE
    example: ClassVar = {"data": [], "delay": 0.5}


class TestInMemorySinkDescriptor(DescriptorSuite):
    component = "InMemorySink"
    kind = ComponentKind.SINK
    example: ClassVar = {"key": "out"}


class TestFileSourceDescriptor(DescriptorSuite):
    component = "FileSource"
    kind = ComponentKind.SOURCE
    example: ClassVar = {"path": "records.jsonl", "follow": True, "encoding": "json"}


class TestFileSinkDescriptor(DescriptorSuite):
    component = "FileSink"
    kind = ComponentKind.SINK
    example: ClassVar = {"path": "records.jsonl", "encoding": "json"}
