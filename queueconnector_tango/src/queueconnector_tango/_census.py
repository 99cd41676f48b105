"""Which number the latest event of each attribute had, of which PyTango shows nothing.

The server numbers the events of each attribute, and Tango keeps the latest number of each
subscription of the process. It is asked only while it delivers an event: then it holds the very
lock that the answer needs, so that it answers at once, and nothing else comes meanwhile. In any
other thread the same question stops the whole process while a server hangs, as PyTango 10.3 keeps
the interpreter locked until there is an answer.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any, Final
from weakref import WeakSet

import tango

from queueconnector_tango._events import UPDATE
from queueconnector_tango._lookout import counter_key
from queueconnector_tango.tally import Tally

__all__ = ("CENSUS", "Census")

RESTS: Final = 20
"""An answer tells of all subscriptions, which takes its time with thousands of them: so many times
as long nothing is asked afterwards."""


class Census:
    """The tallies of all attributes of the process, and the numbers for them.

    For the threads of Tango, in which events are delivered.
    """

    def __init__(self) -> None:
        self._tallies: dict[str, WeakSet[Tally]] = {}
        self._changing = threading.Lock()
        self._others: set[int] = set()
        self._rested_at = 0.0

    def is_numbered(self, reason: Any) -> bool:
        """Whether the server sent an event of this reason, rather than that Tango read the value.

        Then it comes in the one thread that delivers nothing else, and `take` may be called.
        """
        thread = threading.get_ident()
        if reason is not UPDATE:
            self._others.add(thread)
        return thread not in self._others

    def join(self, key: str, tally: Tally) -> None:
        """Number the events of the attribute that Tango's counters call so."""
        with self._changing:
            self._tallies.setdefault(key, WeakSet()).add(tally)

    def take(self, key: str, tally: Tally) -> None:
        """Number the event that is just being delivered, and the latest ones of all others."""
        began = time.monotonic()
        if began < self._rested_at:
            return
        with self._changing:
            for name, found in _subscriptions().items():
                of_name = counter_key(name)
                # This event may not have been delivered yet to others that share the subscription.
                tallies = (tally,) if of_name == key else self._tallies.get(of_name, ())
                for each in tallies:
                    if each.is_due and found["event_count"]:
                        each.number(found["server_counter"])
        ended = time.monotonic()
        self._rested_at = ended + RESTS * (ended - began)


def _subscriptions() -> dict[str, Any]:
    answer = json.loads(tango.ApiUtil.instance().query_event_system())
    found: dict[str, Any] = answer["client"]["event_callbacks"]
    return found


CENSUS: Final = Census()
