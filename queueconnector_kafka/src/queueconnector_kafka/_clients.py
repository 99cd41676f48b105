"""What the source and the sink need of a client of Kafka.

Records are moved by one of two libraries, as the option `client` says. All else is common: what is
read and written, in which order, what is repeated and what is told, and so are the errors, which a
client raises as aiokafka names them. The topic's metadata are asked for by aiokafka's client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from queueconnector_kafka._client import KafkaRecord, Metadata
    from queueconnector_kafka._compose import Messages
    from queueconnector_kafka._positions import Fetched

__all__ = (
    "LAST_CONFIRMATIONS_S",
    "MAX_FETCH_RECORDS",
    "ConsumerClient",
    "Producer",
    "RebalanceListener",
    "RecordBatch",
)


MAX_FETCH_RECORDS: Final = 1_000
"""So many records are decoded at a stretch, before others get their turn."""

LAST_CONFIRMATIONS_S: Final = 5.0
"""What is being sent when a producer is to stop has so long to be confirmed."""


class RebalanceListener(Protocol):
    """Follows a group that gives partitions to its members; no records are given meanwhile."""

    async def on_revoked(self) -> None:
        """All partitions are taken from this member; the group waits until this returns."""

    async def on_assigned(self, partitions: Sequence[int]) -> None:
        """These are ours now; their positions are to be fixed by `ConsumerClient.seek`."""


class ConsumerClient(Protocol):
    """Reads partitions of one topic, each from where it is told to. Offsets go by partition.

    Its coroutines raise aiokafka's `KafkaError`.
    """

    metadata: Metadata
    """What the brokers say about the topic."""

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Leave the group, without a commit, and disconnect, in a bounded time; never raises."""

    async def beginnings(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The offsets of the oldest records."""

    async def ends(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The offsets behind the newest records."""

    async def offsets_at(self, partitions: Sequence[int], time_ms: int) -> Mapping[int, int]:
        """The offsets of the first records that are not older; partitions without any are absent.

        `time_ms`: milliseconds since the Unix epoch.
        """

    async def assign(self, offsets: Mapping[int, int]) -> None:
        """Read exactly these partitions, from these offsets on."""

    async def seek(self, offsets: Mapping[int, int]) -> None:
        """Go on at these offsets in some of the partitions that are read."""

    async def position(self, partition: int) -> int:
        """The offset where it goes on, behind marks of transactions too."""

    async def fetch(self, timeout_s: float) -> Fetched:
        """The next records, at most `MAX_FETCH_RECORDS`; none after the time-out.

        When it is cancelled no record is lost. Raises `OffsetOutOfRangeError`, whose first argument
        are the offsets that are not there.
        """

    async def held(self) -> Fetched:
        """The records that are here already; it does not wait for a broker, and never raises."""

    def values(self, records: Sequence[Any]) -> list[bytes | None]:
        """The values of records that were fetched."""

    def offset(self, record: Any) -> int:
        """The offset of a record that was fetched."""

    def known(self, record: Any) -> KafkaRecord:
        """All that is known of a record that was fetched."""

    async def join(self, listener: RebalanceListener) -> None:
        """Enter the group, and wait until it has given partitions to this member for once."""

    async def committed(self, partitions: Sequence[int]) -> Mapping[int, tuple[int, str]]:
        """The offset and the text that the group keeps, where it keeps any."""

    async def commit(self, offsets: Mapping[int, tuple[int, str]]) -> None:
        """Let the group keep an offset and a text for each of these partitions."""

    def behind(self, partition: int, read: int) -> int | None:
        """Records from offset `read` to the end that came with the latest; None: none came yet."""

    def answers(self) -> int:
        """A mark that changes with every answer of a broker."""

    def answered_ms(self, partition: int) -> int:
        """When a broker last answered for it: milliseconds since the Unix epoch, 0 for never."""


class RecordBatch(Protocol):
    """What is sent at once to a partition: made by `Producer.pack`, sent by it once."""

    @property
    def is_under_way(self) -> bool:
        """Whether it is not sent, or neither confirmed nor refused yet."""

    def unconfirmed(self, indices: Sequence[int]) -> Sequence[int]:
        """Those of its records, by their places in it, that the brokers do not have."""


class Producer(Protocol):
    """Writes record batches to the partitions of one topic."""

    @property
    def is_broken(self) -> bool:
        """Whether nothing can be written any more but by another producer."""

    async def start(self) -> None:
        """Connect, and wait for the topic. Raises `RetryableError` or `FatalError`."""

    async def partitions(self) -> list[int]:
        """The numbers of the topic's partitions. Raises `RetryableError` or `FatalError`."""

    def pack(self, messages: Messages, first: int) -> tuple[RecordBatch, int]:
        """A record batch of messages from place `first` on, and the place of the next message.

        It takes as many as fit, at least one.
        """

    async def send(self, record_batches: Mapping[int, Any]) -> list[Exception | None]:
        """Send one record batch to each partition; the result of each: None, or why it failed.

        One that was sent before is only waited for. It waits for all, as long as a request may
        take: one that is still under way then has the result `RetryableError`. The other results
        are `MessageTooLargeError`, `TimestampRefusedError`, `RetryableError` and `FatalError`:
        then what is `unconfirmed` has to be packed anew.
        """

    async def stop(self) -> None:
        """Disconnect; what is still being sent has some seconds left."""
