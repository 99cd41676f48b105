"""Where letters come from: a file, or any source."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.dead_letters.letter import Letters, read_letters
from queueconnector_core.dead_letters.redriven import Redriven
from queueconnector_core.dead_letters.writing import LETTER_SPEC
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.protocols import Source
from queueconnector_core.registry import Registry
from queueconnector_core.structure import read_json, structure_as

__all__ = ("Place",)

PLACE = "LETTERS"
"""What the argument is called in messages."""

PATIENCE_S = 5.0


@attrs.frozen
class Place:
    """What was given as LETTERS: the path of a file of letters, or the JSON of a source."""

    source: SourceDescriptor
    path: str | None
    """None: it is no file."""

    @classmethod
    def of(cls, text: str, registry: Registry) -> Place:
        """Raises `ConfigError` when it is neither."""
        path = None if text.lstrip().startswith("{") else text
        if path is not None and not Path(path).is_file():
            raise ConfigError.at(
                PLACE, f"there is no file {path}; allowed: a file, JSON of a source"
            )
        try:
            written = {"type": "FileSource", "path": path} if path else read_json(text)
            source = structure_as(written, SourceDescriptor, registry)
            source.check(LETTER_SPEC, registry)
        except ConfigError as error:
            raise error.under(PLACE) from None
        return cls(source, path)

    def redriven(self, path: str | None = None) -> Redriven:
        """What is known of letters that were driven again; raises `ConfigError`."""
        beside = None if self.path is None else f"{self.path}.redriven"
        return Redriven(path or beside)

    @asynccontextmanager
    async def read(self, registry: Registry) -> AsyncIterator[Letters]:
        """All letters; their source is connected for as long as the body runs."""
        component = registry.of_descriptor(type(self.source), ComponentKind.SOURCE)
        context = BuildContext(LETTER_SPEC, registry, name="letters")
        source: Source = component.factory(self.source, context)
        try:
            hint = asyncio.get_running_loop().call_later(PATIENCE_S, _hint)
            try:
                letters = await read_letters(source)
            finally:
                hint.cancel()
            yield letters
        finally:
            await source.stop()


def _hint() -> None:
    text = 'still reading; does the source end? A topic does with "until": "latest"'
    print(f"queueconnector: {text}", file=sys.stderr)
