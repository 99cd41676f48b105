"""One record as one line of JSON, that a person can read, edit and write.

```json
{"value":"[1.5,NaN]","quality":"ALARM","time":"2026-01-31T12:00:00.000000001Z","origin":"source"}
```

Octets (value, key, headers) stand as text where they are UTF-8, else as `{"base64": "AP8="}`. The
value is in the encoding of the configuration, so that a line holds what a message would. What is
not known is left out; only `value` is required, and null stands for a value that is invalid.

| Member | Holds |
| --- | --- |
| `value` | octets, or null beside quality `INVALID` |
| `label` | the encoding that came with octets, of dtype bytes; for others it is passed by |
| `time` | the time of the value, UTC, RFC 3339 with nanoseconds |
| `origin` | who set the time: `source`, `transport` or `arrival` |
| `quality` | `VALID` (left out), `INVALID`, `ALARM`, `CHANGING` or `WARNING` |
| `key` | octets |
| `headers` | a list of `[name, octets]`; null for a header without a value |
| `position`, `source`, `event`, `sequence` | where the record comes from, see `Metadata` |

Not written are the records that a window was made of, and the record as it was first received.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.protocols import Codec
from queueconnector_core.provenance import time_of, time_text
from queueconnector_core.record import Metadata, Original, Quality, Record, TimestampOrigin

__all__ = ("MAX_LINE_BYTES", "line_reader", "line_writer")

MAX_LINE_BYTES: Final = 2**25
"""The longest line that is written or read, its end included."""


class _Base64(msgspec.Struct, forbid_unknown_fields=True):
    base64: bytes


_Octets: TypeAlias = str | _Base64


class _Line(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The members in the order in which they are written."""

    value: _Octets | None
    label: str = ""
    quality: Quality = Quality.VALID
    time: str | None = None
    origin: TimestampOrigin | None = None
    key: _Octets | None = None
    headers: list[tuple[str, _Octets | None]] = []
    position: str | None = None
    source: str | None = None
    event: str | None = None
    sequence: int | None = None


_write: Final = msgspec.json.Encoder().encode
_read: Final = msgspec.json.Decoder(_Line).decode


def line_writer(spec: DataSpec, codec: Codec) -> Callable[[Record], bytes]:
    """A function that writes a record of `spec` as a line, its end included.

    It raises `RecordError` for a value that the codec cannot carry, and for what JSON or the bound
    of a line cannot.
    """
    encode = codec.encoder(spec)

    def write(record: Record) -> bytes:
        value, metadata = record.value, record.metadata
        is_null = value is None and metadata.quality is Quality.INVALID
        stamped = metadata.timestamp_ns is not None
        line = _Line(
            value=None if is_null else _written(encode(value)),
            label=value[0] if spec.is_bytes and isinstance(value, tuple) else "",
            quality=metadata.quality,
            time=_time(metadata.timestamp_ns),
            origin=metadata.timestamp_origin if stamped else None,
            key=_written(metadata.key),
            headers=[(name, _written(octets)) for name, octets in metadata.headers],
            position=metadata.position,
            source=metadata.source,
            event=metadata.event,
            sequence=metadata.sequence,
        )
        return _checked(line)

    return write


def _checked(line: _Line) -> bytes:
    try:
        text = _write(line)
    except ValueError as error:
        raise RecordError(f"the record cannot be written as JSON: {error}") from None
    if len(text) >= MAX_LINE_BYTES:
        raise RecordError(f"found a line of {len(text)} octets; allowed: under {MAX_LINE_BYTES}")
    return text + b"\n"


def _written(octets: bytes | None) -> Any:
    if octets is None:
        return None
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return _Base64(octets)


def _time(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    try:
        text = time_text(time_ns)
    except (ValueError, OverflowError, OSError):
        text = ""
    if time_of(text) != time_ns:
        raise RecordError(f"found a time of {time_ns} ns; allowed: the years 1000 to 9999")
    return text


def line_reader(spec: DataSpec, codec: Codec) -> Callable[[bytes], Record]:
    """A function that reads a line, with or without its end, as a record of `spec`.

    It raises `RecordError` for anything else, unknown members included; what is known of a record
    whose value alone is wrong travels with the error.
    """
    decode = codec.decoder(spec)

    def read(text: bytes) -> Record:
        try:
            line = _read(text)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"found no line of a record: {error}") from None
        octets = _octets(line.value)
        metadata = _metadata(line, octets)
        if octets is None and line.quality is not Quality.INVALID:
            raise RecordError('found the value null; allowed: only beside "quality": "INVALID"')
        try:
            value = None if octets is None else decode(octets)
        except RecordError as error:
            raise RecordError(str(error), origins=[metadata]) from None
        if line.label and octets is not None and spec.is_bytes:
            value = line.label, octets
        return Record(value, metadata)

    return read


def _octets(written: _Octets | None) -> bytes | None:
    if isinstance(written, _Base64):
        return written.base64
    return None if written is None else written.encode()


def _metadata(line: _Line, original: bytes | None) -> Metadata:
    time_ns = None
    if line.time is not None:
        time_ns = time_of(line.time)
        if time_ns is None:
            raise RecordError(
                f'found the time {line.time!r}; allowed: such as "2026-01-31T12:00:00.000000001Z"'
            )
    return Metadata(
        timestamp_ns=time_ns,
        timestamp_origin=line.origin or TimestampOrigin.ARRIVAL,
        key=_octets(line.key),
        headers=tuple((name, _octets(octets)) for name, octets in line.headers),  # type: ignore[misc]
        quality=line.quality,
        position=line.position,
        source=line.source,
        event=line.event,
        sequence=line.sequence,
        original=None if original is None else Original(original),
    )
