"""Registers the ends that need no other program: memory and files."""

from __future__ import annotations

from collections.abc import Iterable

from queueconnector_core.component import ComponentKind, ComponentType, Guarantee, Stability
from queueconnector_core.hookspecs import hookimpl
from queueconnector_memory.descriptors import InMemorySinkDescriptor, InMemorySourceDescriptor
from queueconnector_memory.file_descriptors import FileSinkDescriptor, FileSourceDescriptor
from queueconnector_memory.file_sink import FileSink
from queueconnector_memory.file_source import FileSource
from queueconnector_memory.probe import probe_sink, probe_source
from queueconnector_memory.sink import InMemorySink
from queueconnector_memory.source import InMemorySource

__all__ = ("queueconnector_components",)


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """The sources and the sinks."""
    yield ComponentType(
        "InMemorySource",
        ComponentKind.SOURCE,
        InMemorySource,
        InMemorySourceDescriptor,
        guarantee=Guarantee.AT_MOST_ONCE,
        stability=Stability.STABLE,
    )
    yield ComponentType(
        "InMemorySink",
        ComponentKind.SINK,
        InMemorySink,
        InMemorySinkDescriptor,
        guarantee=Guarantee.AT_LEAST_ONCE,
        stability=Stability.STABLE,
    )
    yield ComponentType(
        "FileSource",
        ComponentKind.SOURCE,
        FileSource,
        FileSourceDescriptor,
        guarantee=Guarantee.AT_LEAST_ONCE,
        probe=lambda: probe_source,
    )
    yield ComponentType(
        "FileSink",
        ComponentKind.SINK,
        FileSink,
        FileSinkDescriptor,
        guarantee=Guarantee.AT_LEAST_ONCE,
        probe=lambda: probe_sink,
    )
