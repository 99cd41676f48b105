"""Sources with one defect each."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Acknowledgement, Batch, Value
from tests.conformance.broken.shelf import BATCH, UNUSABLE, ShelfSource, ShelfSourceDescriptor


class LosesTheLast(ShelfSource):
    """loses the last record of each batch"""

    caught_by = "test_accept_all"

    def batch(self, items: Sequence[Any]) -> Batch:
        return super().batch(items[:-1] if len(items) == BATCH else items)


class Duplicates(ShelfSource):
    """gives a record twice"""

    caught_by = "test_accept_all"

    def batch(self, items: Sequence[Any]) -> Batch:
        return super().batch([items[0], *items] if len(items) == BATCH else items)


class Reorders(ShelfSource):
    """gives the records of a batch in another order"""

    caught_by = "test_order"

    def batch(self, items: Sequence[Any]) -> Batch:
        return super().batch(items[::-1] if len(items) == BATCH else items)


class WrongDtype(ShelfSource):
    """gives float where the exchange carries integers"""

    caught_by = "test_values_have_dtype_and_shape"

    def value(self, item: Any) -> Value:
        return float(item)


class AcknowledgesEarly(ShelfSource):
    """acknowledges at its far end as soon as it has read"""

    caught_by = "test_what_was_not_acknowledged_comes_again"

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        self.shelf.delivered = self.next
        return super().acknowledgements()


class NeverAcknowledges(ShelfSource):
    """tells its far end nothing of what was delivered"""

    caught_by = "test_what_was_acknowledged_does_not_come_again"

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        return (Acknowledgement(lambda: None),)


class AcknowledgesWithTheLatest(ShelfSource):
    """takes the acknowledgement of a batch for that of all before it"""

    caught_by = "test_a_later_acknowledgement_does_not_cover_an_earlier_batch"

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        position = self.next

        def acknowledge() -> None:
            self.shelf.delivered = max(self.shelf.delivered, position)

        return (Acknowledgement(acknowledge),)


class CarriesNoAcknowledgement(ShelfSource):
    """declares acknowledgements, and carries none"""

    caught_by = "test_it_is_what_it_declares"

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        return ()


class BlocksTheLoop(ShelfSource):
    """sleeps in the event loop"""

    caught_by = "test_nothing_blocks_the_loop"

    async def start(self) -> None:
        time.sleep(0.01)  # noqa: ASYNC251 - the defect
        await super().start()


class ComputesForLong(ShelfSource):
    """computes for long in the event loop"""

    caught_by = "test_nothing_blocks_the_loop"
    starts = 0

    async def start(self) -> None:
        await super().start()
        self.starts += 1
        ends_s = time.thread_time() + 0.4
        while self.starts == 2 and time.thread_time() < ends_s:
            sum(range(1000))


class StartsInSpiteOfCancellation(ShelfSource):
    """swallows the cancellation of start"""

    caught_by = "test_start_may_be_cancelled"

    async def start(self) -> None:
        try:
            await super().start()
        except asyncio.CancelledError:
            await super().start()


class ReadsInSpiteOfCancellation(ShelfSource):
    """swallows the cancellation of read"""

    caught_by = "test_read_may_be_cancelled"

    async def wait(self) -> None:
        try:
            await super().wait()
        except asyncio.CancelledError:
            return


class LeaksATask(ShelfSource):
    """leaves a task behind"""

    caught_by = "test_no_task_is_left"

    async def start(self) -> None:
        await super().start()
        self.task = asyncio.create_task(asyncio.sleep(60))


class LeaksAThread(ShelfSource):
    """leaves a thread behind"""

    caught_by = "test_no_thread_is_left"

    async def start(self) -> None:
        await super().start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()


class LeaksAFile(ShelfSource):
    """leaves a file open"""

    caught_by = "test_no_connection_is_left"

    async def start(self) -> None:
        await super().start()
        self.pipe = os.pipe()


class HangsInStop(ShelfSource):
    """hangs in stop"""

    caught_by = "test_stop_returns_in_time"
    started = False

    async def start(self) -> None:
        await super().start()
        self.started = True

    async def stop(self) -> None:
        await super().stop()
        if self.started:
            await asyncio.sleep(60)


class StopsOnce(ShelfSource):
    """fails when it is stopped twice"""

    caught_by = "test_stop_twice_is_stop_once"
    started = True
    stopped = False

    async def start(self) -> None:
        self.started, self.stopped = True, False
        await super().start()
        self.started = False

    async def stop(self) -> None:
        await super().stop()
        if self.stopped:
            raise ValueError("stopped already")
        self.stopped = not self.started


class StopsOnlyWhatWasStarted(ShelfSource):
    """fails when it is stopped before it was started"""

    caught_by = "test_stop_is_safe_before_start"
    started: bool

    async def start(self) -> None:
        self.started = True
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        assert self.started, "not started"


class StartsOnce(ShelfSource):
    """does not start again"""

    caught_by = "test_it_starts_again_after_stop"
    started = False

    async def start(self) -> None:
        if self.started:
            raise ValueError("started already")
        self.started = True
        await super().start()


class ConnectsInTheFactory(ShelfSource):
    """connects when it is built"""

    caught_by = "test_factory_connects_nothing"

    def __init__(self, descriptor: ShelfSourceDescriptor, context: BuildContext) -> None:
        super().__init__(descriptor, context)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
            found.connect(("127.0.0.1", 9))


class DropsFailuresSilently(ShelfSource):
    """leaves out what it cannot decode, in silence"""

    caught_by = "test_an_unusable_record_is_a_failure"

    def batch(self, items: Sequence[Any]) -> Batch:
        return super().batch([item for item in items if item != UNUSABLE])


class ForgetsWhatItReceived(ShelfSource):
    """tells a failure without what was received"""

    caught_by = "test_a_failure_keeps_what_was_received"

    def failure(self, item: Any) -> RecordError:
        return RecordError("unusable")


class ReadsWithoutBound(ShelfSource):
    """receives without bound while nobody takes what it gives"""

    caught_by = "test_it_holds_a_bounded_number"

    async def read(self) -> AsyncIterator[Batch]:
        async for batch in super().read():
            yield batch
        # All that its far end has sent meanwhile is in its buffer.
        while found := self.take():
            yield self.batch(found)


class ReadsOnAfterStop(ShelfSource):
    """goes on reading after stop"""

    caught_by = "test_read_ends_after_stop"

    async def read(self) -> AsyncIterator[Batch]:
        while True:
            if found := self.take():
                yield self.batch(found)
            else:
                await self.wait()


class EndsWithTheConnection(ShelfSource):
    """takes a lost connection for the end of the stream"""

    caught_by = "test_a_lost_connection"

    async def read(self) -> AsyncIterator[Batch]:
        while not self.ending.is_set() and not self.shelf.cut:
            if found := self.take():
                yield self.batch(found)
            else:
                await self.wait()


class IsSilentForEver(ShelfSource):
    """says that its far end is silent while it is not"""

    caught_by = "test_it_tells_its_silence"

    def silent_s(self) -> float:
        return 1e9


SOURCES: tuple[type[ShelfSource], ...] = (
    *(LosesTheLast, Duplicates, Reorders, WrongDtype, AcknowledgesEarly, NeverAcknowledges),
    *(AcknowledgesWithTheLatest, CarriesNoAcknowledgement, BlocksTheLoop, ComputesForLong),
    *(StartsInSpiteOfCancellation, ReadsInSpiteOfCancellation, LeaksATask, LeaksAThread),
    *(LeaksAFile, HangsInStop, StopsOnce, StopsOnlyWhatWasStarted, StartsOnce),
    *(ConnectsInTheFactory, DropsFailuresSilently, ForgetsWhatItReceived, ReadsWithoutBound),
    *(ReadsOnAfterStop, EndsWithTheConnection, IsSilentForEver),
)
