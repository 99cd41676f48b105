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
    """Connecting sinks and sources; stays here while a far end cannot be reached. What is connected
    already streams, and so does what a new configuration did not change."""
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
    RESTARTED = "restarted"
    REOPENING = "reopening"

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
    Transition(State.STANDBY, Trigger.FAILED, State.FAULT),
    Transition(State.OFF, Trigger.CONFIGURE, State.OFF),
    Transition(State.OFF, Trigger.STANDBY, State.STANDBY),
    Transition(State.OFF, Trigger.START, State.OPEN),
    Transition(State.OFF, Trigger.FAILED, State.FAULT),
    Transition(State.OPEN, Trigger.OPENED, State.ON),
    Transition(State.OPEN, Trigger.CONFIGURE, State.OPEN),
    Transition(State.OPEN, Trigger.STOP, State.CLOSE),
    Transition(State.OPEN, Trigger.ABORT, State.OFF),
    Transition(State.OPEN, Trigger.FAILED, State.FAULT),
    Transition(State.ON, Trigger.CONFIGURE, State.OPEN),
    Transition(State.ON, Trigger.REOPENING, State.OPEN),
    Transition(State.ON, Trigger.STOP, State.CLOSE),
    Transition(State.ON, Trigger.ENDED, State.CLOSE),
    Transition(State.ON, Trigger.ABORT, State.OFF),
    Transition(State.ON, Trigger.FAILED, State.FAULT),
    Transition(State.CLOSE, Trigger.CLOSED, State.OFF),
    Transition(State.CLOSE, Trigger.ABORT, State.OFF),
    Transition(State.CLOSE, Trigger.FAILED, State.FAULT),
    Transition(State.FAULT, Trigger.RESET, State.OFF),
    Transition(State.FAULT, Trigger.CONFIGURE, State.OFF),
    Transition(State.FAULT, Trigger.RESTARTED, State.OPEN),
)
"""Every move of a group.

A new configuration of a group that is OPEN or ON: when some of its exchanges did not change, these
stream on, and the group is OPEN until the others are replaced (`Configure`, `opened`). When all
changed it is closed, configured and started again (`Stop`, `closed`, `Configure`, `Start`). In
CLOSE the configuration waits for the end. Without exchanges the group ends in STANDBY.

`reopening`: one exchange of a group that is ON is started again by an operator, while the others
stream on.

`failed` in STANDBY or OFF: what was to be configured cannot be used. A group without exchanges that
is reset goes on to STANDBY.
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
    streams; else OFF if any is configured; else STANDBY, as without groups.
    """
    present = set(states)
    order = (State.FAULT, State.CLOSE, State.OPEN, State.ON, State.OFF)
    return next((state for state in order if state in present), State.STANDBY)
