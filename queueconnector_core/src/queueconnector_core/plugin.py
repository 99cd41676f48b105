"""Core's own components, registered through the same hook as everybody's."""

from __future__ import annotations

from collections.abc import Iterable

from queueconnector_core.codecs import CODECS
from queueconnector_core.component import ComponentKind, ComponentType, Stability
from queueconnector_core.hookspecs import hookimpl
from queueconnector_core.pipes.buffer_with_time import (
    BufferWithTimePipe,
    BufferWithTimePipeDescriptor,
)
from queueconnector_core.pipes.default import DefaultPipe, DefaultPipeDescriptor

__all__ = ("queueconnector_components",)


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    """The pipes and codecs of core."""
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
