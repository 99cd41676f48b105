"""The pipe that lets only so many records through in a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import attrs
from msgspec import Meta

from queueconnector_core.component import BuildContext
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.pipes._upcoming import END, Upcoming
from queueconnector_core.record import Batch

__all__ = ("RateLimitPipeDescriptor", "RateLimitPipe")

STEP_S: Final = 0.01
"""Records that are due within so many seconds may pass together: nobody waits for each one."""


@attrs.frozen(kw_only=True)
class RateLimitPipeDescriptor(PipeDescriptor):
    """Passes on at most so many records in a second.

    In any time of t seconds at most max_per_s * t + burst records pass, or max_per_s / 100 more
    where that is more than the burst: those of ten milliseconds may pass together.
    """

    max_per_s: Annotated[float, Meta(description="Records in a second; 0.1: one in 10 s.", gt=0)]
    burst: Annotated[
        int,
        Meta(description="So many records may pass together after a time of silence.", ge=1),
    ] = 1
    mode: Annotated[
        Literal["drop", "latest", "delay"],
        Meta(
            description="What happens to records that come too early. drop: they are left out, and "
            "count as filtered. latest: so are all but the newest, which passes as soon as it may. "
            "delay: all wait, and so does the source behind them."
        ),
    ] = "drop"


@attrs.define
class _Allowance:
    """How many records may pass now; it grows with time, up to the burst."""

    per_s: float
    most: float
    left: float
    at_s: float

    def take(self, wanted: int, now_s: float) -> int:
        """How many of the wanted records may pass; they are booked."""
        self.left = min(self.most, self.left + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s
        # What is short of one by rounding is one, or the wait for it would be endless.
        taken = min(wanted, int(self.left + 1e-9))
        self.left -= taken
        return taken

    def wait_s(self, wanted: float) -> float:
        """Seconds until so many records may pass."""
        return max(0.0, (min(wanted, self.most) - self.left) / self.per_s)


class RateLimitPipe:
    """Looks at the clock once a batch."""

    def __init__(self, descriptor: RateLimitPipeDescriptor, context: BuildContext) -> None:
        self._per_s = descriptor.max_per_s
        self._burst = max(float(descriptor.burst), descriptor.max_per_s * STEP_S)
        self._mode = descriptor.mode
        self.longest_hold_s = 0.0 if self._mode == "drop" else 1 / self._per_s

    def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        """The batches with what may pass of them, when it may."""
        now_s = asyncio.get_running_loop().time()
        allowance = _Allowance(self._per_s, self._burst, self._burst, now_s)
        modes = {"drop": _dropping, "latest": _keeping_latest, "delay": _delaying}
        return modes[self._mode](batches, allowance)


async def _dropping(batches: AsyncIterator[Batch], allowance: _Allowance) -> AsyncIterator[Batch]:
    clock = asyncio.get_running_loop().time
    async for batch in batches:
        yield batch.keeping(range(allowance.take(len(batch), clock())))


async def _delaying(batches: AsyncIterator[Batch], allowance: _Allowance) -> AsyncIterator[Batch]:
    clock = asyncio.get_running_loop().time
    async for batch in batches:
        while len(batch) > (allowed := allowance.take(len(batch), clock())):
            if allowed:
                first, batch = batch.split(allowed)  # noqa: PLW2901 - the rest of it
                yield first
            due = min(len(batch), max(1, int(allowance.per_s * STEP_S)))
            await asyncio.sleep(allowance.wait_s(due))
        yield batch


async def _keeping_latest(
    batches: AsyncIterator[Batch], allowance: _Allowance
) -> AsyncIterator[Batch]:
    clock = asyncio.get_running_loop().time
    upcoming = Upcoming(batches)
    held: Batch | None = None
    try:
        while True:
            waits_s = None if held is None else allowance.wait_s(1)
            batch = await upcoming.within(waits_s)
            if batch is END:
                break
            if batch is not None and batch.values:
                if held is not None:
                    yield held.keeping([])
                held = batch
            elif batch is not None:
                yield batch
            if held is None:
                continue
            allowed = allowance.take(len(held), clock())
            if allowed:
                passing, held = held, None
                yield passing.keeping(range(len(passing) - allowed, len(passing)))
        if held is not None:
            yield held.keeping([len(held) - 1])
    finally:
        await upcoming.cancel()
