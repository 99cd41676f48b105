"""How many events ZeroMQ keeps for a peer that is slow; imports nothing of Tango."""

from __future__ import annotations

import os
from typing import Final

__all__ = ("enlarge_event_buffers",)

EVENT_BUFFERS: Final = {"TANGO_DS_EVENT_BUFFER_HWM": "20000", "TANGO_EVENT_BUFFER_HWM": "20000"}
"""How many events ZeroMQ keeps for each peer before it silently drops, on the publishing and the
subscribing side; 1,000 by default, which one busy second exceeds."""


def enlarge_event_buffers() -> None:
    """Set the high-water marks, unless somebody has; Tango reads them when it is loaded."""
    for variable, value in EVENT_BUFFERS.items():
        os.environ.setdefault(variable, value)
