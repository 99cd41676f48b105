"""The pipe that puts together what several sources say of one thing, or of one moment."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.columns import valid_places
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.errors import ConfigError, Problem, RecordError
from queueconnector_core.pipes._held import Held, given_up, held_of, left_out, made_of
from queueconnector_core.pipes._keys import KeyOptions, Keys
from queueconnector_core.pipes._matching import ByKey, ByTime, Matcher, Offered
from queueconnector_core.pipes._upcoming import END, Upcoming
from queueconnector_core.record import Batch, Value

__all__ = ("JoinPipeDescriptor", "JoinPipe")


@attrs.frozen(kw_only=True)
class JoinPipeDescriptor(KeyOptions, PipeDescriptor):
    """Joins one record of each of several sources of the exchange into one.

    Records belong together that have the same key, or whose time stamps lie within a tolerance. A
    record waits for its partners for a bounded time; one that finds none is refused, or left out.
    The joined record has the metadata of its newest part. When more than `max_keys` keys wait (or,
    by time stamp, records of one source), the oldest is given up. By time stamp each source is
    thought to be in order.
    """

    sources: Annotated[
        Mapping[str, str],
        Meta(
            description="The sources to join: for each name in the result a pattern that the name "
            "of a record's source matches, with * for any text, such as *mid/dish/0001/azimuth. A "
            "record of no such source is refused.",
            min_length=2,
        ),
    ]
    tolerance_s: Annotated[
        float | None,
        Meta(
            description="Records belong together whose time stamps differ by at most so many "
            "seconds; null: those with the same key.",
            ge=0,
        ),
    ] = None
    timeout_s: Annotated[
        float, Meta(description="So many seconds a record waits for its partners.", gt=0)
    ] = 10.0
    unmatched: Annotated[
        Literal["refuse", "leave_out"],
        Meta(
            description="What happens to a record that finds no partners. refuse: it has failed, "
            "and is treated as `errors` says. leave_out: it counts as filtered."
        ),
    ] = "refuse"
    form: Annotated[
        Literal["object", "array"],
        Meta(
            description="object: the values by the names of their sources. array: one dimension "
            "more, in front, in the order of sources."
        ),
    ] = "object"

    def output(self, spec: DataSpec) -> DataSpec:
        """An object, or one dimension more; raises `ConfigError` where that is impossible."""
        problems: list[Problem] = []
        try:
            self.check_key()
        except ConfigError as error:
            problems += error.problems
        if (self.tolerance_s is None) == (not self.has_key):
            problems.append(Problem("", "needs either tolerance_s or one of key and key_path"))
        if self.key == "source":
            problems.append(Problem("key", "found source, which differs for all that is joined"))
        if self.form == "array" and (spec.is_object or spec.is_bytes):
            problems.append(Problem("form", f"found {spec}, of which there are no arrays"))
        if problems:
            raise ConfigError(problems)
        if self.form == "object":
            return DataSpec.of("object")
        return DataSpec(spec.dtype, (len(self.sources), *spec.shape))


class JoinPipe:
    """Holds records, and their acknowledgements, until their partners have come."""

    def __init__(self, descriptor: JoinPipeDescriptor, context: BuildContext) -> None:
        self.longest_hold_s = descriptor.timeout_s
        self._options = descriptor
        self._keys: Keys = descriptor.keys()
        self._names = list(descriptor.sources)
        self._join = _joiner(descriptor, context.spec)
        self._slots: dict[str | None, int | None] = {}

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """A batch for each joined record, and for those that were given up."""
        clock = asyncio.get_running_loop().time
        matcher = self._matcher()
        upcoming = Upcoming(batches)
        try:
            while True:
                oldest_s = matcher.oldest_s()
                waits_s = max(0.0, oldest_s + self._options.timeout_s - clock())
                batch = await upcoming.within(None if math.isinf(waits_s) else waits_s)
                if batch is END:
                    break
                if batch is not None:
                    for made in self._put(batch, matcher, clock()):
                        yield made
                alone = matcher.older_than(clock() - self._options.timeout_s)
                if alone:
                    yield self._unmatched(alone)
            if alone := matcher.older_than(math.inf):
                yield self._unmatched(alone)
        finally:
            await upcoming.cancel()

    def _matcher(self) -> Matcher:
        options = self._options
        if options.tolerance_s is None:
            return ByKey(len(self._names), options.max_keys)
        return ByTime(len(self._names), round(options.tolerance_s * 1e9), options.max_keys)

    def _put(self, batch: Batch, matcher: Matcher, now_s: float) -> Iterator[Batch]:
        there = valid_places(batch)
        batch = batch if there is None else batch.keeping(there)
        slots, keys, failed = self._placed(batch)
        if failed:
            batch = batch.without(failed)
        stamps = [0] * len(batch)
        if batch.metadata is not None:
            stamps = [metadata.timestamp_ns or 0 for metadata in batch.metadata]
        passing, held = held_of(batch, stamps)
        if passing is not None:
            yield passing
        for slot, key, record in zip(slots, keys, held, strict=True):
            found, alone = matcher.offer(Offered(slot, key, record, now_s))
            if alone:
                yield self._unmatched(alone)
            if found:
                value = self._join([record.value for record in found])
                newest = max(found, key=lambda record: record.place)
                yield made_of(value, newest.metadata, found)

    def _placed(self, batch: Batch) -> tuple[list[int], list[Any], dict[int, RecordError]]:
        """The source and the key of each record that has both, and why the others have not."""
        keys, failed = self._keys(batch)
        slots: list[int] = []
        left: list[Any] = []
        by_time = self._options.tolerance_s is not None
        for place, key in enumerate(keys):
            metadata = None if batch.metadata is None else batch.metadata[place]
            slot = self._slot(None if metadata is None else metadata.source)
            if place in failed:
                continue
            if slot is None:
                name = None if metadata is None else metadata.source
                failed[place] = RecordError(f"its source {name!r} is none of those to be joined")
            elif by_time and (metadata is None or metadata.timestamp_ns is None):
                failed[place] = RecordError("it has no time stamp to be joined by")
            elif not by_time and key is None:
                failed[place] = RecordError("it has no key to be joined by")
            else:
                slots.append(slot)
                left.append(key)
        return slots, left, failed

    def _slot(self, source: str | None) -> int | None:
        """Which of the sources that are joined it is."""
        if source not in self._slots:
            patterns = enumerate(self._options.sources.values())
            matching = (slot for slot, pattern in patterns if fnmatchcase(source or "", pattern))
            if len(self._slots) > self._options.max_keys:
                self._slots.clear()
            self._slots[source] = None if source is None else next(matching, None)
        return self._slots[source]

    def _unmatched(self, alone: Sequence[Held]) -> Batch:
        if self._options.unmatched == "leave_out":
            return left_out(alone)
        return given_up(alone, "it found no partners to be joined with")


def _joiner(descriptor: JoinPipeDescriptor, spec: DataSpec) -> Callable[[list[Any]], Value]:
    names = list(descriptor.sources)
    if descriptor.form == "object":
        return lambda values: dict(zip(names, values, strict=True))
    if spec.is_scalar:
        return lambda values: np.array(values, spec.dtype)
    return np.stack
