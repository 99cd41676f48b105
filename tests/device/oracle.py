"""What a device must have done, derived from the table of states and the server's log.

The log has a line for each arrow that a group went. From these lines follows every State event
that a subscriber must have heard, since each arrow of a group is shown at once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import attrs

from queueconnector_core.states import TRANSITIONS, State, Transition, Trigger, aggregate

Pair: TypeAlias = tuple[State, State]

ARROWS: frozenset[Pair] = frozenset((move.source, move.target) for move in TRANSITIONS)

_LINE = re.compile(r"\|group (\S+): ([A-Z]+) -> ([A-Z]+)$")


def automatic(pair: Pair) -> bool:
    """Whether a group may go so by itself."""
    return any(move.trigger.automatic for move in TRANSITIONS if (move.source, move.target) == pair)


def device_pairs() -> frozenset[Pair]:
    """Every change of the device's state that one arrow of one of its groups can make.

    The other groups stand in any states meanwhile.
    """
    states = [state for state in State if state is not State.INIT]
    pairs = set()
    for count in range(len(states) + 1):
        for others in itertools.combinations(states, count):
            for source, target in ARROWS:
                if source is not State.INIT:
                    pairs.add((aggregate((*others, source)), aggregate((*others, target))))
    initial = {(move.source, move.target) for move in TRANSITIONS if move.source is State.INIT}
    return frozenset(pair for pair in pairs | initial if pair[0] is not pair[1])


@attrs.frozen
class Move:
    """One arrow that a group went."""

    group: str
    source: State
    target: State

    @property
    def pair(self) -> Pair:
        """The arrow alone."""
        return self.source, self.target


def arrows_of(pairs: Iterable[Pair]) -> set[Transition]:
    """The arrows of the table between these states; several triggers may lead the same way."""
    seen = set(pairs)
    return {move for move in TRANSITIONS if (move.source, move.target) in seen}


def commands_of(state: State) -> set[Trigger]:
    """The commands that the table allows in a state."""
    return {
        move.trigger for move in TRANSITIONS if move.source is state and not move.trigger.automatic
    }


class Log:
    """Reads on in the log of a server, and takes from it how its groups moved."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.skip()

    def skip(self) -> None:
        """Leave out what stands there already."""
        self._offset = self._path.stat().st_size

    def moves(self) -> list[Move]:
        """The moves since the last call, in order."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        complete = text[: text.rfind(b"\n") + 1]
        self._offset += len(complete)
        return list(_moves(complete.decode(errors="replace").splitlines()))


def _moves(lines: Sequence[str]) -> Iterator[Move]:
    for line in lines:
        if found := _LINE.search(line):
            yield Move(found[1], State(found[2]), State(found[3]))


class Oracle:
    """Follows the moves of all groups: which states they had, and what the device showed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.groups: dict[str, State] = {}
        self.shown = [State.STANDBY]
        """Every State event that must have come, the first value included."""
        self.starts: dict[str, int] = {}
        """How often each group was opened from rest."""
        self.moves: list[Move] = []

    @property
    def state(self) -> State:
        """The state of the device now."""
        return self.shown[-1]

    def follow(self) -> list[dict[str, State]]:
        """Take what has happened since; every state of the groups on the way, the first included.

        Raises `AssertionError` for a move that is no arrow, or begins where the group did not
        stand.
        """
        passed = [dict(self.groups)]
        for move in self._log.moves():
            at = self.groups.get(move.group, State.STANDBY)
            assert at is move.source, f"{move} begins where the group was not: {at}"
            assert move.pair in ARROWS, f"{move} is no arrow of the table"
            self.groups[move.group] = move.target
            self.moves.append(move)
            if move.target is State.OPEN and move.source in {State.OFF, State.FAULT}:
                self.starts[move.group] = self.starts.get(move.group, 0) + 1
            self._show(aggregate(self.groups.values()))
            passed.append(dict(self.groups))
        return passed

    def initialised(self) -> None:
        """The device was initialised: all groups are forgotten."""
        self.groups.clear()
        self._show(State.INIT)
        self._show(State.STANDBY)

    def _show(self, state: State) -> None:
        if state is not self.shown[-1]:
            self.shown.append(state)
