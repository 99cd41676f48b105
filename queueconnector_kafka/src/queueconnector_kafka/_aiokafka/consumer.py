"""A consumer of one topic by means of aiokafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition, errors

from queueconnector_kafka._access import Access
from queueconnector_kafka._client import KafkaRecord, common
from queueconnector_kafka._clients import MAX_FETCH_RECORDS, RebalanceListener
from queueconnector_kafka._connecting import closed
from queueconnector_kafka._positions import Fetched
from queueconnector_kafka.descriptors import KafkaConsumerSourceDescriptor

__all__ = ("AiokafkaConsumer",)

NEVER_MS: Final = 2**31 - 1


def _group_settings(options: KafkaConsumerSourceDescriptor) -> dict[str, Any]:
    session_ms = round(options.session_timeout_s * 1000)
    return {
        "group_id": options.group_id,
        "group_instance_id": options.group_instance_id,
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": min(3_000, session_ms // 3),
        # Who waits for a slow sink is not stuck. aiokafka answers the heartbeats and rebalances of
        # the group in tasks of its own, so that this limit is nothing but a reason to leave it.
        "max_poll_interval_ms": NEVER_MS,
    }


class AiokafkaConsumer:
    """Implements `ConsumerClient`.

    Without a group the partitions are assigned and not subscribed to: a subscription drops all
    positions, and goes on at the end, when a restarting broker does not know its topics for a
    moment.
    """

    def __init__(self, options: KafkaConsumerSourceDescriptor, access: Access) -> None:
        self._options = options
        in_group = options.group_id is not None
        self._aiokafka = AIOKafkaConsumer(
            **common(options, access) | (_group_settings(options) if in_group else {}),
            fetch_max_wait_ms=options.fetch_max_wait_ms,
            # The fetching task wakes up by events; this is no more than a safety net.
            consumer_timeout_ms=1_000,
            auto_offset_reset="none",
            enable_auto_commit=False,
            isolation_level=options.isolation_level,
        )
        # aiokafka gives a consumer's metadata away, but no way to ask for fresh ones.
        self.metadata = self._aiokafka._client  # noqa: SLF001

    async def start(self) -> None:
        await self._aiokafka.start()

    async def stop(self) -> None:
        where = self._options.where
        await closed(self._aiokafka.stop(), f"the consumer of {where}")
        # aiokafka's own stop breaks off when a fetch is just waiting to be tried again.
        fetcher, coordinator = self._aiokafka._fetcher, self._aiokafka._coordinator  # noqa: SLF001
        left = [*fetcher._pending_tasks] if fetcher else []  # noqa: SLF001
        names = ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")
        left += filter(None, (getattr(coordinator, name, None) for name in names))
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await closed(self.metadata.close(), f"the connections of {where}")

    def _place(self, partition: int) -> Any:
        return TopicPartition(self._options.topic, partition)

    def _places(self, partitions: Sequence[int]) -> list[Any]:
        return [self._place(partition) for partition in partitions]

    async def beginnings(self, partitions: Sequence[int]) -> Mapping[int, int]:
        found = await self._aiokafka.beginning_offsets(self._places(partitions))
        return {place.partition: offset for place, offset in found.items()}

    async def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        found = await self._aiokafka.end_offsets(self._places(partitions))
        return {place.partition: offset for place, offset in found.items()}

    async def offsets_at(self, partitions: Sequence[int], time_ms: int) -> Mapping[int, int]:
        wanted = dict.fromkeys(self._places(partitions), time_ms)
        found = await self._aiokafka.offsets_for_times(wanted)
        return {place.partition: at.offset for place, at in found.items() if at is not None}

    async def assign(self, offsets: Mapping[int, int]) -> None:
        self._aiokafka.assign(self._places([*offsets]))
        await self.seek(offsets)

    async def seek(self, offsets: Mapping[int, int]) -> None:
        for partition, offset in offsets.items():
            self._aiokafka.seek(self._place(partition), offset)

    async def position(self, partition: int) -> int:
        offset: int = await self._aiokafka.position(self._place(partition))
        return offset

    async def fetch(self, timeout_s: float) -> Fetched:
        try:
            found = await self._aiokafka.getmany(
                timeout_ms=round(1000 * timeout_s), max_records=MAX_FETCH_RECORDS
            )
        except errors.OffsetOutOfRangeError as error:
            gone = {place.partition: offset for place, offset in error.args[0].items()}
            raise errors.OffsetOutOfRangeError(gone) from None
        except (errors.ConsumerStoppedError, errors.NoOffsetForPartitionError):
            # The group has given us a partition, and its position is not fixed yet.
            return {}
        return {place.partition: fetched for place, fetched in found.items()}

    async def held(self) -> Fetched:
        try:
            found = await self._aiokafka.getmany(timeout_ms=0)
        except errors.KafkaError:
            return {}
        return {place.partition: fetched for place, fetched in found.items()}

    def values(self, records: Sequence[KafkaRecord]) -> list[bytes | None]:
        return [record.value for record in records]

    def offset(self, record: KafkaRecord) -> int:
        return record.offset

    def known(self, record: KafkaRecord) -> KafkaRecord:
        return record

    async def join(self, listener: RebalanceListener) -> None:
        # aiokafka tells what goes wrong in the group to those who wait for an assignment.
        assignment = self._aiokafka._subscription.wait_for_assignment()  # noqa: SLF001
        followed = _Followed(listener.on_revoked, listener.on_assigned)
        self._aiokafka.subscribe([self._options.topic], listener=followed)
        await assignment

    async def committed(self, partitions: Sequence[int]) -> Mapping[int, tuple[int, str]]:
        # One request for all; aiokafka's own method makes one for each.
        coordinator = self._aiokafka._coordinator  # noqa: SLF001
        found = await coordinator.fetch_committed_offsets(self._places(partitions))
        return {place.partition: (at.offset, at.metadata or "") for place, at in found.items()}

    async def commit(self, offsets: Mapping[int, tuple[int, str]]) -> None:
        await self._aiokafka.commit({self._place(n): given for n, given in offsets.items()})

    def behind(self, partition: int, read: int) -> int | None:
        # Not where the last record was: behind it there may be marks of transactions.
        subscription = self._aiokafka._subscription.subscription  # noqa: SLF001
        assignment = subscription and subscription.assignment
        state = assignment and assignment.state_value(self._place(partition))
        if not state or state.highwater is None or not state.has_valid_position:
            return None
        # The last stable offset is -1 where transactions do not matter.
        is_stable = state.lso is not None and state.lso >= 0
        end: int = state.lso if is_stable else state.highwater
        position: int = state.position
        return max(0, end - max(position, read))

    def answers(self) -> int:
        places = self._aiokafka.assignment()
        return max((self.answered_ms(place.partition) for place in places), default=0)

    def answered_ms(self, partition: int) -> int:
        return self._aiokafka.last_poll_timestamp(self._place(partition)) or 0


class _Followed(ConsumerRebalanceListener):  # type: ignore[misc]
    """A listener as aiokafka calls it."""

    def __init__(
        self,
        revoked: Callable[[], Coroutine[Any, Any, None]],
        assigned: Callable[[Sequence[int]], Coroutine[Any, Any, None]],
    ) -> None:
        self._revoked = revoked
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._revoked()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        await self._assigned([place.partition for place in assigned])
