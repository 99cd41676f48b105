"""Requests to etcd's JSON gateway and what its answers mean.

Octets stand in base64, and numbers of 64 bits in text; fields that are zero are left out.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from queueconnector_sdp.layout import KeyRange

__all__ = (
    "Change",
    "Entry",
    "Snapshot",
    "delete_request",
    "entry_of",
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


def entry_of(kv: Mapping[str, Any]) -> Entry:
    """An entry as it stands in an answer."""
    return Entry(
        b64decode(kv["key"]),
        b64decode(kv.get("value", "")),
        int(kv.get("create_revision", 0)),
        int(kv.get("mod_revision", 0)),
    )


def snapshot_of(answer: Mapping[str, Any]) -> Snapshot:
    """What the ranges of a transaction hold, whichever branch it took."""
    found = (part.get("response_range", {}) for part in answer.get("responses", ()))
    entries = tuple(entry_of(kv) for part in found for kv in part.get("kvs", ()))
    return Snapshot(int(answer["header"]["revision"]), entries)
