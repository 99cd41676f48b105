"""What is known of a fetched record beside its value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from queueconnector_core.errors import RecordError
from queueconnector_core.protocols import Decoder
from queueconnector_core.provenance import PREFIX, restored
from queueconnector_core.record import Metadata, Original, Quality, Stamp, TimestampOrigin, Value
from queueconnector_kafka._client import KafkaRecord

__all__ = ("accepting_marks", "mark_null", "metadata_of", "stamp_of", "position")

_INVALID: Final = object()
_IS_INVALID: Final = (PREFIX + "quality", Quality.INVALID.value.encode())


def mark_null(record: KafkaRecord) -> Any:
    """The octets of a message, or a mark for null where its headers say that it has no value."""
    if record.value is None and _IS_INVALID in record.headers:
        return _INVALID
    return record.value


def accepting_marks(decode: Decoder) -> Callable[[Any], Value]:
    """A decoder of octets and marks that refuses null without a mark."""

    def decoder(marked: Any) -> Value:
        if marked is _INVALID:
            return None
        if marked is None:
            raise RecordError("a message without a value (a tombstone)")
        return decode(marked)

    return decoder


def position(record: KafkaRecord) -> str:
    """Where a record stands, such as `pointings[3]@1042`."""
    return f"{record.topic}[{record.partition}]@{record.offset}"


def metadata_of(record: KafkaRecord) -> Metadata:
    """All that is known of a record, with what its headers tell of where it came from."""
    stamped = record.timestamp >= 0
    by_producer = record.timestamp_type == 0
    metadata = Metadata(
        timestamp_ns=record.timestamp * 1_000_000 if stamped else None,
        timestamp_origin=TimestampOrigin.SOURCE if by_producer else TimestampOrigin.TRANSPORT,
        key=record.key,
        headers=tuple(record.headers),
        position=position(record),
        original=Original(record.value),
    )
    return restored(metadata) if record.headers else metadata


def stamp_of(record: KafkaRecord) -> Stamp:
    """Time stamp and quality alone, which most records tell without headers."""
    if record.headers:
        known = metadata_of(record)
        return known.timestamp_ns, known.quality
    return (record.timestamp * 1_000_000 if record.timestamp >= 0 else None), Quality.VALID
