"""The table of states is complete and without contradiction."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from queueconnector_core.errors import StateError
from queueconnector_core.states import (
    TRANSITIONS,
    State,
    Trigger,
    aggregate,
    allows,
    next_state,
)

COMMANDS = [trigger for trigger in Trigger if not trigger.automatic]


def test_a_trigger_leads_from_a_state_to_one_state_only() -> None:
    moves = Counter((move.source, move.trigger) for move in TRANSITIONS)
    assert set(moves.values()) == {1}


def test_every_state_is_reached_from_the_first_one() -> None:
    reached = {State.INIT}
    for _ in State:
        reached |= {move.target for move in TRANSITIONS if move.source in reached}
    assert reached == set(State)


@pytest.mark.parametrize("state", State)
def test_every_state_leads_back_to_rest(state: State) -> None:
    rests = {State.OFF, State.STANDBY}
    assert any(move.target in rests for move in TRANSITIONS if move.source is state) or any(
        allows(move.target, trigger) and next_state(move.target, trigger) in rests
        for move in TRANSITIONS
        if move.source is state
        for trigger in Trigger
    )


def test_every_trigger_has_a_use() -> None:
    assert {move.trigger for move in TRANSITIONS} == set(Trigger)


@pytest.mark.parametrize("trigger", Trigger)
def test_commands_are_told_apart_from_what_happens_by_itself(trigger: Trigger) -> None:
    assert trigger.automatic == (trigger.value == trigger.value.lower())


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(State, Trigger)))
def test_each_move_is_made_or_refused(state: State, trigger: Trigger) -> None:
    targets = [m.target for m in TRANSITIONS if (m.source, m.trigger) == (state, trigger)]
    assert allows(state, trigger) == bool(targets)
    if targets:
        assert [next_state(state, trigger)] == targets
        return
    with pytest.raises(StateError) as refusal:
        next_state(state, trigger)
    text = str(refusal.value)
    assert text.startswith(f"{trigger.value} is not allowed in state {state.value}; allowed: ")
    named = text.partition("allowed: ")[2].split(", ")
    assert named == ([c.value for c in _allowed(state)] or ["nothing"])


def _allowed(state: State) -> list[Trigger]:
    moves = [move for move in TRANSITIONS if move.source is state]
    return [move.trigger for move in moves if move.trigger in COMMANDS]


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ([], State.STANDBY),
        ([State.OFF, State.OFF], State.OFF),
        ([State.OFF, State.ON], State.ON),
        ([State.ON, State.OPEN], State.OPEN),
        ([State.OPEN, State.CLOSE, State.ON], State.CLOSE),
        ([State.ON, State.FAULT, State.CLOSE], State.FAULT),
    ],
)
def test_the_state_of_a_host_is_that_of_the_group_that_needs_attention_most(
    states: list[State], whole: State
) -> None:
    for order in itertools.permutations(states):
        assert aggregate(order) is whole
