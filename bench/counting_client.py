"""`python -m bench.counting_client DEVICE ATTRIBUTE RECORDS`: hears numbered events.

It tells when it has subscribed, and the time at which the last number has come.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np
import tango

__all__ = ("main",)

TIMEOUT_S = 120.0


def main() -> None:
    """Subscribe, and wait for the last number."""
    device, attribute, records = sys.argv[1:]
    last, expected, wrong = int(records), 1, 0
    heard_all = threading.Event()

    def hear(event: tango.EventData) -> None:
        nonlocal expected, wrong
        if event.event_reason == tango.EventReason.SubSuccess:
            return
        if event.err:
            print(event.errors[0].desc, file=sys.stderr)
            return
        number = int(np.ravel(event.attr_value.value)[0])
        wrong += number != expected
        expected = number + 1
        if number == last:
            heard_all.set()

    proxy = tango.DeviceProxy(device)
    proxy.subscribe_event(attribute, tango.EventType.CHANGE_EVENT, hear)
    # Nothing tells when ZeroMQ has passed the subscription on to the server.
    time.sleep(0.3)
    print(json.dumps("ready"), flush=True)
    if not heard_all.wait(TIMEOUT_S):
        print(f"{attribute}: heard {expected - 1} of {last}", file=sys.stderr)
        sys.exit(1)
    print(json.dumps({"ended": time.monotonic(), "wrong": wrong}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
