"""Makes messages of the records of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError
from queueconnector_core.expression import key_search
from queueconnector_core.provenance import headers_of
from queueconnector_core.record import Batch, Metadata, Quality
from queueconnector_kafka._bulk import apply
from queueconnector_kafka.descriptors import KafkaProducerSinkDescriptor
from queueconnector_kafka.timestamps import extractor

__all__ = ("Composer", "Messages")

Headers = list[tuple[str, bytes]]

_NULL: Final = object()
"""Stands for a value that is INVALID, and so becomes a message without a value."""


@attrs.frozen
class Messages:
    """Messages in columns; a column is None where no message has such a thing."""

    indices: Sequence[int]
    """Where the value of each stands in its batch."""
    values: Sequence[bytes | None]
    times_ms: Sequence[int | None] | None = None
    """Milliseconds since the Unix epoch; None: the time of writing."""
    keys: Sequence[bytes | None] | None = None
    headers: Sequence[Headers] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def chosen(self, places: Iterable[int]) -> Messages:
        """Those at the given places."""
        chosen = list(places)

        def of(column: Sequence[Any] | None) -> list[Any] | None:
            return None if column is None else [column[place] for place in chosen]

        return Messages(
            [self.indices[place] for place in chosen],
            [self.values[place] for place in chosen],
            of(self.times_ms),
            of(self.keys),
            of(self.headers),
        )


class _Draft:
    """Messages in the making: each refusal takes a record out of all columns."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = indices
        self.columns: dict[str, list[Any]] = {}
        self.failures: dict[int, RecordError] = {}

    def add(self, name: str, function: Callable[[Any], Any], given: Iterable[Any]) -> None:
        """A column of what `function` makes of each of the records that are left."""
        results, failed = apply(function, given)
        self.refuse(failed)
        self.columns[name] = results

    def refuse(self, failed: dict[int, RecordError]) -> None:
        """Take out the records at some places."""
        if not failed:
            return
        self.failures |= {self.indices[place]: error for place, error in failed.items()}
        kept = [place for place in range(len(self.indices)) if place not in failed]
        self.indices = [self.indices[place] for place in kept]
        for name, column in self.columns.items():
            self.columns[name] = [column[place] for place in kept]

    def messages(self) -> Messages:
        """What is left."""
        self.columns.pop("metadata", None)
        return Messages(self.indices, **self.columns)


class Composer:
    """Encodes the values of a batch, and finds the time, key and headers of each message."""

    def __init__(self, options: KafkaProducerSinkDescriptor, context: BuildContext) -> None:
        self._encode = options.codec(context.spec, context.registry).encoder(context.spec)
        self._max_bytes = options.message_max_bytes
        self._key = options.key
        self._key_search = None if options.key_path is None else key_search(options.key_path)
        self._headers = options.headers
        self._configuration = context.configuration
        times = options.timestamp_options
        self._time_of = None if times is None else extractor(times)
        self._needs_metadata = options.key != "none" or options.headers != "none"
        self.has_own_times = times is not None or options.headers == "provenance"
        """Whether time stamps come from the records, so that the topic may refuse a single one."""

    def compose(
        self, batch: Batch, indices: Sequence[int] | None = None
    ) -> tuple[Messages, dict[int, RecordError]]:
        """The messages of all records, or of those at `indices`, and by index what is refused."""
        draft = _Draft(range(len(batch)) if indices is None else indices)
        self._add_values(draft, batch, batch.values if indices is None else _of(batch, indices))
        if self._needs_metadata:
            known = batch.metadata
            draft.columns["metadata"] = [
                Metadata() if known is None else known[index] for index in draft.indices
            ]
        if self._time_of is not None:
            draft.add("times_ms", self._time_of, _of(batch, draft.indices))
        elif self._headers == "provenance":
            draft.columns["times_ms"] = [_time_ms(each) for each in draft.columns["metadata"]]
        if self._key_search is not None:
            draft.add("keys", self._key_search, _of(batch, draft.indices))
        elif self._key != "none":
            draft.columns["keys"] = [self._key_of(each) for each in draft.columns["metadata"]]
        if self._headers != "none":
            draft.columns["headers"] = [self._headers_of(m) for m in draft.columns["metadata"]]
        return draft.messages(), draft.failures

    def _add_values(self, draft: _Draft, batch: Batch, values: Sequence[Any]) -> None:
        encode: Callable[[Any], bytes | None] = self._encode
        if self._headers == "provenance" and any(value is None for value in values):
            values, encode = self._nulls(draft, batch, values), self._encode_or_null
        draft.add("values", encode, values)
        encoded, limit = draft.columns["values"], self._max_bytes
        if max(map(len, filter(None, encoded)), default=0) > limit:
            draft.refuse(
                {
                    place: RecordError(
                        f"{len(octets)} octets encoded, message_max_bytes allows {limit}"
                    )
                    for place, octets in enumerate(encoded)
                    if len(octets or b"") > limit
                }
            )

    def _nulls(self, draft: _Draft, batch: Batch, values: Sequence[Any]) -> list[Any]:
        known = batch.metadata or ()
        return [
            _NULL if value is None and known and known[i].quality is Quality.INVALID else value
            for i, value in zip(draft.indices, values, strict=True)
        ]

    def _encode_or_null(self, value: Any) -> bytes | None:
        return None if value is _NULL else self._encode(value)

    def _key_of(self, metadata: Metadata) -> bytes | None:
        if self._key == "record":
            return metadata.key
        return None if metadata.source is None else metadata.source.encode()

    def _headers_of(self, metadata: Metadata) -> Headers:
        if self._headers == "record":
            return list(metadata.headers)
        return list(headers_of(metadata, self._configuration))


def _of(batch: Batch, indices: Sequence[int]) -> list[Any]:
    return [batch.values[index] for index in indices]


def _time_ms(metadata: Metadata) -> int | None:
    time_ns = metadata.timestamp_ns
    return None if time_ns is None or time_ns < 0 else time_ns // 1_000_000
