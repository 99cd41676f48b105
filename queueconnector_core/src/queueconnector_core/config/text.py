"""The source of a configuration that stands in its own descriptor."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from queueconnector_core.config.descriptors import JsonConfigSourceDescriptor
from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigEvent,
    ConfigReport,
    ConfigUpdate,
    Synced,
)

__all__ = ("JsonConfigSource", "version_of")


def version_of(text: str) -> str:
    """Twelve hexadecimal digits that tell this text from others."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


class JsonConfigSource:
    """Gives its one document, then ends."""

    def __init__(self, descriptor: JsonConfigSourceDescriptor, context: ConfigContext) -> None:
        self._text = descriptor.text

    async def follow(self) -> AsyncIterator[ConfigEvent]:
        """The document, `Synced`, and the end."""
        yield ConfigUpdate(None, self._text, version_of(self._text))
        yield Synced()

    async def report(self, report: ConfigReport) -> None:
        """Nothing: whoever wrote the text reads the state of the host."""

    async def stop(self) -> None:
        """Nothing: it holds nothing."""
