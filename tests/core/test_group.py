"""The life of a group, through every move of the table."""

from __future__ import annotations

import asyncio

import pytest

from queueconnector_core import exchange as exchange_module
from queueconnector_core import stream as stream_module
from queueconnector_core.descriptors import RestartDescriptor
from queueconnector_core.errors import FatalError, RetryableError, StateError
from queueconnector_core.exchange import Exchange
from queueconnector_core.fault import Fault
from queueconnector_core.gaps import GapReason
from queueconnector_core.group import Group
from queueconnector_core.plan import Policy
from queueconnector_core.states import TRANSITIONS, State
from queueconnector_core.testing.doubles import (
    PAUSE,
    FarEnd,
    RecordingSink,
    ScriptedSource,
    turns,
    until,
)
from tests.core.doubles import StubbornSource, run_alone

AWAY = RetryableError("the far end is away")


class Life:
    """A group, its components, and every state that it went through."""

    def __init__(self, *pairs: tuple[ScriptedSource, RecordingSink]) -> None:
        self.components: list[FarEnd] = [component for pair in pairs for component in pair]
        self.states = [State.OFF]
        self.group = Group(
            "g",
            [Exchange(f"g[{n}]", [s], [], [k]) for n, (s, k) in enumerate(pairs)],
            self._changed,
        )

    def _changed(self) -> None:
        if self.group.state is not self.states[-1]:
            self.states.append(self.group.state)

    def stands(self, state: State) -> bool:
        return self.group.state is state

    async def reaches(self, state: State) -> None:
        await until(lambda: self.group.state is state)

    def at_rest(self) -> bool:
        return not any(component.running for component in self.components)


def endless(*script: list[int], replays: bool = True) -> ScriptedSource:
    return ScriptedSource(*script, endless=True, replays=replays)


async def test_finite_sources_end_by_themselves() -> None:
    sink = RecordingSink()
    life = Life((ScriptedSource([1], [2]), sink), (ScriptedSource([3]), RecordingSink()))
    life.group.start()
    await life.group.settled()
    assert life.states == [State.OFF, State.OPEN, State.ON, State.CLOSE, State.OFF]
    assert sink.accepted == [1, 2]
    assert life.at_rest()


async def test_a_group_is_on_until_its_last_exchange_has_ended() -> None:
    waiting = ScriptedSource([1], PAUSE)
    sink = RecordingSink()
    life = Life((ScriptedSource([0]), sink), (waiting, RecordingSink()))
    life.group.start()
    await until(lambda: sink.accepted == [0])
    await turns(50)
    assert life.stands(State.ON)
    waiting.resume()
    await life.group.settled()
    assert life.stands(State.OFF)


async def test_stop_delivers_what_was_received() -> None:
    source, sink = endless([1], [2], [3]), RecordingSink(awaits=10)
    life = Life((source, sink))
    life.group.start()
    await until(lambda: source.given)
    life.group.stop()
    assert life.stands(State.CLOSE)
    await life.group.settled()
    assert life.states == [State.OFF, State.OPEN, State.ON, State.CLOSE, State.OFF]
    assert sink.accepted == source.given
    assert life.at_rest()


async def test_a_group_stays_open_while_a_far_end_is_away_and_is_on_as_soon_as_it_is_back() -> None:
    source, sink = endless([1]), RecordingSink()
    sink.unreachable = AWAY
    life = Life((source, sink))
    life.group.start()
    await until(lambda: sink.starts > 10)
    assert life.stands(State.OPEN)
    sink.unreachable = None
    await until(lambda: sink.accepted == [1])
    assert life.stands(State.ON)
    await life.group.abort()


async def test_stop_while_open_closes_without_ever_being_on() -> None:
    source, sink = endless([1]), RecordingSink()
    source.unreachable = AWAY
    life = Life((source, sink))
    life.group.start()
    await until(lambda: source.starts > 3)
    life.group.stop()
    await life.group.settled()
    assert life.states == [State.OFF, State.OPEN, State.CLOSE, State.OFF]
    assert life.at_rest()


@pytest.mark.parametrize("state", [State.OPEN, State.ON, State.CLOSE])
async def test_abort_gives_up_what_is_in_flight(state: State) -> None:
    source, sink = endless([1], [2]), RecordingSink(gate=asyncio.Event())
    if state is State.OPEN:
        sink.unreachable = AWAY
    life = Life((source, sink))
    life.group.start()
    await turns(100)
    if state is State.CLOSE:
        life.group.stop()
    assert life.stands(state)
    await life.group.abort()
    assert life.stands(State.OFF)
    assert life.at_rest()
    statistics = life.group.exchanges[0].statistics
    assert statistics.received == statistics.dropped == 0, "it will be received again"
    assert source.acknowledged == []


async def test_a_fault_stops_all_exchanges_of_the_group_and_is_told() -> None:
    broken = RecordingSink(None, FatalError("the disk is full"))
    life = Life((endless([1], [2], [3]), broken), (endless([1]), RecordingSink()))
    life.group.start()
    await life.reaches(State.FAULT)
    assert str(life.group.fault) == "the disk is full"
    assert life.at_rest()


async def test_a_defect_of_a_component_is_a_fault_that_names_its_kind() -> None:
    life = Life((ScriptedSource([1], KeyError("oops")), RecordingSink()))
    life.group.start()
    await life.group.settled()
    assert (life.group.state, str(life.group.fault)) == (State.FAULT, "KeyError: 'oops'")


async def test_a_failure_while_opening_is_a_fault() -> None:
    source = ScriptedSource([1], failures=[FatalError("no such device")])
    absent = endless()
    absent.unreachable = AWAY
    life = Life((source, RecordingSink()), (absent, RecordingSink()))
    life.group.start()
    await life.group.settled()
    assert life.states == [State.OFF, State.OPEN, State.FAULT]
    assert str(life.group.fault) == "no such device"
    assert life.at_rest()


async def test_a_failure_while_closing_is_a_fault() -> None:
    class Failing(ScriptedSource):
        async def stop(self) -> None:
            await super().stop()
            raise OSError("cannot say goodbye")

    sink = RecordingSink()
    life = Life((Failing([1], endless=True), sink))
    life.group.start()
    await until(lambda: sink.accepted == [1])
    life.group.stop()
    await life.group.settled()
    assert life.states[-2:] == [State.CLOSE, State.FAULT]
    assert str(life.group.fault) == "OSError: cannot say goodbye"


async def test_a_component_that_is_cancelled_from_within_is_a_fault_not_an_end() -> None:
    life = Life((ScriptedSource([1], asyncio.CancelledError(), [2]), RecordingSink()))
    life.group.start()
    await life.group.settled()
    assert (life.group.state, str(life.group.fault)) == (
        State.FAULT,
        "a component was cancelled from within",
    )


async def test_reset_leaves_fault_and_the_group_starts_again() -> None:
    source, sink = ScriptedSource([1], FatalError("broken"), [2]), RecordingSink()
    life = Life((source, sink))
    life.group.start()
    await life.group.settled()
    faults: list[Fault | None] = []
    life.group._on_change = lambda: faults.append(life.group.fault)
    life.group.reset()
    assert (life.group.state, faults) == (State.OFF, [None])
    life.group.start()
    await life.group.settled()
    assert sink.accepted == [1, 2]


async def test_a_refused_reset_keeps_the_group_as_it_is() -> None:
    life = Life((endless(), RecordingSink()))
    with pytest.raises(StateError, match="Reset is not allowed in state OFF"):
        life.group.reset()
    assert life.states == [State.OFF]


async def test_what_a_sink_does_not_take_in_time_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "DRAIN_TIMEOUT_S", 0.05)
    source, sink = endless([1, 2], replays=False), RecordingSink(gate=asyncio.Event())
    life = Life((source, sink))
    life.group.start()
    await until(lambda: sink.writes)
    life.group.stop()
    await life.group.settled()
    assert life.stands(State.OFF)
    exchange = life.group.exchanges[0]
    assert (exchange.statistics.received, exchange.statistics.dropped) == (2, 2)
    assert exchange.statistics.failures[-1].text.startswith("2 records given up")
    (gap,) = exchange.gaps
    assert (gap.reason, gap.records, gap.is_exact) == (GapReason.GIVEN_UP, 2, True)


async def test_a_source_that_does_not_stop_is_a_fault_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "DRAIN_TIMEOUT_S", 0.05)
    monkeypatch.setattr(exchange_module, "STOP_TIMEOUT_S", 0.05)
    source, sink = StubbornSource([1]), RecordingSink()
    life = Life((source, sink))
    life.group.start()
    await until(lambda: sink.accepted)
    life.group.stop()
    await life.group.settled()
    assert life.stands(State.FAULT)
    assert "StubbornSource did not stop" in str(life.group.fault)
    source.let_go.set()
    await until(lambda: source.stops == 2)


async def test_an_aborted_drain_does_not_touch_the_next_run() -> None:
    slow_to_stop = endless([1], [2])
    slow_to_stop.awaits = 30
    sink = RecordingSink()
    life = Life((slow_to_stop, sink))
    life.group.start()
    await life.reaches(State.ON)
    life.group.stop()
    await life.group.abort()
    life.group.start()
    await life.reaches(State.ON)
    await turns(200)
    assert life.stands(State.ON)
    await life.group.abort()


async def test_a_host_that_fails_on_the_news_does_not_disturb_the_group() -> None:
    def fails() -> None:
        raise RuntimeError("no client listens")

    sink = RecordingSink()
    group = Group("g", [Exchange("g[0]", [ScriptedSource([1])], [], [sink])], fails)
    group.start()
    await group.settled()
    assert (group.state, sink.accepted) == (State.OFF, [1])


async def test_shut_down_brings_to_rest_from_every_state() -> None:
    for turn in (0, 1, 5, 20, 60):
        source, sink = endless([1], [2]), RecordingSink()
        life = Life((source, sink))
        if turn:
            life.group.start()
            await turns(turn)
        await life.group.shut_down()
        assert life.stands(State.OFF)
        assert sink.accepted == source.given
        assert life.at_rest()


@pytest.mark.parametrize("command", ["stop", "abort", "stop and abort", "abort twice"])
def test_a_command_at_any_moment_ends_at_rest_with_nothing_left(command: str) -> None:
    """At each of the first 80 turns; also when the sources end by themselves meanwhile."""
    legal = {(move.source, move.target) for move in TRANSITIONS}

    async def commanded_at(turn: int) -> None:
        finite = ScriptedSource([1], [2], AWAY, [3], failures=[AWAY])
        life = Life((finite, RecordingSink(AWAY)), (ScriptedSource([4]), RecordingSink()))
        life.group.start()
        await turns(turn)
        for action in command.split(" and "):
            try:
                if action == "stop":
                    life.group.stop()
                elif action == "abort twice":
                    await asyncio.gather(life.group.abort(), life.group.abort())
                else:
                    await life.group.abort()
            except StateError:
                assert life.group.state in {State.OFF, State.CLOSE}
        async with asyncio.timeout(5):
            await life.group.settled()
        assert life.stands(State.OFF)
        assert life.at_rest()
        assert set(zip(life.states, life.states[1:], strict=False)) <= legal
        for exchange in life.group.exchanges:
            assert exchange.statistics.in_flight == 0

    for turn in range(80):
        run_alone(lambda turn=turn: commanded_at(turn))  # type: ignore[misc]


# A fault, a policy that starts again, and somebody who wants something else

AT_ONCE = Policy(RestartDescriptor(attempts=3, wait_s=0.001))


class BadEnd(RecordingSink):
    """Fails when it is stopped."""

    async def stop(self) -> None:
        await super().stop()
        raise FatalError("not all was written")


def fresh() -> Exchange:
    return Exchange("g[new]", [endless([1])], [], [RecordingSink()])


async def test_a_group_that_fails_while_it_is_stopped_does_not_start_again() -> None:
    life = Life((endless([1]), BadEnd()))
    life.group.policy = AT_ONCE
    life.group.start()
    await life.reaches(State.ON)
    life.group.stop()
    async with asyncio.timeout(5):
        await life.group.settled()
    assert life.states == [State.OFF, State.OPEN, State.ON, State.CLOSE, State.FAULT]
    assert life.group.restart_at_s is None


async def test_a_configuration_does_not_wait_for_the_end_of_a_group_that_started_again() -> None:
    life = Life((endless([1]), BadEnd()))
    life.group.policy = AT_ONCE
    life.group.start()
    await life.reaches(State.ON)
    async with asyncio.timeout(5):
        await life.group.release([])
        await life.group.adopt([fresh()], AT_ONCE, start=False)
    await life.reaches(State.ON)
    assert [e.name for e in life.group.exchanges] == ["g[new]"]
    await life.group.shut_down()


async def test_a_fault_during_a_replacement_leaves_the_start_to_the_new_configuration() -> None:
    breaks = ScriptedSource(PAUSE, FatalError("broken"))
    life = Life((breaks, RecordingSink()), (endless([1]), RecordingSink(awaits=50)))
    life.group.policy = AT_ONCE
    kept, _ = life.group.exchanges
    life.group.start()
    await life.reaches(State.ON)
    releasing = asyncio.create_task(life.group.release([kept]))
    await life.reaches(State.OPEN)
    breaks.resume()
    await life.reaches(State.FAULT)
    assert life.at_rest()
    async with asyncio.timeout(5):
        await releasing
        await life.group.adopt([kept, fresh()], AT_ONCE, start=False)
    await life.reaches(State.ON)
    assert life.states[2:] == [
        State.ON, State.OPEN, State.FAULT, State.OFF, State.OPEN, State.ON,
    ]  # fmt: skip
    await life.group.shut_down()


async def test_a_group_is_not_off_before_what_was_replaced_has_ended() -> None:
    sink = RecordingSink(awaits=200)
    life = Life((endless([1]), RecordingSink()), (endless([1]), sink))
    life.group.start()
    await life.reaches(State.ON)
    kept, _ = life.group.exchanges
    releasing = asyncio.create_task(life.group.release([kept]))
    await life.reaches(State.OPEN)
    life.group.stop()
    await life.reaches(State.OFF)
    assert life.at_rest()
    await releasing
    await life.group.adopt([kept, fresh()], Policy(), start=False)
    assert life.stands(State.OFF)


@pytest.mark.parametrize("away", [False, True], ids=["from ON", "from OPEN"])
async def test_an_abort_shows_no_state_on_its_way_to_off(away: bool) -> None:
    source = endless([1])
    source.unreachable = AWAY if away else None
    life = Life((source, RecordingSink()), (endless([1]), RecordingSink()))
    life.group.start()
    await life.reaches(State.OPEN if away else State.ON)
    await turns(20)
    await life.group.abort()
    expected = [State.OFF, State.OPEN, State.ON, State.OFF]
    assert life.states == [state for state in expected if not away or state is not State.ON]


@pytest.mark.parametrize("command", ["stop", "shut_down", "release"])
def test_a_command_while_a_fault_comes_to_rest_leaves_nothing(command: str) -> None:
    async def commanded_at(turn: int) -> None:
        life = Life(
            (ScriptedSource([1], FatalError("broken")), RecordingSink()),
            (endless([1]), RecordingSink()),
        )
        life.group.start()
        await turns(turn)
        async with asyncio.timeout(5):
            try:
                if command == "stop":
                    life.group.stop()
                elif command == "shut_down":
                    await life.group.shut_down()
                else:
                    await life.group.release(life.group.exchanges[1:])
                    await life.group.adopt(life.group.exchanges[1:], Policy(), start=False)
                    await life.group.shut_down()
            except StateError:
                assert life.group.state in {State.FAULT, State.CLOSE}
            await life.group.settled()
        assert life.at_rest()

    for turn in range(60):
        run_alone(lambda turn=turn: commanded_at(turn))  # type: ignore[misc]


def test_a_configuration_while_an_abort_comes_to_rest_starts_nothing() -> None:
    async def configured_at(turn: int) -> None:
        life = Life((endless([1]), RecordingSink()), (endless([2]), RecordingSink()))
        added = (endless([3]), RecordingSink())
        new = [life.group.exchanges[0], Exchange("g[1]", [added[0]], [], [added[1]])]
        life.group.start()
        await life.reaches(State.ON)
        aborting = asyncio.create_task(life.group.abort())
        await turns(turn)
        aborted = life.stands(State.OFF) or turn > 0
        async with asyncio.timeout(5):
            await life.group.release(new[:1])
            await life.group.adopt(new, Policy(), start=False)
            await aborting
            await turns(30)
            if aborted:
                assert life.stands(State.OFF)
                assert not added[0].starts
            await life.group.shut_down()
        assert life.at_rest()
        assert not added[0].running

    for turn in range(40):
        run_alone(lambda turn=turn: configured_at(turn))  # type: ignore[misc]
