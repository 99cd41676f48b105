"""What is written back about a document: its state and its fault, as JSON objects."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from queueconnector_core.config.protocol import ConfigReport, Fault
from queueconnector_core.states import State

__all__ = ("MAX_FAULT_OCTETS", "state_text", "fault_text")

MAX_FAULT_OCTETS: Final = 8192
"""The message of a fault is cut so that it is no longer than this."""


def state_text(report: ConfigReport, state: State, host: str) -> str:
    """The state of a document: `config_version` is in use, `seen_version` is newer and is not."""
    fields: dict[str, Any] = {
        "state": state.value,
        "since": _iso(report.since_s),
        "config_version": report.running or None,
        "device": host,
    }
    if report.seen != report.running:
        fields["seen_version"] = report.seen
    if len(report.groups) > 1:
        fields["groups"] = {name: group.value for name, group in report.groups.items()}
    return _dump(fields)


def fault_text(fault: Fault) -> str:
    """What is wrong with a document."""
    fields: dict[str, Any] = {
        "type": fault.type,
        "message": fault.message,
        "group": fault.group,
        "exchange": fault.exchange,
        "time": _iso(fault.time_s),
        "config_version": fault.version or None,
    }
    text = _dump(fields)
    message = fault.message
    while (octets := len(text.encode())) > MAX_FAULT_OCTETS and message:
        message = message[: max(0, len(message) * MAX_FAULT_OCTETS // octets - 8)]
        text = _dump(fields | {"message": f"{message} …"})
    return text


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _dump(fields: dict[str, Any]) -> str:
    """Laid out as the SDP's own tools do; half a surrogate pair cannot be written, nor told."""
    text = json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False)
    return text.encode(errors="replace").decode()
