"""How two recordings differ, record by record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import zip_longest
from typing import Any, Final

import attrs
import numpy as np

from queueconnector_core.errors import RecordError
from queueconnector_core.recording.entry import Entry

__all__ = ("COMPARED", "Difference", "differences")

COMPARED: Final = (
    *("value", "time", "time_origin", "quality", "key", "headers"),
    *("position", "source", "event", "sequence"),
)
"""What is compared, by name."""
SHOWN: Final = 100
"""Characters of a value in a report."""


@attrs.frozen
class Difference:
    """One thing that is not the same in two recordings."""

    index: int
    """The place of the record, from 0."""
    what: str
    """One of `COMPARED`, or `record` where one of the recordings has no more."""
    one: str
    other: str


def differences(
    one: Iterable[Entry],
    other: Iterable[Entry],
    *,
    ignored: Collection[str] = (),
    time_tolerance_ns: int = 0,
) -> Iterator[Difference]:
    """All differences, in order; values are the same when their types and all their bits are.

    Times may differ by the tolerance. Raises `RecordError` where a recording is damaged.
    """
    names = [name for name in COMPARED if name not in ignored]
    for index, (mine, yours) in enumerate(zip_longest(one, other)):
        if mine is None or yours is None:
            yield Difference(index, "record", _presence(mine), _presence(yours))
            continue
        for name in names:
            if not _same(name, mine, yours, time_tolerance_ns):
                yield Difference(index, name, _shown(name, mine), _shown(name, yours))


def _presence(entry: Entry | None) -> str:
    return "nothing" if entry is None else _shown("value", entry)


def _same(name: str, one: Entry, other: Entry, tolerance_ns: int) -> bool:
    if name == "value":
        return (one.label, one.value) == (other.label, other.value)
    if name != "time":
        return bool(getattr(one, name) == getattr(other, name))
    if one.time_ns is None or other.time_ns is None:
        return one.time_ns is other.time_ns
    return abs(one.time_ns - other.time_ns) <= tolerance_ns


def _shown(name: str, entry: Entry) -> str:
    if name == "value":
        return _short(_value(entry))
    if name == "headers":
        return _short(", ".join(f"{each.name}={each.octets!r}" for each in entry.headers))
    found: Any = entry.time_ns if name == "time" else getattr(entry, name)
    return _short(str(getattr(found, "value", found)))


def _value(entry: Entry) -> str:
    try:
        value = entry.any_value()
    except RecordError as error:
        return str(error)
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)} {value.tolist()}"
    return repr(value)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
