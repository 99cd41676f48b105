"""The sinks that come with core: they lead records to other sinks."""

from __future__ import annotations

from collections.abc import Iterator

from queueconnector_core.component import ComponentKind, ComponentType, Guarantee
from queueconnector_core.sinks.fallback import FallbackSink, FallbackSinkDescriptor
from queueconnector_core.sinks.route import RouteSink, RouteSinkDescriptor

__all__ = ("sink_types",)


def sink_types() -> Iterator[ComponentType]:
    """All of them. They promise what the sinks inside them do, at least once at best."""
    for factory, descriptor in (
        (FallbackSink, FallbackSinkDescriptor),
        (RouteSink, RouteSinkDescriptor),
    ):
        yield ComponentType(
            factory.__name__,
            ComponentKind.SINK,
            factory,
            descriptor,
            guarantee=Guarantee.AT_LEAST_ONCE,
        )
