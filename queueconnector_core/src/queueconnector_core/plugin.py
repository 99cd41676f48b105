"""Core's own components, registered through the same hook as everybody's."""

from __future__ import annotations

from collections.abc import Iterable

from queueconnector_core.codecs import CODECS
from queueconnector_core.component import ComponentKind, ComponentType, Stability
from queueconnector_core.config.descriptors import (
    FileConfigSourceDescriptor,
    JsonConfigSourceDescriptor,
)
from queueconnector_core.config.file import FileConfigSource
from queueconnector_core.config.text import JsonConfigSource
from queueconnector_core.hookspecs import hookimpl
from queueconnector_core.pipes.buffer_with_time import (
    BufferWithTimePipe,
    BufferWithTimePipeDescriptor,
)
from queueconnector_core.pipes.default import DefaultPipe, DefaultPipeDescriptor

__all__ = ("queueconnector_components",)


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """The pipes, codecs and configuration sources of core."""
    yield ComponentType(
        "DefaultPipe",
        ComponentKind.PIPE,
        DefaultPipe,
        DefaultPipeDescriptor,
        stability=Stability.STABLE,
    )
    yield ComponentType(
        "BufferWithTimePipe",
        ComponentKind.PIPE,
        BufferWithTimePipe,
        BufferWithTimePipeDescriptor,
        stability=Stability.STABLE,
    )
    for encoding, codec in CODECS:
        yield ComponentType(
            encoding,
            ComponentKind.CODEC,
            lambda *_, codec=codec: codec(),
            stability=Stability.STABLE,
        )
    yield ComponentType(
        "JsonConfigSource",
        ComponentKind.CONFIG_SOURCE,
        JsonConfigSource,
        JsonConfigSourceDescriptor,
        aliases=("json",),
    )
    yield ComponentType(
        "FileConfigSource",
        ComponentKind.CONFIG_SOURCE,
        FileConfigSource,
        FileConfigSourceDescriptor,
        aliases=("file",),
    )
