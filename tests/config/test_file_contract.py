"""The source of files keeps the contract of configuration sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from queueconnector_core.config.descriptors import FileConfigSourceDescriptor
from queueconnector_core.config.file import FileConfigSource
from queueconnector_core.config.protocol import ConfigContext, ConfigSource
from tests.config.source_contract import Harness, ManyDocumentsContract, SourceContract


class Files:
    """Files that are replaced at once, as careful programs do."""

    def __init__(self, path: Path, keys: tuple[str | None, ...]) -> None:
        descriptor = FileConfigSourceDescriptor(path=str(path), poll_s=0.02)
        self.source: ConfigSource = FileConfigSource(descriptor, ConfigContext("test"))
        self.keys = keys
        self._path = path

    def _file(self, key: str | None) -> Path:
        return self._path if key is None else self._path / f"{key}.json"

    async def put(self, key: str | None, text: str) -> None:
        fresh = self._path.parent / "fresh"
        fresh.write_text(text)
        fresh.replace(self._file(key))

    async def delete(self, key: str | None) -> None:
        self._file(key).unlink()


class TestDirectory(ManyDocumentsContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        folder = tmp_path / "configurations"
        folder.mkdir()
        return Files(folder, ("a", "b"))


class TestFile(SourceContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> Harness:
        return Files(tmp_path / "configuration.json", (None,))
