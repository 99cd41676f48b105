"""A subscriber in a process of its own, as a display is: nothing of ours, only PyTango.

`hearing_client.py TRL ATTRIBUTE...`: subscribes once and stays. At each line on standard input it
prints, as JSON, what it has heard since: [seconds of `time.time`, attribute, value or reason].
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tango

__all__ = ("main",)


def plain(value: Any) -> Any:
    """One number of what was heard: arrays hold the same number everywhere."""
    if value is None or isinstance(value, int | float | str):
        return value
    numbers = np.asarray(value).ravel()
    return numbers[0].item() if len(numbers) else None


def main() -> None:
    """Subscribe, then answer each line."""
    trl, *names = sys.argv[1:]
    heard: list[tuple[float, str, Any]] = []
    lock = threading.Lock()

    def listener(name: str) -> Callable[[tango.EventData], None]:
        def hear(event: tango.EventData) -> None:
            value = event.errors[0].reason if event.err else plain(event.attr_value.value)
            with lock:
                heard.append((time.time(), name, value))

        return hear

    proxy = tango.DeviceProxy(trl)
    for name in names:
        proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, listener(name))
    print("ready", flush=True)
    for _ in sys.stdin:
        with lock:
            news, heard[:] = list(heard), []
        print(json.dumps(news), flush=True)


if __name__ == "__main__":
    main()
