"""How what is known of a record travels in the headers of a message.

The headers are those of CloudEvents 1.0 in its binding to Kafka, binary mode
(<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md>),
with extension attributes where CloudEvents has no name. Names are public: other programs read them.

| Header | Holds |
| --- | --- |
| `ce_specversion` | `1.0` |
| `ce_id` | unique among the records of `ce_source` |
| `ce_source` | what made the record: the URI of an attribute, the position in a topic |
| `ce_type` | `queueconnector.` and how the record came about, such as `queueconnector.change` |
| `ce_time` | the time of the value, UTC, RFC 3339 with nanoseconds |
| `ce_timeorigin` | who set it: `source`, `transport` or `arrival` |
| `ce_quality` | `VALID`, `INVALID`, `ALARM`, `CHANGING` or `WARNING` |
| `ce_sequence` | the number of the record in its source since that was started |
| `ce_configuration` | the hash of the exchange's configuration |
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import attrs

from queueconnector_core.record import Metadata, Quality, TimestampOrigin

__all__ = (
    "Header",
    "headers_of",
    "restored",
    "PREFIX",
    "TYPE_PREFIX",
    "UNKNOWN_EVENT",
    "UNKNOWN_SOURCE",
)

Header = tuple[str, bytes]

PREFIX: Final = "ce_"
TYPE_PREFIX: Final = "queueconnector."

UNKNOWN_SOURCE: Final = "queueconnector"
UNKNOWN_EVENT: Final = "record"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?[Zz]", re.ASCII)


def headers_of(metadata: Metadata, configuration: str) -> tuple[Header, ...]:
    """All headers of a record: those that it came with, and its provenance where they lack it.

    A record that came with provenance keeps it, so that it still names its first source after
    several hops; its time and quality are those that it has now.
    """
    known = dict(metadata.headers)
    made = _provenance(metadata, configuration)
    if PREFIX + "id" in known:
        made = {name: made[name] for name in _CURRENT if name in made}
    kept = [header for header in metadata.headers if header[0] not in made]
    return (*kept, *((name, text.encode()) for name, text in made.items()))


_CURRENT: Final = (PREFIX + "time", PREFIX + "timeorigin", PREFIX + "quality")


def _provenance(metadata: Metadata, configuration: str) -> dict[str, str]:
    time_ns = metadata.timestamp_ns if metadata.timestamp_ns is not None else time.time_ns()
    number = "" if metadata.sequence is None else str(metadata.sequence)
    made = {
        "specversion": "1.0",
        "id": metadata.position or f"{time_ns}-{number}",
        "source": metadata.source or metadata.position or UNKNOWN_SOURCE,
        "type": TYPE_PREFIX + (metadata.event or UNKNOWN_EVENT),
        "time": time_text(time_ns),
        "timeorigin": metadata.timestamp_origin.value,
        "quality": metadata.quality.value,
        "configuration": configuration,
    }
    if number:
        made["sequence"] = number
    return {PREFIX + name: text for name, text in made.items() if text}


def restored(metadata: Metadata) -> Metadata:
    """The metadata of a message with what its headers tell; what they do not tell stays.

    Headers that cannot be read are passed by: they may be those of another program.
    """
    found = _texts(metadata.headers)
    known: dict[str, object] = {}
    if (time_ns := time_of(found.get("time", ""))) is not None:
        known["timestamp_ns"] = time_ns
        known["timestamp_origin"] = TimestampOrigin.SOURCE
    if (origin := found.get("timeorigin")) in _ORIGINS:
        known["timestamp_origin"] = TimestampOrigin(origin)
    if (quality := found.get("quality")) in _QUALITIES:
        known["quality"] = Quality(quality)
    if "source" in found:
        known["source"] = found["source"]
    if (kind := found.get("type", "")).startswith(TYPE_PREFIX):
        known["event"] = kind.removeprefix(TYPE_PREFIX)
    number = found.get("sequence", "")
    if number.isascii() and number.isdecimal() and len(number) < 20:
        known["sequence"] = int(number)
    return attrs.evolve(metadata, **known) if known else metadata  # type: ignore[arg-type]


_ORIGINS: Final = {origin.value for origin in TimestampOrigin}
_QUALITIES: Final = {quality.value for quality in Quality}


def _texts(headers: Iterable[Header]) -> dict[str, str]:
    """The texts of those headers that are CloudEvents', without the prefix."""
    return {
        name.removeprefix(PREFIX): octets.decode("utf-8", "replace")
        for name, octets in headers
        if name.startswith(PREFIX) and octets is not None
    }


def time_text(time_ns: int) -> str:
    """Nanoseconds since the Unix epoch as RFC 3339 in UTC, with nanoseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def time_of(text: str) -> int | None:
    """The nanoseconds since the Unix epoch of RFC 3339 in UTC; None for anything else."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    try:
        moment = datetime.fromisoformat(match[1].upper()).replace(tzinfo=UTC)
    except ValueError:
        return None
    elapsed = moment - _EPOCH
    seconds = elapsed.days * 86_400 + elapsed.seconds
    return seconds * 1_000_000_000 + int((match[2] or "").ljust(9, "0"))
