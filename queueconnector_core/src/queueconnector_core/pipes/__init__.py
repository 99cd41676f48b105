"""The pipes that come with core."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from queueconnector_core.component import ComponentKind, ComponentType, Stability
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.pipes.buffer_with_time import (
    BufferWithTimePipe,
    BufferWithTimePipeDescriptor,
)
from queueconnector_core.pipes.cast import CastPipe, CastPipeDescriptor
from queueconnector_core.pipes.deadband import DeadbandPipe, DeadbandPipeDescriptor
from queueconnector_core.pipes.deduplicate import DeduplicatePipe, DeduplicatePipeDescriptor
from queueconnector_core.pipes.default import DefaultPipe, DefaultPipeDescriptor
from queueconnector_core.pipes.filter import FilterPipe, FilterPipeDescriptor
from queueconnector_core.pipes.join import JoinPipe, JoinPipeDescriptor
from queueconnector_core.pipes.latest_only import LatestOnlyPipe, LatestOnlyPipeDescriptor
from queueconnector_core.pipes.map import MapPipe, MapPipeDescriptor
from queueconnector_core.pipes.rate_limit import RateLimitPipe, RateLimitPipeDescriptor
from queueconnector_core.pipes.scale_offset import ScaleOffsetPipe, ScaleOffsetPipeDescriptor
from queueconnector_core.pipes.select_field import SelectFieldPipe, SelectFieldPipeDescriptor
from queueconnector_core.pipes.split import SplitPipe, SplitPipeDescriptor
from queueconnector_core.pipes.window import (
    SlidingWindowPipeDescriptor,
    TumblingWindowPipeDescriptor,
    WindowPipe,
)

__all__ = ("pipe_types",)

_STABLE: tuple[tuple[Any, type[PipeDescriptor]], ...] = (
    (DefaultPipe, DefaultPipeDescriptor),
    (BufferWithTimePipe, BufferWithTimePipeDescriptor),
)
_BETA: tuple[tuple[Any, type[PipeDescriptor]], ...] = (
    (MapPipe, MapPipeDescriptor),
    (FilterPipe, FilterPipeDescriptor),
    (SelectFieldPipe, SelectFieldPipeDescriptor),
    (CastPipe, CastPipeDescriptor),
    (ScaleOffsetPipe, ScaleOffsetPipeDescriptor),
    (RateLimitPipe, RateLimitPipeDescriptor),
    (DeadbandPipe, DeadbandPipeDescriptor),
    (DeduplicatePipe, DeduplicatePipeDescriptor),
    (LatestOnlyPipe, LatestOnlyPipeDescriptor),
    (WindowPipe, TumblingWindowPipeDescriptor),
    (WindowPipe, SlidingWindowPipeDescriptor),
    (JoinPipe, JoinPipeDescriptor),
    (SplitPipe, SplitPipeDescriptor),
)


def pipe_types() -> Iterator[ComponentType]:
    """All of them; each has the name of its descriptor."""
    for stability, pipes in ((Stability.STABLE, _STABLE), (Stability.BETA, _BETA)):
        for factory, descriptor in pipes:
            name = descriptor.__name__.removesuffix("Descriptor")
            yield ComponentType(name, ComponentKind.PIPE, factory, descriptor, stability=stability)
