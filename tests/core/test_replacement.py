"""A new configuration replaces what changed; whatever did not change notices nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from queueconnector_core.errors import FatalError, StateError
from queueconnector_core.group import Group
from queueconnector_core.states import State
from queueconnector_core.testing.doubles import turns, until
from tests.core.hosts import Host, attribute, exchange, text_of

OFF, OPEN, ON, CLOSE, FAULT = State.OFF, State.OPEN, State.ON, State.CLOSE, State.FAULT
STANDBY = State.STANDBY

KEPT = exchange(label="kept")
OLD = exchange(label="old")
NEW = exchange(label="new")
AWAY = exchange(away=True)

NOT_A_NUMBER = exchange(anything=float("nan"))


@pytest.fixture
def host() -> Host:
    return Host()


def untouched(host: Host, index: int) -> bool:
    """Whether the components of an exchange were started once and never stopped."""
    pair = (host.sources[index], host.sinks[index])
    return all((each.starts, each.stops) == (1, 0) for each in pair)


async def held_up(host: Host, index: int) -> None:
    """From now on an exchange takes long to drain: its source stops only after many turns."""
    host.sources[index].awaits = 300


async def replacing(host: Host, *exchanges: dict[str, Any]) -> asyncio.Task[None]:
    """A configuration of group g that stands where the old exchanges drain."""
    task = asyncio.create_task(host.connector.configure(text_of(g=list(exchanges))))
    await turns(10)
    assert not task.done()
    return task


# What stays


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ([KEPT, OLD], [KEPT, NEW], {0: 0}),
        ([OLD, KEPT], [KEPT, NEW], {0: 1}),
        ([OLD, KEPT], [NEW, KEPT], {1: 1}),
        ([KEPT, OLD], [NEW, NEW, KEPT], {2: 0}),
        ([KEPT, KEPT], [KEPT, KEPT, KEPT], {0: 0, 1: 1}),
        ([KEPT, KEPT, OLD], [KEPT], {0: 0}),
        ([NOT_A_NUMBER, OLD], [NEW, NOT_A_NUMBER], {1: 0}),
        ([KEPT, OLD], [OLD, KEPT], {0: 1, 1: 0}),
    ],
    ids=[
        "in place", "moved up", "beside a change", "moved down", "identical twice",
        "others removed", "NaN", "swapped",
    ],
)  # fmt: skip
async def test_an_exchange_that_did_not_change_streams_on(
    host: Host,
    before: list[dict[str, Any]],
    after: list[dict[str, Any]],
    kept: dict[int, int],
) -> None:
    await host.streams(text_of(g=before))
    former = host.running("g")
    await host.connector.configure(text_of(g=after))
    await host.reaches(ON)
    now = host.running("g")
    assert {place: former.index(e) for place, e in enumerate(now) if e in former} == kept
    assert [e.name for e in now] == [f"g[{place}]" for place in range(len(after))]
    assert all(untouched(host, place) for place in kept.values())
    assert host.history["g"] == [ON, OPEN, ON]
    await host.connector.shut_down()
    for place in kept.values():
        assert host.sinks[place].accepted == host.sources[place].given


async def test_what_stays_delivers_every_record_while_others_are_replaced(host: Host) -> None:
    await host.streams(text_of(g=[exchange(count=400), OLD]))
    assert len(host.sources[0].given) < 400
    await host.connector.configure(text_of(g=[exchange(count=400), NEW]))
    await until(lambda: host.sinks[0].accepted == list(range(400)))
    assert untouched(host, 0)
    await host.connector.shut_down()


async def test_changed_exchanges_are_drained_before_new_ones_start(host: Host) -> None:
    await host.streams(text_of(g=[KEPT, exchange(count=50)]))
    host.sinks[1].awaits = 20
    await until(lambda: host.sources[1].given)
    await host.connector.configure(text_of(g=[KEPT, NEW]))
    assert host.sinks[1].accepted == host.sources[1].given
    assert not host.sinks[1].running
    assert [made.starts for made in (host.sources[2], host.sinks[2])] == [0, 0]
    await host.reaches(ON)
    await host.connector.shut_down()


async def test_when_all_changed_the_group_is_closed_and_started_again(host: Host) -> None:
    await host.streams(text_of(g=[OLD]))
    await host.connector.configure(text_of(g=[NEW]))
    await host.reaches(ON)
    assert host.history["g"] == [ON, CLOSE, OFF, OPEN, ON]
    await host.connector.shut_down()


async def test_a_group_that_loses_the_last_endless_exchange_ends_by_itself(host: Host) -> None:
    finite = exchange(endless=False)
    await host.streams(text_of(g=[finite, OLD]))
    await until(lambda: not host.sources[0].running)
    await host.connector.configure(text_of(g=[finite]))
    await host.connector.settled()
    assert host.history["g"][-2:] == [CLOSE, OFF]


POLICIES: list[dict[str, Any]] = [
    {"outage_limit_s": 7.5},
    {"restart": {"attempts": 3}},
]


@pytest.mark.parametrize("policy", POLICIES)
async def test_another_policy_restarts_nothing(host: Host, policy: dict[str, Any]) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await host.connector.configure(text_of(policy, g=[KEPT, OLD]))
    await host.reaches(ON)
    assert untouched(host, 0)
    assert untouched(host, 1)
    assert len(host.sources) == 2
    assert CLOSE not in host.history["g"]
    group = host.group("g")
    assert (group.policy.restart.attempts, group.policy.outage_limit_s) == (
        policy.get("restart", {}).get("attempts", 0),
        policy.get("outage_limit_s"),
    )
    assert {e.outage_limit_s for e in group.exchanges} == {policy.get("outage_limit_s")}
    await host.connector.shut_down()


async def test_the_same_text_once_more_changes_nothing(host: Host) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await host.connector.configure(text_of(g=[KEPT, OLD]))
    assert host.history["g"] == [ON]
    assert untouched(host, 0)
    await host.connector.shut_down()


async def test_what_was_off_stays_off_and_keeps_what_did_not_change(host: Host) -> None:
    await host.connector.configure(text_of(g=[KEPT, OLD]))
    kept = host.running("g")[0]
    await host.connector.configure(text_of(g=[NEW, KEPT]))
    assert (host.running("g")[1], kept.name) == (kept, "g[1]")
    assert host.stands(OFF)


# Commands and faults in each phase of a replacement


async def test_stop_while_old_exchanges_drain_stops_what_stays_and_starts_nothing(
    host: Host,
) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await held_up(host, 1)
    task = await replacing(host, KEPT, NEW)
    await host.connector.stop()
    await until(lambda: not host.sources[0].running)
    await turns(20)
    assert host.sources[1].running
    assert host.stands(CLOSE), "OFF means that nothing is connected"
    await task
    assert host.history["g"] == [ON, OPEN, CLOSE, OFF]
    assert host.sources[2].starts == 0
    await host.connector.start()
    await host.reaches(ON)
    assert [made.starts for made in host.sources] == [2, 1, 1]
    await host.connector.shut_down()


async def test_stop_while_new_exchanges_start(host: Host) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await host.connector.configure(text_of(g=[KEPT, AWAY]))
    await until(lambda: host.sources[2].starts > 3)
    await host.connector.stop()
    await host.connector.settled()
    assert host.history["g"] == [ON, OPEN, CLOSE, OFF]
    assert not any(component.running for component in host.components)


@pytest.mark.parametrize("exchanges", [[KEPT, NEW], [NEW]], ids=["some stay", "all go"])
async def test_abort_while_old_exchanges_drain(host: Host, exchanges: list[dict[str, Any]]) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await held_up(host, 0)
    await held_up(host, 1)
    task = await replacing(host, *exchanges)
    await host.connector.abort()
    assert host.stands(OFF)
    assert not any(component.running for component in host.components)
    await task
    await turns(50)
    assert host.stands(OFF)
    assert len(host.running("g")) == len(exchanges)


async def test_abort_while_new_exchanges_start(host: Host) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await host.connector.configure(text_of(g=[KEPT, AWAY]))
    await host.connector.abort()
    assert host.history["g"] == [ON, OPEN, OFF]
    assert not any(component.running for component in host.components)


async def test_a_fault_of_what_stays_while_others_drain_is_mended_by_the_configuration(
    host: Host,
) -> None:
    await host.streams(text_of(g=[exchange(count=500), OLD]))
    await held_up(host, 1)
    task = await replacing(host, exchange(count=500), NEW)
    host.sinks[0]._script.append(FatalError("the disk is full"))
    await task
    await host.reaches(ON)
    assert host.history["g"] == [ON, OPEN, FAULT, OFF, OPEN, ON]
    assert [made.starts for made in host.sources] == [2, 1, 1]
    await host.connector.shut_down()


async def test_a_fault_of_what_stays_while_new_ones_start_is_a_fault_of_the_group(
    host: Host,
) -> None:
    await host.streams(text_of(g=[exchange(count=500), OLD]))
    await host.connector.configure(text_of(g=[exchange(count=500), AWAY]))
    host.sinks[0]._script.append(FatalError("the disk is full"))
    await host.reaches(FAULT)
    fault = host.group("g").fault
    assert fault is not None
    assert (fault.message, fault.exchange) == ("the disk is full", 0)
    assert not any(component.running for component in host.components)


@pytest.mark.parametrize("exchanges", [[KEPT, NEW], [NEW]], ids=["some stay", "all go"])
async def test_a_fault_of_what_leaves_is_told_and_hinders_nobody(
    host: Host, exchanges: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    await host.streams(text_of(g=[KEPT, exchange(count=50)]))
    host.sinks[1].awaits = 20
    await until(lambda: host.sinks[1].writes)
    host.sinks[1]._script.append(FatalError("the disk is full"))
    await host.connector.configure(text_of(g=exchanges))
    await host.reaches(ON)
    assert "the disk is full" in caplog.text
    assert host.group("g").fault is None
    await host.connector.shut_down()


@pytest.mark.parametrize("exchanges", [[KEPT, NEW], [NEW]], ids=["some stay", "all go"])
async def test_a_restart_never_gets_between_the_halves_of_a_configuration(
    host: Host, exchanges: list[dict[str, Any]]
) -> None:
    """A policy of restarts must not wake old exchanges while they are replaced."""
    policy = {"restart": {"attempts": 9, "wait_s": 0.0001}}
    await host.streams(text_of(policy, g=[KEPT, exchange(count=50)]))
    for sink in host.sinks:
        sink._script.append(FatalError("broken"))
        sink.awaits = 20
    async with asyncio.timeout(5):
        await host.connector.configure(text_of(policy, g=exchanges))
    await host.reaches(ON)
    assert host.sources[1].starts == 1
    await host.connector.shut_down()


async def test_a_new_configuration_while_old_exchanges_drain_comes_after(host: Host) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await held_up(host, 1)
    first = await replacing(host, KEPT, NEW)
    later = [exchange(count=n) for n in (4, 5)]
    tasks = [
        asyncio.create_task(host.connector.configure(text_of(g=[KEPT, each]))) for each in later
    ]
    await asyncio.gather(first, *tasks)
    await until(lambda: host.sinks[-1].accepted == [0, 1, 2, 3, 4])
    assert len(host.sources) == 4, "the text in the middle was overtaken and never built"
    assert untouched(host, 0)
    assert sum(made.running for made in host.sources) == 2
    await host.connector.shut_down()


async def test_a_configuration_need_not_wait_for_a_far_end_that_is_away(host: Host) -> None:
    await host.connector.configure(text_of(g=[KEPT, AWAY]), start=True)
    await until(lambda: host.sources[1].starts > 3)
    assert host.stands(OPEN)
    await host.connector.configure(text_of(g=[KEPT, NEW]))
    await host.reaches(ON)
    assert untouched(host, 0)
    assert host.history["g"] == [OFF, OPEN, ON]
    await host.connector.shut_down()


async def test_what_waits_for_its_far_end_goes_on_waiting_beside_a_change(host: Host) -> None:
    await host.connector.configure(text_of(g=[AWAY, OLD]), start=True)
    await until(lambda: host.sources[0].starts > 3)
    await host.connector.configure(text_of(g=[AWAY, NEW]))
    await until(lambda: host.sinks[2].accepted == [0, 1, 2])
    assert host.stands(OPEN)
    host.sources[0].unreachable = None
    await host.reaches(ON)
    await host.connector.shut_down()


async def test_a_configuration_of_a_group_that_closes_waits_and_leaves_it_off(
    host: Host,
) -> None:
    await host.streams(text_of(g=[KEPT, OLD]))
    await held_up(host, 1)
    await host.connector.stop()
    await host.connector.configure(text_of(g=[KEPT, NEW]))
    await turns(20)
    assert host.history["g"] == [ON, CLOSE, OFF]
    assert len(host.running("g")) == 2


# What cannot be applied


async def test_a_factory_that_raises_changes_nothing(host: Host) -> None:
    await host.streams(text_of(g=[KEPT, OLD, attribute_of("x")]))
    before = [(e, e.name) for e in host.running("g")]
    host.made.defect = ZeroDivisionError("no memory")
    with pytest.raises(ZeroDivisionError):
        await host.connector.configure(text_of(g=[OLD, KEPT, attribute_of("y")]))
    assert [(e, e.name) for e in host.running("g")] == before
    assert host.attributes.reconciled == [["x"]]
    assert all(component.stops == 0 for component in host.sinks)
    assert host.history["g"] == [ON]
    assert (
        "is rejected, the former one runs on: ZeroDivisionError: no memory"
        in host.connector.status_text()
    )
    host.made.defect = None
    await host.connector.configure(text_of(g=[OLD, KEPT, attribute_of("y")]))
    assert "rejected" not in host.connector.status_text()
    assert untouched(host, 0)
    await host.connector.shut_down()


def attribute_of(name: str) -> dict[str, Any]:
    return exchange(attribute(name), label=name)


async def test_resources_that_cannot_be_made_are_a_fault_that_the_next_configuration_mends(
    host: Host,
) -> None:
    await host.streams(text_of(g=[attribute_of("x"), KEPT], other=[KEPT]))
    host.attributes.defect = OSError("Tango is full")
    with pytest.raises(OSError, match="Tango is full"):
        await host.connector.configure(text_of(g=[attribute_of("y"), KEPT], other=[KEPT]))
    assert host.states() == {"g": FAULT, "other": ON}
    assert "Group g is FAULT: OSError: Tango is full" in host.connector.status_text()
    await host.connector.reset()
    assert host.states() == {"g": STANDBY, "other": ON}, "there is nothing to start"
    host.attributes.defect = None
    await host.connector.configure(text_of(g=[attribute_of("y"), KEPT], other=[KEPT]), start=True)
    await until(lambda: host.states() == {"g": ON, "other": ON})
    assert host.attributes.held == {"by the host": {"y"}}
    await host.connector.shut_down()


async def test_a_configuration_that_removes_a_group_in_fault_removes_it(host: Host) -> None:
    await host.streams(text_of(g=[attribute_of("x")]))
    host.attributes.defect = OSError("Tango is full")
    with pytest.raises(OSError, match="Tango"):
        await host.connector.configure("")
    assert host.states() == {"g": FAULT}
    host.attributes.defect = None
    await host.connector.configure("")
    assert (host.states(), host.stands(STANDBY)) == ({}, True)


# Names


async def test_a_name_is_handed_over_between_groups_of_one_configuration(host: Host) -> None:
    await host.streams(text_of(a=[attribute_of("x"), KEPT], b=[KEPT]))
    await host.connector.configure(text_of(a=[KEPT], b=[KEPT, attribute_of("x")]))
    await until(lambda: host.states() == {"a": ON, "b": ON})
    assert host.attributes.held == {"by the host": {"x"}}
    assert [made.starts for made in host.sources] == [1, 1, 1, 1]
    assert untouched(host, 1)
    assert untouched(host, 2)
    await host.connector.shut_down()


async def test_a_refused_stop_is_no_stop(host: Host) -> None:
    """CLOSE does not allow Stop; the replacement under way starts what is new, as it would."""
    await host.streams(text_of(g=[OLD]))
    await held_up(host, 0)
    task = await replacing(host, NEW)
    with pytest.raises(StateError, match="Stop is not allowed in state CLOSE; allowed: Abort"):
        await host.connector.stop()
    await task
    await host.reaches(ON)
    await host.connector.shut_down()


async def test_a_group_without_exchanges_in_fault_goes_to_standby_when_it_is_reset() -> None:
    group = Group("g")
    await group.fail(FatalError("unusable"))
    assert group.state is FAULT
    group.reset()
    assert group.state is STANDBY
