"""The sinks that come with core: they lead records to other sinks."""

from __future__ import annotations

from collections.abc import Iterator

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.sinks.fallback import FallbackSink, FallbackSinkDescriptor
from queueconnector_core.sinks.route import RouteSink, RouteSinkDescriptor

__all__ = ("sink_types",)


def sink_types() -> Iterator[ComponentType]:
    """All of them. What they promise is what the sinks inside them do."""
    yield ComponentType("FallbackSink", ComponentKind.SINK, FallbackSink, FallbackSinkDescriptor)
    yield ComponentType("RouteSink", ComponentKind.SINK, RouteSink, RouteSinkDescriptor)
