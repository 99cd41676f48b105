"""The pipes, codecs and configuration sources of core keep the contract of components."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from queueconnector_core.component import ComponentKind
from queueconnector_core.testing import (
    Capabilities,
    CodecSuite,
    ConfigHarness,
    ConfigSourceSuite,
    DescriptorSuite,
    PipeSuite,
)


class Files(ConfigHarness):
    """Files that are replaced at once, as careful programs do."""

    def __init__(self, path: Path, keys: Sequence[str | None]) -> None:
        self.path = path
        self.keys = keys

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "FileConfigSource", "path": str(self.path), "poll_s": 0.02}

    def _file(self, key: str | None) -> Path:
        return self.path if key is None else self.path / f"{key}.json"

    async def write_external(self, key: str | None, text: str) -> None:
        await asyncio.to_thread(self._write, key, text)

    def _write(self, key: str | None, text: str) -> None:
        fresh = self.path.parent / "fresh"
        fresh.write_text(text)
        fresh.replace(self._file(key))

    async def delete_external(self, key: str | None) -> None:
        await asyncio.to_thread(self._file(key).unlink)


class Written(ConfigHarness):
    """A text that stands in the configuration of the source itself."""

    text = ""

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "JsonConfigSource", "text": self.text}

    async def write_external(self, key: str | None, text: str) -> None:
        self.text = text


class TestFileConfigSource(ConfigSourceSuite):
    component = "FileConfigSource"

    @pytest.fixture
    def harness(self, tmp_path: Path) -> ConfigHarness:
        return Files(tmp_path / "configuration.json", (None,))


class TestFileConfigSourceOfAFolder(ConfigSourceSuite):
    component = "FileConfigSource"
    capabilities = Capabilities(many_documents=True)

    @pytest.fixture
    def harness(self, tmp_path: Path) -> ConfigHarness:
        folder = tmp_path / "configurations"
        folder.mkdir()
        return Files(folder, ("a", "b"))


class TestJsonConfigSource(ConfigSourceSuite):
    component = "JsonConfigSource"
    capabilities = Capabilities(live=False)

    @pytest.fixture
    def harness(self) -> ConfigHarness:
        return Written()


class TestFileConfigSourceDescriptor(DescriptorSuite):
    component = "FileConfigSource"
    kind = ComponentKind.CONFIG_SOURCE
    example: ClassVar = {"path": "configuration.json"}


class TestJsonConfigSourceDescriptor(DescriptorSuite):
    component = "JsonConfigSource"
    kind = ComponentKind.CONFIG_SOURCE
    example: ClassVar = {"text": "{}"}


class TestDefaultPipe(PipeSuite):
    component = "DefaultPipe"
    capabilities = Capabilities(max_held=5)


class TestBufferWithTimePipe(PipeSuite):
    component = "BufferWithTimePipe"
    descriptor: ClassVar = {"timespan": 0.1, "max_records": 20}
    capabilities = Capabilities(max_held=20, holds=True)


class TestDefaultPipeDescriptor(DescriptorSuite):
    component = "DefaultPipe"
    kind = ComponentKind.PIPE


class TestBufferWithTimePipeDescriptor(DescriptorSuite):
    component = "BufferWithTimePipe"
    kind = ComponentKind.PIPE
    example: ClassVar = {"timespan": 1.5}


class TestPython(CodecSuite):
    component = "python"


class TestUtf8(CodecSuite):
    component = "utf-8"


class TestAscii(CodecSuite):
    component = "ascii"


class TestJson(CodecSuite):
    component = "json"


class TestMsgpackNumpy(CodecSuite):
    component = "msgpack_numpy"


class TestCarray(CodecSuite):
    component = "carray"


class TestNpy(CodecSuite):
    component = "npy"
