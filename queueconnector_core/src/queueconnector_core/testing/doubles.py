"""Sources and sinks that do what a test tells them, and remember what was done to them."""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final, TypeAlias

import attrs

from queueconnector_core.errors import RecordError, RecordErrors, RetryableError
from queueconnector_core.record import Acknowledgement, Batch

__all__ = ("PAUSE", "END", "FarEnd", "ScriptedSource", "RecordingSink", "Step", "until", "turns")

Observer: TypeAlias = Callable[[], None]


class _Marker(enum.Enum):
    PAUSE = enum.auto()
    END = enum.auto()


PAUSE: Final = _Marker.PAUSE
"""A source stands still here until it is resumed or stopped."""
END: Final = _Marker.END
"""`read` ends here; what stands behind it comes when the source is read again."""

Step: TypeAlias = Batch | list[Any] | BaseException | _Marker
"""What a source does next: give a batch (or a list of values), raise an error, pause or end."""


class FarEnd:
    """What the doubles have in common: whether they are connected, and how often they were.

    `failures` are what the next calls of `start` raise, one each. Each method lets others run
    `awaits` times before it does anything.
    """

    def __init__(self, failures: Iterable[BaseException] = (), awaits: int = 1) -> None:
        self.starts = 0
        self.stops = 0
        self.running = False
        self.failures = deque(failures)
        self.unreachable: RetryableError | None = None
        """What every call of `start` raises as long as it stands here."""
        self.awaits = awaits

    async def breathe(self) -> None:
        """Let others run."""
        for _ in range(self.awaits):
            await asyncio.sleep(0)

    async def start(self) -> None:
        """Connect; raises what it was told to."""
        self.starts += 1
        self.running = True
        await self.breathe()
        if self.failures:
            raise self.failures.popleft()
        if self.unreachable is not None:
            raise self.unreachable

    async def stop(self) -> None:
        """Disconnect."""
        await self.breathe()
        self.stops += 1
        self.running = False


class ScriptedSource(FarEnd):
    """Gives batches, raises errors, pauses and ends, as its script says.

    ```python
    source = ScriptedSource([1, 2], PAUSE, [3], RetryableError("away"), [4])
    ```

    At the end of the script it ends, or waits to be stopped when `endless`. A connection that is
    opened again goes on where the script stands. `given` are the values that it gave,
    `acknowledged` those that were acknowledged, in this order. With `replays` its batches carry an
    acknowledgement: what is not delivered it would give again. `observe` is called after each.
    """

    def __init__(
        self,
        *script: Step,
        endless: bool = False,
        failures: Iterable[BaseException] = (),
        awaits: int = 1,
        observe: Observer = lambda: None,
        replays: bool = True,
    ) -> None:
        super().__init__(failures, awaits)
        self.given: list[Any] = []
        self.replays = replays
        self.received = 0
        self.acknowledged: list[Any] = []
        self._script = deque(script)
        self._endless = endless
        self._observe = observe
        self._stopped = asyncio.Event()
        self._resumed = asyncio.Event()

    async def start(self) -> None:
        """Connect, to go on where the script stands."""
        self._stopped.clear()
        await super().start()

    async def stop(self) -> None:
        """Disconnect, and end `read`."""
        self._stopped.set()
        await super().stop()

    def resume(self) -> None:
        """Go on after the pause."""
        self._resumed.set()

    async def read(self) -> AsyncIterator[Batch]:
        """What the script says."""
        while self._script and not self._stopped.is_set():
            await self.breathe()
            item = self._script.popleft()
            if isinstance(item, BaseException):
                raise item
            if item is END:
                return
            if isinstance(item, _Marker):
                await self._paused()
                continue
            batch = self._acknowledging(item)
            self.given += batch.values
            self.received += batch.source_records
            yield batch
            self._observe()
        if self._endless:
            await self._stopped.wait()

    async def _paused(self) -> None:
        waits = [asyncio.ensure_future(e.wait()) for e in (self._stopped, self._resumed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    def _acknowledging(self, item: Batch | list[Any]) -> Batch:
        batch = item if isinstance(item, Batch) else Batch(item)
        values = list(batch.values)
        if not self.replays:
            return batch
        acknowledgement = Acknowledgement(lambda: self.acknowledged.extend(values))
        return attrs.evolve(batch, values=values, acknowledgements=(acknowledgement,))


class RecordingSink(FarEnd):
    """Accepts values and keeps them; `script` says what each write does instead.

    An exception is raised (and the batch not accepted), a number refuses the values at multiples
    of it, None accepts. `gate`, when given, is waited for before each write.

    ```python
    sink = RecordingSink(RetryableError("away"), None, 2)
    ```
    """

    def __init__(
        self,
        *script: BaseException | int | None,
        gate: asyncio.Event | None = None,
        failures: Iterable[BaseException] = (),
        awaits: int = 1,
        observe: Observer = lambda: None,
    ) -> None:
        super().__init__(failures, awaits)
        self.accepted: list[Any] = []
        self.refused: list[Any] = []
        self.batches: list[Batch] = []
        self.writes = 0
        self._script = deque(script)
        self._gate = gate
        self._observe = observe

    async def write(self, batch: Batch) -> None:
        """Keep the values in `accepted`, those that it refuses in `refused`."""
        assert self.running, "written before start or after stop"
        self.writes += 1
        self._observe()
        if self._gate is not None:
            await self._gate.wait()
        await self.breathe()
        step = self._script.popleft() if self._script else None
        if isinstance(step, BaseException):
            raise step
        self.batches.append(batch)
        refused = range(0, len(batch), step) if step else ()
        self.refused += [batch.values[index] for index in refused]
        self.accepted += [v for index, v in enumerate(batch.values) if index not in refused]
        if refused:
            raise RecordErrors({index: RecordError("refused") for index in refused})


async def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    """Let others run until `condition` holds; raises `TimeoutError` when it does not become so."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0)


async def turns(number: int) -> None:
    """Let the loop turn so many times."""
    for _ in range(number):
        await asyncio.sleep(0)
