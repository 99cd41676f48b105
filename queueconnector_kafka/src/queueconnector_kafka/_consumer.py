"""A consumer of one topic: all that the source asks of a client of Kafka."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import errors

from queueconnector_core.errors import RetryableError
from queueconnector_core.gaps import GapLedger
from queueconnector_core.record import Acknowledgement
from queueconnector_kafka._access import Access
from queueconnector_kafka._choosing import make_consumer
from queueconnector_kafka._client import KafkaRecord, partitions_of, translated
from queueconnector_kafka._connecting import connect
from queueconnector_kafka._continuity import Continuity, Interrupted
from queueconnector_kafka._group import Membership
from queueconnector_kafka._offsets import starting_offsets
from queueconnector_kafka._positions import Fetched, Positions, Progress
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("Consumer",)

logger = logging.getLogger(__name__)

FETCH_POLL_S: Final = 1.0
SILENCE_S: Final = 10.0
"""A consumer that heard nothing from any broker for so long has lost its brokers."""


class Consumer:
    """Reads a topic, each partition at its own position: all of them, or its share of a group's."""

    def __init__(
        self,
        options: KafkaConsumerSourceDescriptor,
        access: Access,
        gaps: GapLedger,
        before: Interrupted | None = None,
    ) -> None:
        """`gaps` is told what is lost; `before` is where a former consumer was interrupted."""
        self._topic = options.topic
        self._options = options
        self._access = access
        self._before = Interrupted({}) if before is None else before
        self._ends = self._before.ends
        in_group = options.group_id is not None
        self._client = make_consumer(options, access)
        self.positions = Positions(self._client.offset)
        """The partitions that are read at present."""
        self._group = Membership(self._client, options, self.positions) if in_group else None
        self._continuity = Continuity(self._client.metadata, self._topic, gaps)
        self._open = False
        self._waiting: asyncio.Timeout | None = None
        self._heard = _Heard()

    @property
    def is_open(self) -> bool:
        """Whether there may be more to fetch."""
        return self._open

    def interrupted(self) -> Interrupted:
        """What the next consumer needs to go on where this one is."""
        for partition, progress in self.positions.items():
            progress.whole_ns = self._whole_ns(partition)
        moving = {} if self._group is None else self._group.given_up
        return Interrupted(moving | self.positions, self._continuity.topic_id, self._ends)

    async def start(self) -> None:
        """Fix the positions: those of `resume`, of the group, or where the options say.

        Raises `RetryableError` or `FatalError`.
        """
        await connect(self._options, self._access, "cannot read", self._begin, self.stop)

    async def _begin(self) -> None:
        await self._client.start()
        partitions = await partitions_of(self._client.metadata, self._options)
        resume = await self._continuity.resumed(self._before)
        if self._options.until == "latest" and not self._ends:
            self._ends = await self._client.ends(partitions)
        if self._group is not None:
            await self._group.join(partitions, resume)
        else:
            await self._assign(await self._all(partitions, resume))
        self._heard.now()
        self._open = True

    async def _all(self, partitions: list[int], resume: dict[int, Progress]) -> dict[int, Progress]:
        """The positions of all partitions, where there is no group."""
        if resume:
            # After an interruption a partition that is new was made since, and is read as a whole.
            return {number: resume.get(number) or Progress(0) for number in partitions}
        begin = await starting_offsets(self._client, partitions, self._options.start)
        return {number: Progress(begin[number]) for number in partitions}

    async def _assign(self, added: Mapping[int, Progress]) -> None:
        self.positions.update(added)
        await self._client.assign({n: progress.position for n, progress in self.positions.items()})

    async def _seek(self, partitions: Mapping[int, Progress]) -> None:
        self.positions.update(partitions)
        await self._client.seek({n: progress.position for n, progress in partitions.items()})

    async def fetch(self) -> Fetched:
        """The next records by partition, at most `MAX_FETCH_RECORDS` of them.

        None when there were none for a second or two, or after `end`. Raises `RetryableError`,
        also when no broker answered for `SILENCE_S`, and `FatalError`.
        """
        if not self._open:
            return {}
        try:
            # A client may wait without a limit while a group rebalances.
            async with asyncio.timeout(2 * FETCH_POLL_S) as self._waiting:
                await self._look_around()
                found = await self._next()
        except TimeoutError:
            found = {}
        except errors.KafkaError as error:
            raise translated(error, f"cannot read {self._options.where}") from None
        finally:
            self._waiting = None
        if self._group is not None and self._group.error is not None:
            raise self._group.error
        if found:
            self._heard.now()
        elif self._open:
            self._check_silence()
        return found

    async def _look_around(self) -> None:
        """What is to be known before the next records are asked for."""
        if await self._continuity.is_another():
            await self._begin_anew()
        if self._group is None:
            await self._watch_partitions()
        elif not self.positions and await self._client.metadata.force_metadata_update():
            # There is nothing to fetch: this answer has to prove that the brokers are there.
            self._heard.now()
        if self._options.until == "latest" and await self._is_at_end():
            self._open = False

    async def _is_at_end(self) -> bool:
        if self._group is not None and not self._group.is_settled:
            return False
        for number in list(self.positions):
            # Not that of the last record: behind it there may be marks of transactions.
            if await self._client.position(number) < self._ends.get(number, 0):
                return False
        return True

    async def _next(self) -> Fetched:
        if not self._open:
            return {}
        try:
            found = await self._client.fetch(FETCH_POLL_S)
        except errors.OffsetOutOfRangeError as error:
            await self._return_to_range(error.args[0])
            return {}
        return self._ours(found)

    async def fetched(self) -> Fetched:
        """All records that the client holds at this moment; it waits for no broker."""
        return self._ours(await self._client.held())

    def _ours(self, found: Fetched) -> Fetched:
        """Without what was fetched for a group before the position was fixed."""
        return {number: records for number, records in found.items() if number in self.positions}

    def values(self, records: Sequence[Any]) -> list[bytes | None]:
        """The values of records that were fetched."""
        return self._client.values(records)

    def known(self, record: Any) -> KafkaRecord:
        """All that is known of a record that was fetched."""
        return self._client.known(record)

    def taken(self, fetched: Fetched) -> tuple[Acknowledgement, ...]:
        """What was fetched is on its way to the sinks now; what its batch has to carry."""
        if self._group is not None:
            return (self.positions.take_to_deliver(fetched),)
        self.positions.take(fetched)
        return ()

    def _known(self) -> set[int]:
        return self._client.metadata.cluster.partitions_for_topic(self._topic) or set()

    async def _watch_partitions(self) -> None:
        """Read new partitions from their beginning: all they hold was written since `start`."""
        new = self._known() - self.positions.keys()
        if new:
            logger.info("%s has new partitions: %s", self._options.where, sorted(new))
            await self._assign({number: Progress(0) for number in new})

    def _whole_ns(self, partition: int) -> int:
        """When nothing was missing of it yet: the time of its latest answer."""
        answered_ns = 1_000_000 * self._client.answered_ms(partition)
        return max(self.positions[partition].whole_ns, answered_ns)

    async def _return_to_range(self, wanted: Mapping[int, int]) -> None:
        """Go on with the oldest record where the wanted one is gone, or the topic began anew."""
        if await self._continuity.is_another(at_once=True):
            await self._begin_anew()
            return
        first = await self._client.beginnings([*wanted])
        for number, offset in wanted.items():
            if number not in self.positions or await self._client.position(number) != offset:
                # aiokafka also tells of what was asked for before the last seek.
                continue
            logger.warning(
                "%s[%d]@%d is not there any more; going on at @%d",
                *(self._topic, number, offset, first[number]),
            )
            whole_ns = self._whole_ns(number)
            if offset < first[number]:
                self._continuity.removed(number, offset, first[number], whole_ns)
                self.positions[number].position = first[number]
            else:
                # A log that is shorter than what was read of it: of a broker without topic ids.
                self._continuity.made_anew(whole_ns)
                self.positions[number] = Progress(first[number])
            await self._seek({number: self.positions[number]})

    async def _begin_anew(self) -> None:
        """Read the whole topic, which is another one than that of before."""
        logger.warning("%s was made anew; reading all of it", self._options.where)
        self._continuity.made_anew(max(map(self._whole_ns, self.positions), default=None))
        if self._group is not None:
            self._group.begin_anew()
            await self._seek({number: Progress(0) for number in self.positions})
            return
        known = self._known() or set(self.positions)
        self.positions.clear()
        await self._assign({number: Progress(0) for number in known})

    def silent_s(self) -> float:
        """Seconds since a broker last answered; 0 while nobody waits for records."""
        return self._silence_s() if self._waiting is not None else 0.0

    def lag(self) -> int | None:
        """Records between what was read and the ends that came with the latest records."""
        behind = [
            self._client.behind(number, progress.position)
            for number, progress in self.positions.items()
        ]
        known = [records for records in behind if records is not None]
        return sum(known) if known else None

    def _silence_s(self) -> float:
        return self._heard.silent_s(self._client.answers())

    def _check_silence(self) -> None:
        silent_s = self._silence_s()
        if silent_s > SILENCE_S:
            servers = ", ".join(self._options.bootstrap)
            raise RetryableError(
                f"no answer from the Kafka brokers at {servers} for {silent_s:.0f} s"
            )

    def end(self) -> None:
        """Fetch nothing more: a waiting `fetch` returns. The connection stays."""
        self._open = False
        if self._waiting is not None:
            self._waiting.reschedule(0)

    async def stop(self) -> None:
        """Commit what was delivered, and disconnect; a waiting `fetch` returns."""
        self.end()
        if self._group is not None:
            await self._group.leave()
        await self._client.stop()


class _Heard:
    """When a broker last answered."""

    def __init__(self) -> None:
        self._answer = 0
        self._at = time.monotonic()

    def now(self) -> None:
        self._at = time.monotonic()

    def silent_s(self, answer: int) -> float:
        """Seconds since `answer`, the client's mark of the latest answer, changed."""
        if answer != self._answer:
            self._answer = answer
            self.now()
        return time.monotonic() - self._at
