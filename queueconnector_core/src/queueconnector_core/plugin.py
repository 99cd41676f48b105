"""Core's own components, registered through the same hook as everybody's."""

from __future__ import annotations

from collections.abc import Iterable

from queueconnector_core.codecs import CODECS
from queueconnector_core.component import ComponentKind, ComponentType, Guarantee, Stability
from queueconnector_core.config.descriptors import (
    FileConfigSourceDescriptor,
    JsonConfigSourceDescriptor,
)
from queueconnector_core.config.file import FileConfigSource
from queueconnector_core.config.text import JsonConfigSource
from queueconnector_core.hookspecs import hookimpl
from queueconnector_core.pipes import pipe_types
from queueconnector_core.recording.source import ReplaySource, ReplaySourceDescriptor
from queueconnector_core.sinks import sink_types

__all__ = ("queueconnector_components",)


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """The pipes, sinks, source, codecs and configuration sources of core."""
    yield from pipe_types()
    yield from sink_types()
    yield ComponentType(
        "ReplaySource",
        ComponentKind.SOURCE,
        ReplaySource,
        ReplaySourceDescriptor,
        guarantee=Guarantee.AT_MOST_ONCE,
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
