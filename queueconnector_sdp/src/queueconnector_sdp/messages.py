"""Requests to etcd's JSON gateway and what its answers mean.

Octets stand in base64, and numbers of 64 bits in text; fields that are zero are left out.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from queueconnector_core.errors import RetryableError
from queueconnector_sdp.errors import CompactedError, error_of, error_of_answer
from queueconnector_sdp.layout import KeyRange

__all__ = (
    "Change",
    "Entry",
    "Snapshot",
    "WatchReader",
    "delete_request",
    "modified_is",
    "octets",
    "put_request",
    "range_request",
    "snapshot_of",
    "watch_requests",
)


@attrs.frozen
class Entry:
    """A key that is there; `value` is empty where only keys were asked for."""

    key: bytes
    value: bytes
    created: int
    """The revision of its creation: another one after it was deleted and made again."""
    modified: int
    """The revision of its last write."""


@attrs.frozen
class Snapshot:
    """What is there at one revision."""

    revision: int
    entries: tuple[Entry, ...]


@attrs.frozen
class Change:
    """A key has a new entry, or None: it was deleted."""

    key: bytes
    entry: Entry | None
    revision: int


def octets(value: bytes) -> str:
    """Octets as they stand in a request."""
    return b64encode(value).decode()


def _interval(keys: KeyRange) -> dict[str, str]:
    whole = {"key": octets(keys.key)}
    return whole | {"range_end": octets(keys.end)} if keys.end else whole


def range_request(ranges: Iterable[KeyRange], keys_only: bool = False) -> dict[str, Any]:
    """A transaction that reads all ranges at one revision."""
    reads = [_interval(keys) | {"keys_only": keys_only} for keys in ranges]
    return {"success": [{"request_range": read} for read in reads]}


def put_request(key: bytes, value: bytes, lease: int = 0) -> dict[str, Any]:
    """A write within a transaction; with a lease the key vanishes with it."""
    return {
        "request_put": {"key": octets(key), "value": octets(value), "lease": str(lease)},
    }


def delete_request(key: bytes) -> dict[str, Any]:
    """A removal within a transaction; no matter whether the key is there."""
    return {"request_delete_range": {"key": octets(key)}}


def modified_is(key: bytes, revision: int) -> dict[str, Any]:
    """The condition that a key was last written at a revision; 0: that it is not there."""
    return {
        "key": octets(key),
        "target": "MOD",
        "result": "EQUAL",
        "mod_revision": str(revision),
    }


def watch_requests(ranges: Iterable[KeyRange], revision: int) -> bytes:
    """Requests on one stream for all changes of the ranges from a revision on."""
    wanted = [_interval(keys) | {"start_revision": str(revision)} for keys in ranges]
    return b"".join(json.dumps({"create_request": each}).encode() for each in wanted)


def _entry(kv: Mapping[str, Any]) -> Entry:
    return Entry(
        b64decode(kv["key"]),
        b64decode(kv.get("value", "")),
        int(kv.get("create_revision", 0)),
        int(kv.get("mod_revision", 0)),
    )


def snapshot_of(answer: Mapping[str, Any]) -> Snapshot:
    """What the ranges of a transaction hold, whichever branch it took."""
    found = (part.get("response_range", {}) for part in answer.get("responses", ()))
    entries = tuple(_entry(kv) for part in found for kv in part.get("kvs", ()))
    return Snapshot(int(answer["header"]["revision"]), entries)


def _change(event: Mapping[str, Any]) -> Change:
    entry = _entry(event["kv"])
    deleted = event.get("type") == "DELETE"
    return Change(entry.key, None if deleted else entry, entry.modified)


class WatchReader:
    """Turns the octets of a stream of watches into changes."""

    def __init__(self, place: str, watches: int) -> None:
        self._place = place
        self._unconfirmed = watches
        self._rest = bytearray()
        self._changes: list[Change] = []

    @property
    def confirmed(self) -> bool:
        """Whether the server has taken on every watch."""
        return self._unconfirmed == 0

    def take(self) -> Sequence[Change]:
        """The changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def feed(self, chunk: bytes) -> None:
        """Read on; raises the error of a watch that the server has ended."""
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._rest += line
            complete, self._rest = self._rest, bytearray()
            if complete.strip():
                self._line(complete)
        self._rest += rest

    def _line(self, line: bytearray) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            raise RetryableError(f"{self._place}: the watch is not JSON") from None
        result = message.get("result")
        if result is None:
            raise error_of_answer(self._place, 200, message)
        if result.get("canceled"):
            raise self._ended(result)
        if result.get("created"):
            self._unconfirmed -= 1
        self._changes += map(_change, result.get("events", ()))

    def _ended(self, result: Mapping[str, Any]) -> Exception:
        if int(result.get("compact_revision", 0)):
            return CompactedError(f"{self._place}: the revision to watch from has been compacted")
        reason = str(result.get("cancel_reason") or "the server ended the watch")
        return error_of(self._place, 2, reason)
