"""Values on their way from source to sink, in batches, with what is known about them.

A `Batch` keeps its values in a plain list, beside optional columns of metadata, so that nothing
but the value itself is paid for per record where there is nothing else to tell.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar, overload

import attrs
import numpy as np

from queueconnector_core.errors import RecordError

__all__ = (
    "Value",
    "Quality",
    "TimestampOrigin",
    "Original",
    "Metadata",
    "Stamp",
    "LazyMetadata",
    "Record",
    "Acknowledgement",
    "Batch",
)

Value: TypeAlias = (
    bool
    | int
    | float
    | complex
    | str
    | tuple[str, bytes]
    | np.generic
    | np.ndarray[Any, np.dtype[Any]]
    | dict[str, Any]
    | list[Any]
    | None
)
"""What an exchange carries: Python scalars, text, (encoding, octets), arrays, containers.

Numeric scalars are Python's own (`float`, not `numpy.float32`); datetime64 and structured scalars
are numpy's. Arrays have exactly the dtype of the exchange and may be read-only. `None` stands only
inside dtype `object`, or beside `Quality.INVALID`.
"""


class Quality(enum.Enum):
    """How far a value can be trusted; the five qualities of Tango."""

    VALID = "VALID"
    INVALID = "INVALID"
    ALARM = "ALARM"
    CHANGING = "CHANGING"
    WARNING = "WARNING"


class TimestampOrigin(enum.Enum):
    """Who set the time stamp of a record."""

    SOURCE = "source"
    """The device or producer that made the value."""
    TRANSPORT = "transport"
    """The transport, such as a broker with log-append time."""
    ARRIVAL = "arrival"
    """This process, when the value arrived."""


@attrs.frozen
class Original:
    """A record as its source received it."""

    content: Value | bytes
    """Octets (`bytes`) as they came, or a value where the source receives values."""
    source: int | None = None
    """The place of the source among those of the exchange; None: the runner fills it in."""
    attempts: int = 0
    """How often it has failed before, as a dead letter that is driven once more."""


@attrs.frozen
class Metadata:
    """What is known of one value beside the value itself."""

    timestamp_ns: int | None = None
    """Nanoseconds since the Unix epoch, UTC."""
    timestamp_origin: TimestampOrigin = TimestampOrigin.ARRIVAL
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    quality: Quality = Quality.VALID
    position: str | None = None
    """Where the source found it, for people: `topic[3]@1042`, `sys/tg_test/1/double_scalar#7`."""
    source: str | None = None
    """What made it, as a URI reference: `tango://host:10000/sys/tg_test/1/double_scalar`."""
    event: str | None = None
    """How the source came by it, such as `change`, `initial` or `polled`."""
    sequence: int | None = None
    """Its number among the records of its source, which began with 1 at `start`."""
    original: Original | None = None
    """The record as its source received it; None: not kept."""
    parts: tuple[Sequence[Metadata], ...] = ()
    """The metadata of the records that this value was made of, where there were several."""

    def originals(self) -> Iterator[Metadata]:
        """The metadata of each source record in it, oldest first."""
        if not self.parts:
            yield self
        for part in self.parts:
            for metadata in part:
                yield from metadata.originals()


NO_METADATA = Metadata()

Stamp: TypeAlias = tuple[int | None, Quality]
"""Of the metadata of a record the time stamp (nanoseconds since the Unix epoch) and the quality."""


def _stamp_of(metadata: Metadata) -> Stamp:
    return metadata.timestamp_ns, metadata.quality


Known = TypeVar("Known")


class LazyMetadata(Sequence[Metadata], Generic[Known]):
    """The metadata of a batch, made by `make` of what is known of each record, when needed.

    `stamp` makes the time stamp and the quality alone, for those who need no more.
    """

    __slots__ = ("_known", "_make", "_stamp")

    def __init__(
        self,
        known: Sequence[Known],
        make: Callable[[Known], Metadata],
        stamp: Callable[[Known], Stamp] | None = None,
    ) -> None:
        self._known = known
        self._make = make
        self._stamp = stamp

    def __len__(self) -> int:
        return len(self._known)

    @overload
    def __getitem__(self, index: int) -> Metadata: ...
    @overload
    def __getitem__(self, index: slice) -> LazyMetadata[Known]: ...
    def __getitem__(self, index: int | slice) -> Metadata | LazyMetadata[Known]:
        if isinstance(index, slice):
            return LazyMetadata(self._known[index], self._make, self._stamp)
        return self._make(self._known[index])

    def __iter__(self) -> Iterator[Metadata]:
        return map(self._make, self._known)

    def stamps(self) -> Iterable[Stamp]:
        """See `Batch.stamps`."""
        return map(_stamp_of, self) if self._stamp is None else map(self._stamp, self._known)


@attrs.frozen
class Record:
    """One value with its metadata: the one-record view of a batch."""

    value: Value
    metadata: Metadata = NO_METADATA


class Acknowledgement:
    """Tells a source, once, that all that came of a batch was accepted by every sink.

    It starts with one hold, that of the batch it travels in. Whoever splits a batch takes one more
    hold per additional part (`hold`); whoever has delivered a part gives its hold back
    (`release`). The callback runs in the event loop at the last release; it must not block or
    raise. A batch that was given up (fatal error, abort) is never released.
    """

    __slots__ = ("_callback", "_holds")

    replays = True
    """The source gives the batch again unless this is released."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._holds = 1

    def hold(self) -> None:
        """Take one more hold."""
        self._holds += 1

    def release(self) -> None:
        """Give one hold back; the last one calls the source.

        Raises `RuntimeError` when there is no hold left.
        """
        if self._holds <= 0:
            raise RuntimeError("acknowledgement released more often than held")
        self._holds -= 1
        if not self._holds:
            self._callback()


Item = TypeVar("Item")


def _chosen(column: Sequence[Item] | None, indices: Iterable[int]) -> list[Item] | None:
    return None if column is None else [column[index] for index in indices]


@attrs.frozen
class Batch:
    """Records in the order of their source, with the acknowledgements that they carry.

    `metadata` is None or as long as `values`; it may be a lazy sequence. `failures` are records
    that the source received, or a pipe was given, and could not turn into values. `weights` is None
    (each value stands for one source record) or says for how many each value stands. `filtered` is
    how many source records a pipe left out on purpose: nothing of them is on its way to a sink.
    """

    values: Sequence[Value]
    metadata: Sequence[Metadata] | None = None
    failures: Sequence[RecordError] = ()
    weights: Sequence[int] | None = None
    acknowledgements: tuple[Acknowledgement, ...] = ()
    filtered: int = 0

    def __len__(self) -> int:
        return len(self.values)

    @property
    def source_records(self) -> int:
        """How many source records this batch stands for, failures and filtered ones included."""
        good = len(self.values) if self.weights is None else sum(self.weights)
        return good + sum(failure.records for failure in self.failures) + self.filtered

    @property
    def is_replayable(self) -> bool:
        """Whether its source gives it again unless it is acknowledged."""
        if not self.acknowledgements:
            return False
        return any(acknowledgement.replays for acknowledgement in self.acknowledgements)

    def weight(self, index: int) -> int:
        """How many source records the value at `index` stands for."""
        return 1 if self.weights is None else self.weights[index]

    def records(self) -> Iterator[Record]:
        """The records one by one."""
        if self.metadata is None:
            return (Record(value) for value in self.values)
        return map(Record, self.values, self.metadata)

    def stamps(self) -> Iterable[Stamp]:
        """Time stamp and quality of each record; lazy metadata are not made for that."""
        if isinstance(self.metadata, LazyMetadata):
            return self.metadata.stamps()
        known = itertools.repeat(NO_METADATA) if self.metadata is None else self.metadata
        return map(_stamp_of, itertools.islice(known, len(self.values)))

    def map(self, function: Callable[[Any], Value]) -> Batch:
        """Apply `function` to each value; a value that raises `RecordError` becomes a failure."""
        values: list[Value] = []
        failed: dict[int, RecordError] = {}
        for index, value in enumerate(self.values):
            try:
                values.append(function(value))
            except RecordError as error:
                failed[index] = error
        if not failed:
            return attrs.evolve(self, values=values)
        return attrs.evolve(self.without(failed), values=values)

    def without(self, failed: Mapping[int, RecordError]) -> Batch:
        """This batch with the values at the given indices turned into failures.

        Raises `IndexError` for an index that the batch does not have.
        """
        wrong = [index for index in failed if not 0 <= index < len(self.values)]
        if wrong:
            raise IndexError(f"a batch of {len(self.values)} values has no index {wrong[0]}")
        # Copies: one error may stand for several values, each of its own weight.
        failures = (
            RecordError(str(error), self.weight(i), self._origins(i), error.stage)
            for i, error in failed.items()
        )
        kept = [index for index in range(len(self.values)) if index not in failed]
        return attrs.evolve(
            self,
            values=[self.values[index] for index in kept],
            metadata=_chosen(self.metadata, kept),
            weights=_chosen(self.weights, kept),
            failures=(*self.failures, *failures),
        )

    def keeping(self, indices: Sequence[int]) -> Batch:
        """This batch with the values at the given indices alone; the others are filtered."""
        if len(indices) == len(self.values):
            return self
        weights = _chosen(self.weights, indices)
        if self.weights is None or weights is None:
            left_out = len(self.values) - len(indices)
        else:
            left_out = sum(self.weights) - sum(weights)
        return attrs.evolve(
            self,
            values=[self.values[index] for index in indices],
            metadata=_chosen(self.metadata, indices),
            weights=weights,
            filtered=self.filtered + left_out,
        )

    def only(self, indices: Sequence[int]) -> Batch:
        """The values at the given indices alone; it carries no acknowledgement and no failure."""
        return Batch(
            [self.values[index] for index in indices],
            _chosen(self.metadata, indices),
            weights=_chosen(self.weights, indices),
        )

    def _origins(self, index: int) -> tuple[Metadata, ...]:
        return () if self.metadata is None else tuple(self.metadata[index].originals())

    def split(self, index: int) -> tuple[Batch, Batch]:
        """The values before `index`, and the rest; each part holds the acknowledgements.

        Failures, and what was filtered, stay with the first part.
        """
        for acknowledgement in self.acknowledgements:
            acknowledgement.hold()
        parts = (slice(None, index), slice(index, None))
        first, rest = (
            attrs.evolve(
                self,
                values=self.values[part],
                metadata=None if self.metadata is None else self.metadata[part],
                weights=None if self.weights is None else self.weights[part],
            )
            for part in parts
        )
        return first, attrs.evolve(rest, failures=(), filtered=0)

    @classmethod
    def joined(cls, batches: Sequence[Batch], value: Value, metadata: Metadata | None) -> Batch:
        """One value made of several whole batches; it stands for all their source records.

        It remembers the metadata of each of them as `Metadata.parts`.
        """
        parts = tuple(batch.metadata for batch in batches if batch.metadata is not None)
        if parts:
            metadata = attrs.evolve(metadata or NO_METADATA, parts=parts)
        failures = [failure for batch in batches for failure in batch.failures]
        total = sum(batch.source_records for batch in batches)
        filtered = sum(batch.filtered for batch in batches)
        return cls(
            values=[value],
            metadata=None if metadata is None else [metadata],
            failures=failures,
            weights=[total - filtered - sum(failure.records for failure in failures)],
            acknowledgements=tuple(a for batch in batches for a in batch.acknowledgements),
            filtered=filtered,
        )
