"""What an exchange does with records that failed: try again, then skip, keep, or give up."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import attrs

from queueconnector_core.dead_letters.writing import DeadLetters
from queueconnector_core.descriptors import ErrorPolicyDescriptor
from queueconnector_core.errors import FatalError, RecordError, RecordErrors
from queueconnector_core.merge import close
from queueconnector_core.protocols import Pipe, Sink
from queueconnector_core.record import Batch, Value
from queueconnector_core.simple import ValuePipe
from queueconnector_core.tap import Taps

__all__ = ("ErrorPolicy",)

Result = TypeVar("Result")


class ErrorPolicy:
    """The options of one exchange, and its dead letters where it has any."""

    def __init__(
        self, options: ErrorPolicyDescriptor | None = None, letters: DeadLetters | None = None
    ) -> None:
        self.letters = letters
        self.on_dropped: Callable[[Sequence[RecordError]], None] = _tell_nobody
        """Called with records that are about to be dropped."""
        self.on_failed: Callable[[Sequence[RecordError]], None] = _tell_nobody
        """Called with all records that failed, whatever becomes of them."""
        self._options = options or ErrorPolicyDescriptor()

    def received(self, batch: Batch, source: int, stage: str) -> Batch:
        """A batch as a source gave it: its failures know where, its records can become letters."""
        _mark(batch, stage)
        return batch if self.letters is None else self.letters.keeping(batch, source)

    async def piped(
        self, pipe: Pipe, batches: AsyncIterator[Batch], stage: str, taps: Taps
    ) -> AsyncIterator[Batch]:
        """What a pipe makes of the batches; values that it refuses are given to it again.

        That is possible where a pipe maps value by value (`ValuePipe`); any other would take a
        repeated value for a new one.
        """
        again = self._options.retries and isinstance(pipe, ValuePipe)
        stream = self._mapped(pipe, batches) if again else pipe.process(batches)  # type: ignore[arg-type]
        try:
            async for batch in stream:
                _mark(batch, stage)
                if taps.are_watched:
                    taps.show(stage, batch)
                yield batch
        finally:
            await close(stream)

    async def _mapped(self, pipe: ValuePipe, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            mapped: list[Value] = []
            failed: dict[int, RecordError] = {}
            for index, value in enumerate(batch.values):
                try:
                    mapped.append(await self._trying(partial(_map, pipe, value)))
                except RecordError as error:
                    failed[index] = error
                    mapped.append(None)
            yield attrs.evolve(batch, values=mapped).without(failed)

    async def write(self, sink: Sink, batch: Batch) -> dict[int, RecordError]:
        """Write a batch; the values that the sink refused, also when they were written again.

        Raises what `Sink.write` raises but `RecordErrors`.
        """
        refused: dict[int, RecordError] = {}
        try:
            await sink.write(batch)
        except RecordErrors as errors:
            refused = errors.failures
        if refused and self._options.retries:
            await self._rewrite(sink, batch, refused)
        return refused

    async def _rewrite(self, sink: Sink, batch: Batch, refused: dict[int, RecordError]) -> None:
        async def attempt() -> None:
            indices = sorted(refused)
            part = batch.only(indices)
            try:
                await sink.write(part)
            except RecordErrors as errors:
                left = {indices[place]: error for place, error in errors.failures.items()}
                refused.clear()
                refused.update(left)
                raise RecordError("refused again") from None
            refused.clear()

        try:
            await self._trying(attempt, spent=1)
        except RecordError:
            return

    async def _trying(self, attempt: Callable[[], Awaitable[Result]], spent: int = 0) -> Result:
        """Try until it works or all retries are used; raises the last `RecordError`.

        The wait doubles from `retry_wait_s`, and a random half of it is left out, so that many
        exchanges do not come back in step.
        """
        options = self._options
        for number in itertools.count(spent):
            if number:
                doubled = options.retry_wait_s * 2.0 ** min(number - 1, 100)
                longest = min(doubled, options.retry_longest_wait_s)
                await asyncio.sleep(longest * random.uniform(0.5, 1))  # noqa: S311 - no secret
            try:
                return await attempt()
            except RecordError:
                if number >= options.retries:
                    raise
        raise AssertionError("an endless loop has ended")

    def judge(
        self, errors: Sequence[RecordError]
    ) -> tuple[Sequence[RecordError], Sequence[RecordError]]:
        """Which records are dropped, and which become dead letters.

        What is not there any more, such as what a full buffer lost, cannot become a letter. Raises
        `FatalError` where the policy is to fail.
        """
        self.on_failed(errors)
        if self._options.action == "fail":
            raise FatalError(f"{errors[0].stage}: {errors[0]} (errors.action is fail)")
        dropped, dead = errors, list[RecordError]()
        if self.letters is not None:
            dropped = [error for error in errors if not error.origins]
            dead = [error for error in errors if error.origins]
        self.on_dropped(dropped)
        return dropped, dead

    def check(self, consecutive_failures: int, last: str) -> None:
        """Raise `FatalError` when too many records failed in a row."""
        limit = self._options.max_in_a_row
        if limit is not None and consecutive_failures >= limit:
            raise FatalError(f"{consecutive_failures} records in a row failed; last: {last}")


def _tell_nobody(_: Sequence[RecordError]) -> None:
    """Nobody listens."""


async def _map(pipe: ValuePipe, value: Value) -> Value:
    return pipe.map(value)


def _mark(batch: Batch, stage: str) -> None:
    for error in batch.failures:
        error.stage = error.stage or stage
