"""Looking at the records of an exchange on their way, without disturbing it.

Where nobody looks, an exchange asks one attribute per batch (`Taps.are_watched`). A view takes what
it has room for and counts the rest: who looks slowly sees less, and the exchange never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import attrs
import numpy as np

from queueconnector_core.errors import ConfigError
from queueconnector_core.record import NO_METADATA, Batch, Metadata, Record, Value

__all__ = ("Taps", "View", "MAX_KEPT", "MAX_OCTETS")

MAX_KEPT: Final = 64
"""A view keeps so many records for the one who looks."""
MAX_OCTETS: Final = 2**25
"""Their values are no larger than this together; one that is larger alone is kept all the same."""


@attrs.frozen
class _Seen:
    """A record whose metadata are made when somebody looks."""

    value: Value
    metadata: Sequence[Metadata] | None
    index: int


class View:
    """The records of one stage of an exchange, for one who looks."""

    def __init__(self, most: int = MAX_KEPT) -> None:
        self.skipped = 0
        """How many records there was no room for."""
        self.most = most
        """It keeps so many."""
        self._closed = False
        self._seen: list[_Seen] = []
        self._octets = 0
        self._news = asyncio.Event()

    def offer(self, batch: Batch) -> None:
        """Keep as many of the first values as there is room for; never waits."""
        for index, value in enumerate(batch.values):
            if len(self._seen) >= self.most or self._octets >= MAX_OCTETS:
                self.skipped += len(batch) - index
                break
            self._octets += _octets(value)
            self._seen.append(_Seen(value, batch.metadata, index))
        if self._seen:
            self._news.set()

    def close(self) -> None:
        """Make `take` return at once from now on, with nothing when nothing is left."""
        self._closed = True
        self._news.set()

    async def take(self) -> list[Record]:
        """All records since the last call, at least one unless it is closed, in order."""
        await self._news.wait()
        if not self._closed:
            self._news.clear()
        seen, self._seen, self._octets = self._seen, [], 0
        return [
            Record(one.value, NO_METADATA if one.metadata is None else one.metadata[one.index])
            for one in seen
        ]


class Taps:
    """The stages of one exchange, and who looks at them; used in its event loop."""

    def __init__(self, stages: Iterable[str]) -> None:
        self.stages = tuple(stages)
        """`source`, `pipe`, `sink`, with an index where there are several: `sink[1]`."""
        self.are_watched = False
        self._listeners: list[tuple[str, Callable[[Batch], None]]] = []

    def show(self, stage: str, batch: Batch) -> None:
        """Offer what has passed a stage to those who look at it."""
        for heard, listener in self._listeners:
            if heard == stage:
                listener(batch)

    def listen(self, stage: str, listener: Callable[[Batch], None]) -> None:
        """Call `listener` with each batch that has passed a stage, from now on."""
        self._listeners.append((stage, listener))
        self.are_watched = True

    @contextmanager
    def view(self, stage: str, most: int = MAX_KEPT) -> Iterator[View]:
        """Look at a stage as long as the body runs; `sink[0]` is the only sink, too.

        The view keeps `most` records for the one who looks.
        Raises `ConfigError` for a stage that the exchange does not have.
        """
        name = stage.removesuffix("[0]") if stage not in self.stages else stage
        if name not in self.stages:
            text = f"found {stage!r}; allowed: {', '.join(self.stages)}"
            raise ConfigError.at("stage", text)
        view = View(most)
        entry = (name, view.offer)
        self._listeners.append(entry)
        self.are_watched = True
        try:
            yield view
        finally:
            self._listeners = [other for other in self._listeners if other is not entry]
            self.are_watched = bool(self._listeners)


def _octets(value: Value) -> int:
    """About how much memory a value takes, without looking into containers."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, tuple):
        return len(value[1])
    return len(value) if isinstance(value, str) else 0
