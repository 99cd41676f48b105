"""Reads the stream of a watch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from queueconnector_core.errors import RetryableError
from queueconnector_sdp.errors import CompactedError, error_of, error_of_answer
from queueconnector_sdp.messages import Change, entry_of

__all__ = ("WatchReader",)


def _change(event: Mapping[str, Any]) -> Change:
    entry = entry_of(event["kv"])
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
