"""Headers of records as user properties of MQTT 5, and back.

CloudEvents names its attributes without a prefix in the binding to MQTT, and with `ce_` in that to
Kafka, which core uses; here the one becomes the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from queueconnector_core.errors import RecordError
from queueconnector_core.provenance import PREFIX, Header

__all__ = ("UserProperty", "headers", "user_properties")

UserProperty = tuple[str, str]

ATTRIBUTES: Final = frozenset(
    (
        *("specversion", "id", "source", "type", "time"),
        *("timeorigin", "quality", "sequence", "configuration"),
    )
)
"""The attributes of CloudEvents, and the extensions, that core writes."""

MAX_TEXT_BYTES: Final = 65_535


def user_properties(found: Iterable[Header]) -> list[UserProperty]:
    """The headers of a record as text; raises `RecordError` for those that are none."""
    return [(_attribute(name), _text(name, octets)) for name, octets in found]


def _attribute(name: str) -> str:
    bare = name.removeprefix(PREFIX)
    return bare if bare in ATTRIBUTES else name


def _text(name: str, octets: bytes | None) -> str:
    try:
        text = (octets or b"").decode()
    except UnicodeDecodeError:
        raise RecordError(f"header {name!r} is not UTF-8, and user properties are text") from None
    if "\0" in text or "\0" in name:
        raise RecordError(f"header {name!r} has NUL in it, which user properties cannot carry")
    if max(len(octets or b""), len(name.encode())) > MAX_TEXT_BYTES:
        raise RecordError(f"header {name!r} is longer than {MAX_TEXT_BYTES} octets")
    return text


def headers(found: Sequence[UserProperty]) -> tuple[Header, ...]:
    """User properties as headers; CloudEvents' attributes get the prefix where it is an event."""
    is_event = any(name == "specversion" for name, _ in found)
    return tuple(
        (PREFIX + name if is_event and name in ATTRIBUTES else name, text.encode())
        for name, text in found
    )
