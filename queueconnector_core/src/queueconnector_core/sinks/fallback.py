"""The sink that has another one in reserve."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Annotated

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.descriptors import SinkDescriptor
from queueconnector_core.errors import FatalError, RecordError, RecordErrors, RetryableError
from queueconnector_core.record import Batch
from queueconnector_core.sinks._members import built, impairments, stop_all
from queueconnector_core.sinks._reserve import Reserve
from queueconnector_core.together import together

__all__ = ("FallbackSinkDescriptor", "FallbackSink")

logger = logging.getLogger(__name__)


@attrs.frozen
class FallbackSinkDescriptor(SinkDescriptor):
    """Writes to the first of several sinks, and to the next where that one fails.

    A sink fails when it is away for longer than `patience_s`, gives up, or refuses a record: then
    the next one gets what it did not accept. One that is away is tried again in the background, and
    used again as soon as it has started. Only what every sink refuses is refused; while all are
    away the exchange waits. A sink that was cut off in the middle of a batch may have written a
    part of it, which the next one then has as well.
    """

    sinks: Annotated[
        tuple[SinkDescriptor, ...],
        Meta(description="The sinks, best first.", min_length=2),
    ]
    patience_s: Annotated[
        float,
        Meta(
            description="For so many seconds a sink may be away, or not answer, before the next "
            "one is used.",
            gt=0,
        ),
    ] = 5.0

    def members(self) -> Sequence[tuple[str, SinkDescriptor]]:
        """All of its sinks."""
        return [(f"sinks[{index}]", sink) for index, sink in enumerate(self.sinks)]

    def for_dead_letters(self) -> FallbackSinkDescriptor:
        """The same with all its sinks as places of dead letters."""
        return attrs.evolve(self, sinks=tuple(sink.for_dead_letters() for sink in self.sinks))


@attrs.define(eq=False)
class _Writing:
    """How far the writing of one batch has come.

    The runner writes a batch again after a `RetryableError`; what was accepted is not written once
    more then.
    """

    batch: Batch
    left: list[int]
    """Where the records stand that nobody has accepted yet."""
    refusals: dict[int, RecordError] = attrs.field(factory=dict)
    """What was said of those that were refused."""
    refused_by: dict[int, set[int]] = attrs.field(factory=dict)
    """The sinks that refused them."""


class FallbackSink:
    """Tells the sinks that can be written from those that are away."""

    def __init__(self, descriptor: FallbackSinkDescriptor, context: BuildContext) -> None:
        self._sinks = [
            Reserve(f"{context.name}: {path}", built(member, context), descriptor.patience_s)
            for path, member in descriptor.members()
        ]
        self._name = context.name
        self._is_open = False
        self._unfinished: _Writing | None = None
        self.fallen_back = 0
        """So many records were accepted by another sink than the first, since `start`."""

    async def start(self) -> None:
        """Start all sinks; one that can be written is enough.

        Raises `RetryableError` while all are away, `FatalError` when all have given up.
        """
        self.fallen_back, self._unfinished = 0, None
        self._is_open = True
        await together(sink.start for sink in self._sinks)
        if not any(sink.is_ready for sink in self._sinks):
            raise self._none_left()

    async def write(self, batch: Batch) -> None:
        """Write to the first sink, and what that does not accept to the next, and so on.

        Raises `RecordErrors` for what all of them refuse; else as `start`. After `stop` it warns
        and writes nothing.
        """
        if not self._is_open:
            logger.warning("%s: stopped, %d records not written", self._name, len(batch))
            return
        work = self._unfinished
        if work is None or work.batch is not batch:
            work = self._unfinished = _Writing(batch, list(range(len(batch))))
        for number, sink in enumerate(self._sinks):
            if sink.is_ready:
                await self._write(number, sink, work)
        usable = {number for number, sink in enumerate(self._sinks) if not sink.is_lost}
        if any(usable - work.refused_by.get(place, set()) for place in work.left):
            raise self._none_left()
        if not work.left:
            self._unfinished = None
            return
        if not work.refusals:
            raise self._none_left()
        self._unfinished = None
        raise RecordErrors({place: work.refusals[place] for place in work.left})

    async def stop(self) -> None:
        """Stop all sinks, and the attempts to start those that are away."""
        self._is_open = False
        for sink in self._sinks:
            await sink.give_up()
        await stop_all(reserve.sink for reserve in self._sinks)

    def impaired(self) -> str | None:
        """Which of the sinks fail, and how many records went to others; None: all is well."""
        failing = [f"{sink.name}: {sink.reason}" for sink in self._sinks if sink.reason]
        failing += impairments(reserve.sink for reserve in self._sinks)
        if not failing:
            return None
        return f"{self.fallen_back} records went to another sink; {'; '.join(failing)}"

    async def _write(self, number: int, sink: Reserve, work: _Writing) -> None:
        """Write what is left and was not refused by this sink already."""
        places = [place for place in work.left if number not in work.refused_by.get(place, ())]
        if not places:
            return
        whole = len(places) == len(work.batch)
        refused = await sink.write(work.batch if whole else work.batch.only(places))
        if refused is None:
            return
        for at, error in refused.items():
            work.refusals[places[at]] = error
            work.refused_by.setdefault(places[at], set()).add(number)
        accepted = {place for at, place in enumerate(places) if at not in refused}
        work.left = [place for place in work.left if place not in accepted]
        self.fallen_back += len(accepted) if number else 0

    def _none_left(self) -> FatalError | RetryableError:
        reasons = "; ".join(f"{sink.name}: {sink.reason}" for sink in self._sinks if sink.reason)
        if all(sink.is_lost for sink in self._sinks):
            return FatalError(f"all sinks have given up: {reasons}")
        return RetryableError(f"no sink can be written: {reasons}")
