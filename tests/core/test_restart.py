"""After a fault: starting again by itself, and how long a far end may be away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
import stamina

from queueconnector_core import group as group_module
from queueconnector_core.descriptors import RestartDescriptor
from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.plan import Policy
from queueconnector_core.states import State
from queueconnector_core.testing.doubles import FarEnd, RecordingSink, ScriptedSource, turns, until
from tests.core.hosts import Host, exchange, text_of

BROKEN = FatalError("broken")
AWAY = RetryableError("the far end is away")
FOR_LONG = 1e6


class Clock:
    """The time that groups see and wait for: it goes on only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits: list[float] = []
        self._due: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        due: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due.append((self.now_s + wait_s, due))
        await due

    async def passes(self, seconds: float) -> None:
        """Time goes on, and what was waited for happens."""
        self.now_s += seconds
        for at_s, due in self._due:
            if at_s <= self.now_s and not due.done():
                due.set_result(None)
        await turns(60)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    sleep = asyncio.sleep

    class Asyncio:
        """The module as groups see it."""

        def __getattr__(self, name: str) -> Any:
            return clock.sleep if name == "sleep" else getattr(asyncio, name)

    monkeypatch.setattr(group_module, "asyncio", Asyncio())
    monkeypatch.setattr(group_module, "time", clock)
    assert asyncio.sleep is sleep
    return clock


def breaking(times: int, **policy: Any) -> tuple[Group, ScriptedSource]:
    """A group whose source cannot be started so many times."""
    source = ScriptedSource([1], endless=True, failures=[BROKEN] * times)
    exchange = Exchange("g[0]", [source], [], [RecordingSink()])
    return Group("g", [exchange], policy=Policy(RestartDescriptor(**policy))), source


async def test_without_a_policy_fault_lasts(clock: Clock) -> None:
    group, source = breaking(1)
    group.start()
    await group.settled()
    await clock.passes(FOR_LONG)
    assert (group.state, source.starts, clock.waits) == (State.FAULT, 1, [])


async def test_each_wait_is_twice_the_one_before_and_none_is_too_long(clock: Clock) -> None:
    group, source = breaking(100, attempts=5, wait_s=1, longest_wait_s=5)
    group.start()
    for attempt in range(6):
        await turns(60)
        assert (group.state, source.starts) == (State.FAULT, attempt + 1)
        await clock.passes(10)
    assert clock.waits == [1, 2, 4, 5, 5]
    assert group.restart_at_s is None
    await group.settled()


async def test_it_streams_as_soon_as_an_attempt_works(clock: Clock) -> None:
    group, source = breaking(2, attempts=5)
    group.start()
    await turns(60)
    await clock.passes(1)
    await clock.passes(2)
    assert (group.state, source.starts, group.fault) == (State.ON, 3, None)
    await group.shut_down()


async def test_so_many_attempts_that_doubling_them_has_no_number(clock: Clock) -> None:
    group, _ = breaking(5000, attempts=5000, wait_s=0.5)
    group.start()
    await turns(60)
    group.restarts = 4000
    await clock.passes(1)
    assert group.state is State.FAULT
    assert clock.waits[-1] == 60
    await group.shut_down()


@pytest.mark.parametrize(("on_for_s", "used"), [(59, 3), (60, 1)])
async def test_who_was_well_for_long_enough_may_use_all_attempts_again(
    clock: Clock, on_for_s: float, used: int
) -> None:
    group, _ = breaking(2, attempts=5, wait_s=1, longest_wait_s=60)
    group.start()
    await turns(60)
    await clock.passes(1)
    await clock.passes(2)
    assert group.state is State.ON
    await clock.passes(on_for_s)
    group._streams[0]._failed(BROKEN)
    await turns(60)
    assert (group.state, group.restarts) == (State.FAULT, used)
    await group.shut_down()


async def test_a_start_by_hand_has_all_attempts(clock: Clock) -> None:
    group, source = breaking(1, attempts=2)
    group.start()
    await turns(60)
    await clock.passes(1)
    group.stop()
    await group.settled()
    assert group.restarts == 1
    source.failures.append(BROKEN)
    group.start()
    await turns(60)
    assert (group.restarts, clock.waits) == (1, [1, 1])
    await group.shut_down()


async def test_reset_cancels_the_restart(clock: Clock) -> None:
    group, source = breaking(1, attempts=3)
    group.start()
    await turns(60)
    group.reset()
    await group.settled()
    await clock.passes(FOR_LONG)
    assert (group.state, source.starts, group.restarts) == (State.OFF, 1, 0)
    assert group.restart_at_s is None


async def test_a_new_configuration_comes_in_place_of_the_restart(clock: Clock) -> None:
    """What was streaming before its fault, and would start by itself, starts anew."""
    policy = {"restart": {"attempts": 3}}
    host = Host()
    await host.connector.configure(text_of(policy, g=[exchange(broken=True)]), start=True)
    await host.reaches(State.FAULT)
    await host.connector.configure(text_of(policy, g=[exchange()]))
    await host.reaches(State.ON)
    await clock.passes(FOR_LONG)
    assert [source.starts for source in host.sources] == [1, 1]
    await host.connector.shut_down()


async def test_without_a_restart_under_way_a_new_configuration_leaves_fault_for_off() -> None:
    host = Host()
    await host.connector.configure(text_of(g=[exchange(broken=True)]), start=True)
    await host.reaches(State.FAULT)
    await host.connector.configure(text_of(g=[exchange()]))
    await turns(20)
    assert host.stands(State.OFF)


async def test_settled_waits_for_what_will_happen_by_itself(clock: Clock) -> None:
    group, _ = breaking(1, attempts=1)
    group.start()
    settling = asyncio.create_task(group.settled())
    await turns(60)
    assert (group.state, settling.done()) == (State.FAULT, False)
    await clock.passes(1)
    assert not settling.done()
    group.stop()
    await settling
    assert group.state is State.OFF


@pytest.mark.usefixtures("clock")
async def test_shut_down_does_not_wait_for_a_restart() -> None:
    group, source = breaking(1, attempts=1)
    group.start()
    await turns(60)
    await group.shut_down()
    assert (group.state, source.starts) == (State.FAULT, 1)


class Farewell(ScriptedSource):
    """Fails when it is stopped."""

    async def stop(self) -> None:
        await super().stop()
        raise FatalError("no farewell")


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("command", ["stop", "abort", "shut_down"])
async def test_who_was_told_to_stop_does_not_start_again(command: str) -> None:
    source = Farewell([1], endless=True)
    policy = Policy(RestartDescriptor(attempts=3))
    group = Group("g", [Exchange("g[0]", [source], [], [RecordingSink()])], policy=policy)
    group.start()
    await until(lambda: group.state is State.ON)
    async with asyncio.timeout(5):
        if command == "stop":
            group.stop()
        else:
            await getattr(group, command)()
        await group.settled()
    assert (group.state, group.restart_at_s, source.starts) == (State.FAULT, None, 1)


@pytest.mark.usefixtures("clock")
async def test_status_says_when_it_starts_again() -> None:
    policy = {"restart": {"attempts": 2, "wait_s": 30}}
    host = Host()
    await host.connector.configure(text_of(policy, g=[exchange(broken=True)]), start=True)
    await host.reaches(State.FAULT)
    told = host.connector.status_text()
    assert "Group g is FAULT: ZeroDivisionError: broken; starts again at 00:17:10Z" in told
    assert "(attempt 1 of 2)" in told
    assert "Reset or a new configuration" not in told
    await host.connector.shut_down()
    assert "Reset or a new configuration leaves it" in host.connector.status_text()


# How long a far end may be away


@pytest.fixture
def real_waits() -> Iterator[None]:
    with stamina.set_testing(False):
        yield


def limited(limit_s: float | None, *script: Any) -> tuple[Group, ScriptedSource, RecordingSink]:
    source, sink = ScriptedSource(*script, endless=True), RecordingSink()
    running = Exchange("g[0]", [source], [], [sink])
    running.outage_limit_s = limit_s
    return Group("g", [running]), source, sink


class Writes(RecordingSink):
    """Cannot be written for as long as `away`."""

    away = True

    async def write(self, batch: Any) -> None:
        if self.away:
            raise AWAY
        await super().write(batch)


@pytest.mark.usefixtures("real_waits")
@pytest.mark.parametrize("phase", ["start", "read", "write"])
async def test_a_far_end_that_is_away_for_too_long_is_a_fault(phase: str) -> None:
    group, source, sink = limited(0.3, [1], AWAY)
    if phase == "start":
        sink.unreachable = AWAY
    elif phase == "write":
        group.exchanges[0]._sinks = (Writes(),)
    group.start()
    if phase == "read":
        await until(lambda: source.starts)
        source.unreachable = AWAY
    begun_s = time.monotonic()
    await until(lambda: group.state is State.FAULT)
    assert 0.25 < time.monotonic() - begun_s < 2
    assert str(group.fault) == ("the far end is away; away for more than outage_limit_s = 0.3 s")
    await group.settled()


@pytest.mark.usefixtures("real_waits")
@pytest.mark.parametrize("far_end", ["source", "sink"])
async def test_a_far_end_that_comes_back_in_time_is_no_fault(far_end: str) -> None:
    """The limit is smaller than the longest wait; it is tried all the same."""
    group, source, sink = limited(3.0, [1])
    end: FarEnd = source if far_end == "source" else sink
    end.unreachable = AWAY
    group.start()
    await until(lambda: end.starts)
    end.unreachable = None
    begun_s = time.monotonic()
    await until(lambda: sink.accepted == [1])
    assert time.monotonic() - begun_s < 2.5, "it was not tried before the limit was over"
    assert group.state is State.ON
    await group.shut_down()


@pytest.mark.usefixtures("real_waits")
async def test_a_wait_that_the_far_end_asked_for_does_not_lengthen_the_limit() -> None:
    group, source, _ = limited(0.2)
    source.unreachable = RetryableError("busy", retry_after_s=60)
    group.start()
    await until(lambda: group.state is State.FAULT, timeout_s=2)


async def test_without_a_limit_it_is_tried_for_ever() -> None:
    group, source, _ = limited(None)
    source.unreachable = AWAY
    group.start()
    await until(lambda: source.starts > 200)
    assert group.state is State.OPEN
    await group.abort()


async def test_each_outage_has_the_whole_limit() -> None:
    """Ten short outages are not one long one."""
    group, _, sink = limited(0.5, *([1], AWAY) * 10)
    group.start()
    await until(lambda: sink.accepted == [1] * 10)
    assert group.state is State.ON
    await group.abort()


async def test_the_limit_of_a_new_configuration_holds_for_an_outage_under_way() -> None:
    host = Host()
    with stamina.set_testing(False):
        await host.connector.configure(text_of(g=[exchange(away=True)]), start=True)
        await until(lambda: host.sources[0].starts)
        await host.connector.configure(text_of({"outage_limit_s": 0.01}, g=[exchange(away=True)]))
        await host.reaches(State.FAULT)
    assert len(host.sources) == 1


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        ({"outage_limit_s": 0}, "outage_limit_s"),
        ({"restart": {"attempts": -1}}, "restart.attempts"),
        ({"restart": {"wait_s": 0}}, "restart.wait_s"),
        ({"restart": {"tries": 3}}, "restart.tries"),
    ],
)
async def test_a_policy_that_makes_no_sense_is_refused(policy: dict[str, Any], path: str) -> None:
    host = Host()
    with pytest.raises(ConfigError) as refusal:
        await host.connector.configure(text_of(policy, g=[exchange()]))
    assert [problem.path for problem in refusal.value.problems] == [path]
