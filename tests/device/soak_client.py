"""A client process of the soak: reads or subscribes until told to stop, then reports as JSON.

`soak_client.py read|subscribe TRL PAUSE_S ATTRIBUTE...`; a line on standard input ends it.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections import Counter

import numpy as np
import tango

BETWEEN_CONFIGURATIONS = {"API_AttrNotFound", "API_AttrNotAllowed"}


def number_in(value: object) -> int:
    """The one number that a value is made of; raises ValueError when it is torn."""
    numbers = np.unique(np.asarray(value))
    if len(numbers) != 1:
        raise ValueError(f"torn: {numbers[:5].tolist()}")
    return int(numbers[0])


def read(
    proxy: tango.DeviceProxy, names: list[str], pause_s: float, stop: threading.Event
) -> dict[str, object]:
    print("ready", flush=True)
    reads, unavailable = 0, 0
    wrong: Counter[str] = Counter()
    for name in itertools.cycle(names):
        if stop.is_set():
            break
        try:
            answer = proxy.read_attribute(name)
            if answer.quality is not tango.AttrQuality.ATTR_INVALID:
                number_in(answer.value)
            reads += 1
        except tango.DevFailed as error:
            if error.args[0].reason in BETWEEN_CONFIGURATIONS:
                unavailable += 1
            else:
                wrong[f"{error.args[0].reason}: {error.args[0].desc}"] += 1
        except ValueError as error:
            wrong[str(error)] += 1
        time.sleep(pause_s)
    return {"reads": reads, "unavailable": unavailable, "wrong": dict(wrong)}


def subscribe(
    proxy: tango.DeviceProxy, names: list[str], stop: threading.Event
) -> dict[str, object]:
    numbers: dict[str, list[int]] = {name: [] for name in names}
    errors: dict[str, Counter[str]] = {name: Counter() for name in names}

    def listener(name: str) -> object:
        def hear(event: tango.EventData) -> None:
            if event.err:
                errors[name][event.errors[0].reason] += 1
            elif event.attr_value.value is not None:
                try:
                    numbers[name].append(number_in(event.attr_value.value))
                except ValueError as error:
                    errors[name][str(error)] += 1

        return hear

    for name in names:
        proxy.subscribe_event(name, tango.EventType.CHANGE_EVENT, listener(name))
    print("ready", flush=True)
    stop.wait()
    return {"numbers": numbers, "errors": {name: dict(found) for name, found in errors.items()}}


def wait_for_line(stop: threading.Event) -> None:
    """End when the test says so."""
    sys.stdin.readline()
    stop.set()


def main() -> None:
    mode, trl, pause_s, *names = sys.argv[1:]
    proxy = tango.DeviceProxy(trl)
    stop = threading.Event()
    threading.Thread(target=wait_for_line, args=(stop,), daemon=True).start()
    report = (
        read(proxy, names, float(pause_s), stop)
        if mode == "read"
        else subscribe(proxy, names, stop)
    )
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
