"""The sink that looks into each record to find the sink for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.condition import When, condition, holding
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import SinkDescriptor
from queueconnector_core.errors import (
    ConfigError,
    Problem,
    RecordError,
    RecordErrors,
    RetryableError,
)
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_core.sinks._members import built, impairments, stop_all

__all__ = ("Route", "RouteSinkDescriptor", "RouteSink")


@attrs.frozen
class Route:
    """One way for records."""

    when: Annotated[
        When,
        Meta(
            description="Which records take it: a JMESPath that finds anything but false, null and "
            'what is empty, or an object of limits for numbers, such as {"gt": 90}.'
        ),
    ]
    sink: Annotated[SinkDescriptor, Meta(description="The sink that they reach.")]


@attrs.frozen
class RouteSinkDescriptor(SinkDescriptor):
    """Leads each record to the sink of the first route whose condition holds for it.

    A record that takes no route is delivered when all others of its batch are, unless there is a
    sink for it. A record of which it cannot be said is refused. The sinks are written one after the
    other; while one is away all records wait.
    """

    routes: Annotated[
        tuple[Route, ...],
        Meta(description="The routes, in the order in which they are tried.", min_length=1),
    ]
    otherwise: Annotated[
        SinkDescriptor | None,
        Meta(description="The sink of records that take no route; null: they reach none."),
    ] = None

    def check(self, spec: DataSpec, registry: Registry) -> None:
        """Raise `ConfigError` for conditions that values of `spec` cannot hold."""
        problems: list[Problem] = []
        for index, route in enumerate(self.routes):
            try:
                condition(route.when, spec)
            except ConfigError as error:
                problems += error.under(f"routes[{index}].when").problems
        if problems:
            raise ConfigError(problems)

    def members(self) -> Sequence[tuple[str, SinkDescriptor]]:
        """The sinks of all routes."""
        routed = [(f"routes[{index}].sink", r.sink) for index, r in enumerate(self.routes)]
        return routed if self.otherwise is None else [*routed, ("otherwise", self.otherwise)]

    def for_dead_letters(self) -> RouteSinkDescriptor:
        """The same with all its sinks as places of dead letters."""
        routes = tuple(attrs.evolve(r, sink=r.sink.for_dead_letters()) for r in self.routes)
        otherwise = self.otherwise and self.otherwise.for_dead_letters()
        return attrs.evolve(self, routes=routes, otherwise=otherwise)


@attrs.define(eq=False)
class _Sorted:
    """A batch by the sinks of its records.

    The runner writes a batch again after a `RetryableError`; those that accepted their part are
    left alone then.
    """

    batch: Batch
    failures: dict[int, RecordError]
    places: dict[int, list[int]]
    """For each sink that has not accepted its part yet, where that stands in the batch."""


class RouteSink:
    """Writes each record to one of its sinks."""

    def __init__(self, descriptor: RouteSinkDescriptor, context: BuildContext) -> None:
        self._sinks = [built(member, context) for _, member in descriptor.members()]
        self._conditions = [condition(route.when, context.spec) for route in descriptor.routes]
        self._started: set[int] = set()
        self._unfinished: _Sorted | None = None

    async def start(self) -> None:
        """Start all sinks; those that have started are not started again.

        Raises as they do, when all have come to an end of their start: `RetryableError` last.
        """
        self._unfinished = None
        waiting = [number for number in range(len(self._sinks)) if number not in self._started]
        results = await asyncio.gather(*map(self._start, waiting), return_exceptions=True)
        errors = [result for result in results if result is not None]
        if errors:
            raise min(errors, key=lambda error: isinstance(error, RetryableError))

    async def write(self, batch: Batch) -> None:
        """Write the parts of the batch, sink by sink; raises as they do."""
        work = self._unfinished
        if work is None or work.batch is not batch:
            work = self._unfinished = self._sorted(batch)
        for number in list(work.places):
            places = work.places[number]
            try:
                await self._sinks[number].write(batch.only(places))
            except RecordErrors as errors:
                work.failures |= {places[at]: error for at, error in errors.failures.items()}
            del work.places[number]
        self._unfinished = None
        if work.failures:
            raise RecordErrors(dict(sorted(work.failures.items())))

    async def stop(self) -> None:
        """Stop all sinks."""
        self._started.clear()
        await stop_all(self._sinks)

    def impaired(self) -> str | None:
        """What does not work of its sinks, in words; None: all is well."""
        return "; ".join(impairments(self._sinks)) or None

    async def _start(self, number: int) -> None:
        await self._sinks[number].start()
        self._started.add(number)

    def _sorted(self, batch: Batch) -> _Sorted:
        failures: dict[int, RecordError] = {}
        places: dict[int, list[int]] = {}
        left = list(range(len(batch)))
        for number, judge in enumerate(self._conditions):
            flags, failed = holding(batch.only(left), judge)
            failures |= {left[at]: error for at, error in failed.items()}
            chosen = [place for place, flag in zip(left, flags, strict=True) if flag]
            if chosen:
                places[number] = chosen
            taken = {*chosen, *failures}
            left = [place for place in left if place not in taken]
        if left and len(self._sinks) > len(self._conditions):
            places[len(self._conditions)] = left
        return _Sorted(batch, failures, places)
