"""One exchange of a group is paused, resumed or restarted; the others never notice."""

from __future__ import annotations

import asyncio

import pytest

from queueconnector_core import stream as stream_module
from queueconnector_core.errors import FatalError, RetryableError, StateError
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.health import ailment
from queueconnector_core.plan import Policy
from queueconnector_core.states import State
from queueconnector_core.testing.doubles import PAUSE, RecordingSink, ScriptedSource, turns, until
from tests.core.doubles import Window

AWAY = RetryableError("the far end is away")


class Pair:
    """A group of two exchanges: one to act on, one that must not notice."""

    def __init__(self, source: ScriptedSource, sink: RecordingSink, *pipes: Window) -> None:
        self.source, self.sink = source, sink
        self.other_source = ScriptedSource([1], endless=True)
        self.one = Exchange("g[0]", [source], pipes, [sink])
        other = Exchange("g[1]", [self.other_source], [], [RecordingSink()])
        self.states: list[State] = []
        self.group = Group("g", [self.one, other], lambda: self.states.append(self.group.state))

    async def on(self) -> None:
        self.group.start()
        await until(lambda: self.group.state is State.ON)
        self.states.clear()


def gated(*script: list[int]) -> ScriptedSource:
    """Gives the first batch, then stands still until it is resumed."""
    first, *rest = script
    return ScriptedSource(first, PAUSE, *rest, endless=True)


async def test_a_paused_exchange_takes_nothing_and_stays_connected() -> None:
    pair = Pair(gated([1], [2], [3]), RecordingSink())
    await pair.on()
    await until(lambda: pair.sink.accepted == [1])

    pair.group.pause(pair.one)
    pair.source.resume()
    await turns(200)

    assert pair.sink.accepted == [1]
    assert pair.one.statistics.received == 1, "what is held back is not received yet"
    assert pair.one.statistics.in_flight == 0
    assert pair.group.state is State.ON
    assert (pair.source.stops, pair.sink.stops) == (0, 0)
    assert ailment(pair.one) is None
    pair.group.resume(pair.one)
    await until(lambda: pair.sink.accepted == [1, 2, 3])
    await pair.group.shut_down()


async def test_what_was_received_before_a_pause_is_delivered() -> None:
    gate = asyncio.Event()
    pair = Pair(ScriptedSource([1], [2], endless=True), RecordingSink(gate=gate))
    await pair.on()
    await until(lambda: pair.sink.writes == 1)
    pair.group.pause(pair.one)
    gate.set()
    await until(lambda: pair.sink.accepted == [1])
    await turns(100)
    assert pair.sink.accepted == [1]
    await pair.group.shut_down()


async def test_stop_delivers_what_a_pause_has_held_back() -> None:
    pair = Pair(gated([1], [2]), RecordingSink())
    await pair.on()
    await until(lambda: pair.sink.accepted == [1])
    pair.group.pause(pair.one)
    pair.source.resume()
    await turns(100)

    pair.group.stop()
    await pair.group.settled()

    assert pair.sink.accepted == pair.source.given == [1, 2]
    assert pair.group.state is State.OFF


async def test_a_pause_holds_over_a_restart_and_ends_with_start() -> None:
    pair = Pair(ScriptedSource([1], endless=True), RecordingSink())
    pair.source.unreachable = AWAY
    pair.group.start()
    await until(lambda: pair.source.starts > 2)
    pair.group.pause(pair.one)
    pair.source.unreachable = None
    await until(lambda: pair.group.state is State.ON)
    await turns(100)
    assert pair.sink.accepted == []

    pair.group.restart(pair.one)
    await until(lambda: pair.source.stops > 0 and pair.group.state is State.ON)
    await turns(100)
    paused = [pair.one.is_paused]

    await pair.group.shut_down()
    pair.group.start()
    assert [*paused, pair.one.is_paused] == [True, False]
    await pair.group.shut_down()


async def test_a_restarted_exchange_ends_in_order_and_begins_again() -> None:
    pair = Pair(ScriptedSource([1], [2], [3], endless=True), RecordingSink(), Window(2))
    await pair.on()
    await until(lambda: pair.source.given == [1, 2, 3])

    pair.group.restart(pair.one)
    await until(lambda: pair.states[-1:] == [State.ON])

    assert pair.states == [State.OPEN, State.ON]
    assert pair.sink.accepted == [[1, 2], [3]], "what the pipe held was delivered"
    assert (pair.source.starts, pair.source.running) == (2, True)
    assert (pair.other_source.starts, pair.other_source.stops) == (1, 0)
    await pair.group.shut_down()


async def test_an_exchange_that_cannot_connect_is_restarted_at_once() -> None:
    pair = Pair(ScriptedSource(endless=True), RecordingSink())
    pair.source.unreachable = AWAY
    pair.group.start()
    await until(lambda: pair.source.starts > 2)
    pair.group.restart(pair.one)
    pair.source.unreachable = None
    await until(lambda: pair.group.state is State.ON)
    assert pair.source.stops == 1
    await pair.group.shut_down()


@pytest.mark.parametrize("command", ["stop", "abort"])
async def test_a_command_to_the_group_ends_a_restart(command: str) -> None:
    gate = asyncio.Event()
    pair = Pair(ScriptedSource([1], endless=True), RecordingSink(gate=gate))
    await pair.on()
    await until(lambda: pair.sink.writes == 1)
    pair.group.restart(pair.one)
    await turns(10)
    if command == "stop":
        pair.group.stop()
        gate.set()
    else:
        pair.group.abort().close()
    await pair.group.settled()

    assert pair.group.state is State.OFF
    assert pair.source.starts == 1
    assert pair.sink.accepted == ([1] if command == "stop" else [])


async def test_a_restart_whose_sink_hangs_gives_up_what_is_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_module, "DRAIN_TIMEOUT_S", 0.01)
    pair = Pair(
        ScriptedSource([1], endless=True, replays=False), RecordingSink(gate=asyncio.Event())
    )
    await pair.on()
    await until(lambda: pair.sink.writes == 1)
    pair.group.restart(pair.one)
    await until(lambda: pair.states[-1:] == [State.ON])
    assert pair.one.statistics.dropped == 1
    assert [gap.reason.value for gap in pair.one.gaps] == ["given up"]
    await pair.group.shut_down()


async def test_a_defect_while_it_restarts_is_a_fault_of_the_group() -> None:
    source = ScriptedSource(endless=True)
    pair = Pair(source, RecordingSink())
    await pair.on()
    source.failures.append(FatalError("no more"))
    pair.group.restart(pair.one)
    await pair.group.settled()
    assert pair.group.state is State.FAULT
    assert pair.group.fault is not None
    assert pair.group.fault.exchange == 0


async def test_a_configuration_takes_away_what_is_being_restarted() -> None:
    gate = asyncio.Event()
    pair = Pair(ScriptedSource([1], endless=True), RecordingSink(gate=gate))
    await pair.on()
    await until(lambda: pair.sink.writes == 1)
    pair.group.restart(pair.one)
    kept = pair.group.exchanges[1:]
    gate.set()
    await pair.group.release(kept)
    await pair.group.adopt(kept, Policy(), start=False)
    await until(lambda: pair.group.state is State.ON)
    assert pair.source.starts == 1
    assert pair.sink.accepted == [1]
    await pair.group.shut_down()


@pytest.mark.parametrize("command", ["pause", "restart"])
async def test_what_does_not_stream_is_neither_paused_nor_restarted(command: str) -> None:
    pair = Pair(ScriptedSource(), RecordingSink())
    with pytest.raises(StateError, match=r"not allowed in state OFF of group g"):
        getattr(pair.group, command)(pair.one)
    await pair.on()
    with pytest.raises(StateError, match=r"g\[0\] is not allowed while it is end"):
        getattr(pair.group, command)(pair.one)
    await pair.group.shut_down()


async def test_the_time_in_flight_is_that_of_all_records() -> None:
    gate = asyncio.Event()
    pair = Pair(ScriptedSource([1, 2, 3], endless=True), RecordingSink(gate=gate))
    await pair.on()
    await until(lambda: pair.sink.writes == 1)
    await asyncio.sleep(0.1)
    gate.set()
    await until(lambda: pair.sink.accepted == [1, 2, 3])
    flight_s = pair.one.statistics.flight_s
    assert 0.3 <= flight_s < 3
    await asyncio.sleep(0.05)
    assert pair.one.statistics.flight_s == flight_s, "nothing is in flight"
    await pair.group.shut_down()
