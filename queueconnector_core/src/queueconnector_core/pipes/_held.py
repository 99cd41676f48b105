"""Records that a pipe holds back, each on its own, and the acknowledgements that wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import attrs

from queueconnector_core.errors import RecordError
from queueconnector_core.record import NO_METADATA, Acknowledgement, Batch, Metadata, Value

__all__ = ("Held", "held_of", "made_of", "given_up", "left_out")


@attrs.define(eq=False)
class _Origin:
    """The batch that held records came in: it is acknowledged with the last of them."""

    acknowledgements: tuple[Acknowledgement, ...]
    left: int


class Held(NamedTuple):
    """One record on hold."""

    place: int
    """What records are ordered by: their number, or a time in nanoseconds."""
    value: Value
    metadata: Metadata | None
    weight: int
    origin: _Origin


def held_of(batch: Batch, places: Sequence[int]) -> tuple[Batch | None, list[Held]]:
    """What of a batch can travel on at once, if anything, and its records, to be held back."""
    passing: Batch | None = batch
    if batch.values:
        passing, batch = batch.split(0) if batch.failures or batch.filtered else (None, batch)
    origin = _Origin(batch.acknowledgements, len(batch))
    metadata: Iterable[Metadata | None] = batch.metadata or [None] * len(batch)
    weights = batch.weights or [1] * len(batch)
    records = map(Held, places, batch.values, metadata, weights, repeat(origin))
    return passing, list(records)


def made_of(value: Value, newest: Metadata | None, leaving: Sequence[Held]) -> Batch:
    """A value that was made of held records; it stands for those that are held no longer."""
    known = [held.metadata for held in leaving if held.metadata is not None]
    if known:
        newest = attrs.evolve(newest or NO_METADATA, parts=(known,))
    return Batch(
        [value],
        None if newest is None else [newest],
        weights=[sum(held.weight for held in leaving)],
        acknowledgements=tuple(_released(leaving)),
    )


def given_up(leaving: Sequence[Held], reason: str) -> Batch:
    """Held records as failures."""
    failures = [
        RecordError(
            reason,
            held.weight,
            () if held.metadata is None else tuple(held.metadata.originals()),
        )
        for held in leaving
    ]
    return Batch((), failures=failures, acknowledgements=tuple(_released(leaving)))


def left_out(leaving: Sequence[Held]) -> Batch:
    """Held records as filtered ones."""
    return Batch(
        (),
        filtered=sum(held.weight for held in leaving),
        acknowledgements=tuple(_released(leaving)),
    )


def _released(leaving: Sequence[Held]) -> Iterator[Acknowledgement]:
    """The acknowledgements of which nothing else is held."""
    for *_, origin in leaving:
        origin.left -= 1
        if not origin.left:
            yield from origin.acknowledgements
