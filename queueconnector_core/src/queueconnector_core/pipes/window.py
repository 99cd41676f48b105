"""The pipes that make one value of all those in a window."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Annotated

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.pipes._reducers import Reduction, reducer
from queueconnector_core.pipes._windows import (
    SECOND_NS,
    ArrivalAxis,
    Axis,
    EventAxis,
    NumberAxis,
    Windows,
)
from queueconnector_core.record import Batch

__all__ = (
    "WindowOptions",
    "TumblingWindowPipeDescriptor",
    "SlidingWindowPipeDescriptor",
    "WindowPipe",
)


@attrs.frozen(kw_only=True)
class WindowOptions(PipeDescriptor):
    """The options that both kinds of windows share."""

    reduce: Annotated[
        Reduction,
        Meta(
            description="What becomes of the values of a window: mean, min, max, sum, median, std "
            "(of the population), count, first or last; as numpy computes it, element by element "
            "for arrays, with NaN for NaN."
        ),
    ]
    count: Annotated[
        int | None, Meta(description="A window has so many records; or set span_s.", ge=1)
    ] = None
    span_s: Annotated[
        float | None,
        Meta(
            description="A window covers so many seconds; or set count. Without event_time it is "
            "the time at which records come, counted from the first record.",
            ge=1e-6,
            le=1e9,
        ),
    ] = None
    event_time: Annotated[
        bool,
        Meta(
            description="Whether the time stamps of records decide, with windows that begin at "
            "multiples of their span since 1970. A record without one is refused."
        ),
    ] = False
    lateness_s: Annotated[
        float,
        Meta(
            description="With event_time: a window is kept open until a record has come that is so "
            "many seconds after its end. What is later still is refused.",
            ge=0,
            le=1e9,
        ),
    ] = 0.0
    max_records: Annotated[
        int,
        Meta(description="So many records are held at most; more are refused.", ge=1),
    ] = 100_000

    @property
    def span(self) -> int:
        """What a window covers: records, or nanoseconds."""
        return self.count or round((self.span_s or 0) * SECOND_NS)

    @property
    def step(self) -> int:
        """From the end of a window to that of the next one, in the unit of `span`."""
        return self.span

    def output(self, spec: DataSpec) -> DataSpec:
        """What the reduction gives; raises `ConfigError` when there is none, or options clash."""
        problems = list(self.problems())
        if problems:
            raise ConfigError(problems)
        return reducer(self.reduce, spec).output

    def problems(self) -> list[Problem]:
        """What is wrong with options that do not go together."""
        found: list[Problem] = []
        if (self.count is None) == (self.span_s is None):
            found.append(Problem("", "needs either count or span_s"))
        elif self.count is not None and self.count > self.max_records:
            found.append(Problem("count", f"allowed: at most max_records = {self.max_records}"))
        if self.event_time and self.span_s is None:
            found.append(Problem("event_time", "has no use with count; set span_s"))
        if self.lateness_s and not self.event_time:
            found.append(Problem("lateness_s", "has no use without event_time"))
        return found


@attrs.frozen(kw_only=True)
class TumblingWindowPipeDescriptor(WindowOptions):
    """Makes one value of each window of records; windows follow one another.

    No window is empty, and invalid values are in none: they count as filtered. With event_time and
    silence for as long as a window and its lateness, what is held is passed on. At the end of the
    exchange the open windows close.
    """


@attrs.frozen(kw_only=True)
class SlidingWindowPipeDescriptor(WindowOptions):
    """Makes one value of each window of records; windows overlap, each a step after the last.

    A record is held, and acknowledged, with the last of its windows. The first windows are not full
    yet, and at the end of the exchange the last ones run empty; else as TumblingWindowPipe.
    """

    step_count: Annotated[
        int | None,
        Meta(description="With count: from window to window so many records; null: 1.", ge=1),
    ] = None
    step_s: Annotated[
        float | None,
        Meta(
            description="With span_s: from window to window so many seconds; at least a "
            "thousandth of it.",
            ge=1e-6,
        ),
    ] = None

    @property
    def step(self) -> int:
        """From the end of a window to that of the next one, in the unit of `span`."""
        if self.count is not None:
            return self.step_count or 1
        return round((self.step_s or 0) * SECOND_NS)

    def problems(self) -> list[Problem]:
        """What is wrong with options that do not go together."""
        found = WindowOptions.problems(self)
        used, other = ("step_count", "step_s") if self.span_s is None else ("step_s", "step_count")
        if getattr(self, other) is not None:
            found.append(Problem(other, f"has no use here; set {used}"))
        elif self.span_s is not None and self.step_s is None:
            found.append(Problem("step_s", "is required with span_s"))
        elif not found and not self.span <= self.step * 1000 <= self.span * 1000:
            found.append(Problem(used, "allowed: from a thousandth of the window to all of it"))
        return found


class WindowPipe:
    """Holds the records of the open windows, and their acknowledgements."""

    def __init__(self, descriptor: WindowOptions, context: BuildContext) -> None:
        self._options = descriptor
        self._reducer = reducer(descriptor.reduce, context.spec)
        span_s, late_s = descriptor.span_s, descriptor.lateness_s
        # Nobody knows when the records come that fill a window by count.
        self.longest_hold_s = math.inf if span_s is None else span_s + late_s
        if descriptor.event_time:
            # A record waits for its window, and after that for silence.
            self.longest_hold_s *= 2

    def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """One batch of one value for each window; failures pass at once."""
        options = self._options
        windows = Windows(
            self._axis(),
            options.span,
            options.step,
            self._reducer,
            options.max_records,
            starts_with_record=options.span_s is not None and not options.event_time,
        )
        return windows.over(batches)

    def _axis(self) -> Axis:
        options = self._options
        if options.span_s is None:
            return NumberAxis()
        if not options.event_time:
            return ArrivalAxis()
        lateness_ns = round(options.lateness_s * SECOND_NS)
        return EventAxis(lateness_ns, options.span + lateness_ns)
