"""One record of a recording: everything that is known of it, exactly."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from queueconnector_core.codecs.packed import pack, unpack
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Metadata, Quality, Record, TimestampOrigin, Value

__all__ = ("Entry", "Header", "read_line")


class Header(msgspec.Struct, frozen=True):
    """A header of a record."""

    name: str
    octets: bytes | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record; its names are those of the file, and of the exact form of a tap."""

    value: bytes
    """MessagePack, with numpy's values as msgpack-numpy writes them; octets as they are."""
    label: str | None = None
    """The encoding of octets, of dtype bytes; None: the value is MessagePack."""
    time_ns: int | None = None
    """Nanoseconds since the Unix epoch, UTC."""
    time_origin: TimestampOrigin = TimestampOrigin.ARRIVAL
    quality: Quality = Quality.VALID
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    position: str | None = None
    source: str | None = None
    event: str | None = None
    sequence: int | None = None
    skipped: int = 0
    """How many records before this one are not in the recording."""

    @classmethod
    def of(cls, record: Record, skipped: int = 0) -> Entry:
        """Raises `RecordError` for a value that has no exact form."""
        value, known = record.value, record.metadata
        label, octets = value if isinstance(value, tuple) else (None, pack(value))
        texts = (known.position, known.source, known.event, *dict(known.headers))
        _check_text(label, *texts)
        return cls(
            value=octets,
            label=label,
            time_ns=known.timestamp_ns,
            time_origin=known.timestamp_origin,
            quality=known.quality,
            key=known.key,
            headers=tuple(Header(name, octets) for name, octets in known.headers),
            position=known.position,
            source=known.source,
            event=known.event,
            sequence=known.sequence,
            skipped=skipped,
        )

    def any_value(self) -> Value:
        """The value as it was recorded; raises `RecordError` for octets that hold none."""
        return unpack(self.value) if self.label is None else (self.label, self.value)

    def metadata(self) -> Metadata:
        """What was known of the record."""
        return Metadata(
            timestamp_ns=self.time_ns,
            timestamp_origin=self.time_origin,
            key=self.key,
            headers=tuple((header.name, header.octets) for header in self.headers),  # type: ignore[misc]
            quality=self.quality,
            position=self.position,
            source=self.source,
            event=self.event,
            sequence=self.sequence,
        )

    def record(self, convert: Callable[[object], Value]) -> Record:
        """The record as a value of an exchange; raises `RecordError` for what is none."""
        value = self.any_value()
        if value is not None or self.quality is not Quality.INVALID:
            value = convert(value)
        return Record(value, self.metadata())


def _check_text(*texts: str | None) -> None:
    """Lone surrogates are no text to JSON and Avro."""
    try:
        "".join(filter(None, texts)).encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"found text that UTF-8 cannot carry: {error}") from None


_read = msgspec.json.Decoder(Entry).decode


def read_line(line: bytes) -> Entry:
    """The entry of a line; raises `RecordError` for what is none."""
    try:
        return _read(line)
    except (ValueError, msgspec.MsgspecError) as error:
        raise RecordError(f"found no record of a tap in its exact form: {error}") from None
