"""What a document may hold."""

from __future__ import annotations

import json
import logging
from typing import Final

__all__ = ("MAX_OCTETS", "is_owner_record", "readable")

logger = logging.getLogger(__name__)

MAX_OCTETS: Final = 1 << 20
"""A longer document is not kept in memory."""

_OWNER_FIELDS: Final = {"pid", "hostname", "command"}


def is_owner_record(value: bytes | str) -> bool:
    """Whether it says who serves an entity (the SDP's `…/owner` keys) and configures nothing."""
    if len(value) > MAX_OCTETS:
        return False
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "exchanges" not in found and bool(_OWNER_FIELDS & set(found))


def readable(value: bytes, where: str) -> str:
    """The text of a document.

    A value that cannot be one becomes a short JSON list that says why: core refuses it like any
    other document that is wrong, so that the reason arrives where all reasons do.
    """
    if len(value) > MAX_OCTETS:
        return _unusable(f"{len(value)} octets; at most {MAX_OCTETS} are read", where)
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        return _unusable(f"not UTF-8 text at octet {error.start}", where)


def _unusable(reason: str, where: str) -> str:
    logger.error("%s cannot be used: %s", where, reason)
    return json.dumps([reason])
