"""`python -m bench.reading_client DEVICE ATTRIBUTE SECONDS`: reads as fast as it can, and listens.

It tells when it has begun, and how many reads and events there were, failed and torn ones too.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import tango

__all__ = ("main",)


def main() -> None:
    """Read until the time is over; all elements of a value must be equal."""
    device, attribute, seconds = sys.argv[1:]
    counts = dict.fromkeys(("reads", "events", "failed", "torn"), 0)

    def look(value: object) -> None:
        counts["torn"] += bool(np.ptp(np.asarray(value)))

    def hear(event: tango.EventData) -> None:
        counts["events"] += 1
        if event.err:
            counts["failed"] += 1
        elif event.attr_value.value is not None:
            look(event.attr_value.value)

    proxy = tango.DeviceProxy(device)
    proxy.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, hear)
    print(json.dumps("begins"), flush=True)
    end_s = time.monotonic() + float(seconds)
    while time.monotonic() < end_s:
        try:
            look(proxy.read_attribute(attribute).value)
            counts["reads"] += 1
        except tango.DevFailed as error:
            counts["failed"] += 1
            print(error.args[0].desc, file=sys.stderr)
    print(json.dumps(counts), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
