"""The states of a group and of a host, and every move between them, as data.

The table drives the groups, guards the commands of the device, and is what the documentation and
the tests are made from.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import attrs

from queueconnector_core.errors import StateError

__all__ = ("State", "Trigger", "Transition", "TRANSITIONS", "allows", "next_state", "aggregate")


class State(enum.Enum):
    """The states of the SKA LMC Queue Connector, by their Tango names."""

    INIT = "INIT"
    """The host is starting."""
    STANDBY = "STANDBY"
    """Nothing is configured."""
    OFF = "OFF"
    """Configured, not streaming; attributes exist and keep their values."""
    OPEN = "OPEN"
    """Connecting sinks and sources; stays here while a far end cannot be reached."""
    ON = "ON"
    """Streaming: whatever the far ends send from now on is delivered."""
    CLOSE = "CLOSE"
    """Delivering what was received, then disconnecting."""
    FAULT = "FAULT"
    """Stopped by an error; the reason is in the status."""


class Trigger(enum.Enum):
    """What makes a state change; in capitals the commands, in small letters what happens."""

    CONFIGURE = "Configure"
    START = "Start"
    STOP = "Stop"
    ABORT = "Abort"
    RESET = "Reset"
    STANDBY = "Standby"
    INITIALISED = "initialised"
    OPENED = "opened"
    ENDED = "ended"
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def automatic(self) -> bool:
        """True when it happens by itself, False for a command."""
        return self.value.islower()


@attrs.frozen
class Transition:
    """One arrow of the state diagram."""

    source: State
    trigger: Trigger
    target: State


TRANSITIONS = (
    Transition(State.INIT, Trigger.INITIALISED, State.STANDBY),
    Transition(State.INIT, Trigger.FAILED, State.FAULT),
    Transition(State.STANDBY, Trigger.CONFIGURE, State.OFF),
    Transition(State.OFF, Trigger.CONFIGURE, State.OFF),
    Transition(State.OFF, Trigger.STANDBY, State.STANDBY),
    Transition(State.OFF, Trigger.START, State.OPEN),
    Transition(State.OPEN, Trigger.OPENED, State.ON),
    Transition(State.OPEN, Trigger.STOP, State.CLOSE),
    Transition(State.OPEN, Trigger.ABORT, State.OFF),
    Transition(State.OPEN, Trigger.FAILED, State.FAULT),
    Transition(State.ON, Trigger.STOP, State.CLOSE),
    Transition(State.ON, Trigger.ENDED, State.CLOSE),
    Transition(State.ON, Trigger.ABORT, State.OFF),
    Transition(State.ON, Trigger.FAILED, State.FAULT),
    Transition(State.CLOSE, Trigger.CLOSED, State.OFF),
    Transition(State.CLOSE, Trigger.ABORT, State.OFF),
    Transition(State.CLOSE, Trigger.FAILED, State.FAULT),
    Transition(State.FAULT, Trigger.RESET, State.OFF),
    Transition(State.FAULT, Trigger.CONFIGURE, State.OFF),
)
"""Every move of a group.

A group in OPEN, ON or CLOSE that is configured anew is first stopped (`Stop`, `closed`), then
configured, then started again. A configuration without exchanges removes the group.
"""

_TABLE = {(move.source, move.trigger): move.target for move in TRANSITIONS}


def allows(state: State, trigger: Trigger) -> bool:
    """Whether `trigger` may happen in `state`."""
    return (state, trigger) in _TABLE


def next_state(state: State, trigger: Trigger) -> State:
    """The state after `trigger`; raises `StateError` that names what is allowed instead."""
    try:
        return _TABLE[state, trigger]
    except KeyError:
        raise refusal(state, trigger) from None


def refusal(state: State, trigger: Trigger) -> StateError:
    """The error of a command that `state` does not allow."""
    allowed = [move.trigger.value for move in TRANSITIONS if move.source is state]
    commands = [name for name in allowed if not name.islower()]
    return StateError(
        f"{trigger.value} is not allowed in state {state.value}; "
        f"allowed: {', '.join(commands) or 'nothing'}"
    )


def aggregate(states: Iterable[State]) -> State:
    """The state of a host, from those of its groups.

    FAULT if any group is in FAULT; else CLOSE or OPEN if any is on its way; else ON if any
    streams; else OFF. Without groups: STANDBY.
    """
    present = set(states)
    order = (State.FAULT, State.CLOSE, State.OPEN, State.ON, State.OFF)
    return next((state for state in order if state in present), State.STANDBY)
