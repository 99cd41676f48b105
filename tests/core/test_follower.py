"""The documents of a configuration source, from what it tells to what it is reported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.config import follower as follower_module
from queueconnector_core.config.follower import Follower
from queueconnector_core.config.protocol import (
    ConfigContext,
    ConfigReport,
    ConfigSource,
    ConfigUpdate,
    Synced,
    Unavailable,
)
from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_core.states import State
from queueconnector_core.testing.doubles import turns, until
from tests.core.doubles import other_tasks
from tests.core.hosts import Host, attribute, exchange, text_of
from tests.core.scripts import Script, ScriptDescriptor

OFF, OPEN, ON, CLOSE, FAULT = State.OFF, State.OPEN, State.ON, State.CLOSE, State.FAULT
STANDBY = State.STANDBY
MALFORMED = '{"exchanges": ['


class World:
    """A host that follows scripts."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self._next = Script()
        self.host = Host(
            ComponentType(
                "ScriptConfigSource", ComponentKind.CONFIG_SOURCE, self._make, ScriptDescriptor
            )
        )
        self.connector = self.host.connector

    def _make(self, _: ScriptDescriptor, context: ConfigContext) -> ConfigSource:
        self._next.host = context.host
        return self._next

    def follow(self, name: str = "s", **options: Any) -> Script:
        self._next = script = self.scripts[name] = Script()
        self.connector.follow(name, ScriptDescriptor(**options))
        return script

    def follower(self, name: str = "s") -> Follower:
        return self.connector.followers[name]

    def states(self) -> dict[str, State]:
        return self.host.states()

    async def are(self, **states: State) -> None:
        try:
            await until(lambda: self.states() == states)
        except TimeoutError:
            raise AssertionError(f"{self.states()}\n{self.status}") from None

    @property
    def status(self) -> str:
        return self.connector.status_text()

    async def ends(self) -> None:
        await self.connector.shut_down()
        await asyncio.sleep(0)


@pytest.fixture
async def world(no_task_is_left: None) -> AsyncIterator[World]:  # noqa: ARG001 - after it
    world = World()
    yield world
    await world.ends()


def one(*exchanges: dict[str, Any]) -> str:
    return json.dumps({"exchanges": list(exchanges) or [exchange()]})


def claiming(name: str) -> str:
    return one(exchange(attribute(name)))


# From a text to a group


async def test_each_document_becomes_a_group_that_is_named_by_its_key_and_starts(
    world: World,
) -> None:
    script = world.follow()
    assert isinstance(script, ConfigSource)
    assert "Configuration source s has not answered yet." in world.status
    script.tell(script.put("a", one()), script.put("b", one()), Synced())
    await world.are(a=ON, b=ON)
    assert world.follower().synced.is_set()
    assert script.host == world.connector.name


async def test_a_source_that_has_nothing_says_so(world: World) -> None:
    world.follow().tell(Synced())
    await world.follower().synced.wait()
    assert world.status == "Configuration source s has nothing."
    assert world.connector.state is STANDBY


async def test_what_is_not_to_start_waits_for_start(world: World) -> None:
    world.follow(start=False).tell(ConfigUpdate("a", one(), "1"))
    await world.are(a=OFF)
    await turns(50)
    await world.connector.start()
    await world.are(a=ON)


@pytest.mark.parametrize(
    ("key", "text", "names"),
    [
        ("k", one(), {"k"}),
        ("k", text_of(x=[exchange()]), {"k"}),
        ("k", text_of(x=[exchange()], y=[exchange()]), {"k.x", "k.y"}),
        (None, one(), {"default"}),
        (None, text_of(x=[exchange()], y=[exchange()]), {"x", "y"}),
        ("k", json.dumps(one()), {"k"}),
    ],
    ids=["list", "one group", "groups", "no key", "groups without a key", "text inside text"],
)
async def test_names_of_groups(world: World, key: str | None, text: str, names: set[str]) -> None:
    world.follow().tell(ConfigUpdate(key, text, "1"))
    await world.are(**dict.fromkeys(names, ON))


async def test_the_same_key_of_two_sources_is_two_groups(world: World) -> None:
    world.follow("first").tell(ConfigUpdate("k", one(), "1"))
    await world.are(k=ON)
    world.follow("second").tell(ConfigUpdate("k", one(), "1"))
    await world.are(**{"k": ON, "k@second": ON})


@pytest.mark.parametrize(
    ("text", "state"), [("", STANDBY), (MALFORMED, FAULT)], ids=["empty", "malformed"]
)
async def test_a_document_without_exchanges_does_not_hide_the_group_of_that_name(
    world: World, text: str, state: State
) -> None:
    world.follow("first").tell(ConfigUpdate("k", one(), "1"))
    await world.are(k=ON)
    world.follow("second").tell(ConfigUpdate("k", text, "1"))
    await world.are(**{"k": ON, "k@second": state})


# Changes


async def test_a_change_replaces_only_what_changed(world: World) -> None:
    script = world.follow()
    script.sets("a", one(exchange(), exchange(count=5)))
    await world.are(a=ON)
    script.sets("a", one(exchange(), exchange(count=6)))
    await until(lambda: len(world.host.sources) == 3)
    await world.are(a=ON)
    assert (world.host.sources[0].starts, world.host.sources[0].stops) == (1, 0)


async def test_of_rapid_changes_the_last_is_applied_and_the_others_never(world: World) -> None:
    script = world.follow()
    script.sets("a", one(exchange(count=0)))
    await world.are(a=ON)
    script.tell(*(script.put("a", one(exchange(count=n))) for n in range(1, 20)))
    await until(lambda: world.host.sinks[-1].accepted == list(range(19)))
    assert len(world.host.sources) == 2
    assert script.last("a").seen == script.last("a").running == "v20"


async def test_a_deleted_document_takes_its_group_along(world: World) -> None:
    script = world.follow()
    script.tell(script.put("a", one()), script.put("b", one()))
    await world.are(a=ON, b=ON)
    script.sets("a", None)
    await world.are(b=ON)
    await until(lambda: script.told("a")[-1] is None)
    assert script.last("a").groups == {}
    assert set(world.follower().documents) == {"b"}
    script.sets("a", one())
    await world.are(a=ON, b=ON)


async def test_a_document_that_is_deleted_and_written_at_once_is_there(world: World) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    script.tell(script.put("a", None), script.put("a", one(exchange(count=7))))
    await until(lambda: world.host.sinks[-1].accepted == list(range(7)))
    assert set(world.follower().documents) == {"a"}
    assert None not in script.told("a")


async def test_a_document_that_is_written_and_deleted_at_once_is_gone(world: World) -> None:
    script = world.follow()
    script.tell(script.put("a", one()), script.put("a", None), Synced())
    await world.follower().synced.wait()
    await turns(50)
    assert world.states() == {}
    assert world.host.sources == []


async def test_the_same_version_once_more_is_nothing_also_after_a_fault_or_a_stop(
    world: World,
) -> None:
    script = world.follow()
    script.sets("a", one(exchange(broken=True)), version="7")
    script.sets("b", one(), version="7")
    await world.are(a=FAULT, b=ON)
    await world.connector.stop()
    await world.are(a=FAULT, b=OFF)
    script.sets("a", one(exchange(broken=True)), version="7")
    script.sets("b", one(), version="7")
    await turns(50)
    assert world.states() == {"a": FAULT, "b": OFF}


async def test_the_same_content_with_a_new_version_restarts_nothing(world: World) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    script.sets("a", " " + one())
    await until(lambda: script.last("a").running == "v2")
    assert len(world.host.sources) == 1
    assert world.host.sources[0].stops == 0
    assert script.last("a").state is ON


async def test_the_same_content_with_a_new_version_tries_again_after_a_fault(
    world: World,
) -> None:
    script = world.follow()
    script.sets("a", one(exchange(count=1)))
    await world.are(a=ON)
    world.host.group("a")._streams[0]._failed(FatalError("broken"))
    await world.are(a=FAULT)
    script.sets("a", one(exchange(count=1)))
    await world.are(a=ON)


@pytest.mark.parametrize("empty", ["", "null", "{}", '{"exchanges": []}'])
async def test_an_empty_document_keeps_its_group_in_standby(world: World, empty: str) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    script.sets("a", empty)
    await world.are(a=STANDBY)
    script.sets("a", one())
    await world.are(a=ON)
    script.sets("b", empty)
    await world.are(a=ON, b=STANDBY)


# A text that cannot be used


WRONG = [MALFORMED, '{"exchanges": [{}]}', "5", one(exchange(count=-1)), '"' * 3]


@pytest.mark.parametrize("text", WRONG)
async def test_a_wrong_text_lets_the_former_one_run_on(world: World, text: str) -> None:
    script = world.follow(invalid="keep")
    script.sets("a", one())
    await world.are(a=ON)
    script.sets("a", text)
    await until(lambda: script.last("a").fault is not None)
    report = script.last("a")
    assert (report.seen, report.running, report.state) == ("v2", "v1", ON)
    assert report.fault is not None
    assert report.fault.version == "v2"
    await turns(50)
    assert world.host.sources[0].stops == 0
    assert "Configuration s/a v2 is rejected, the former one runs on: " in world.status
    script.sets("a", one())
    await until(lambda: script.last("a").fault is None)
    assert "rejected" not in world.status


@pytest.mark.parametrize("text", WRONG)
async def test_a_wrong_text_stops_the_former_one_where_that_is_wanted(
    world: World, text: str
) -> None:
    script = world.follow(invalid="fault")
    script.sets("a", one())
    await world.are(a=ON)
    script.sets("a", text)
    await world.are(a=FAULT)
    assert not world.host.sources[0].running
    script.sets("a", one(exchange(count=9)))
    await world.are(a=ON)
    await until(lambda: script.last("a").fault is None)


@pytest.mark.parametrize("invalid", ["keep", "fault"])
async def test_a_wrong_text_where_nothing_runs_is_a_fault(world: World, invalid: str) -> None:
    script = world.follow(invalid=invalid)
    script.sets("a", MALFORMED)
    await world.are(a=FAULT)
    await until(lambda: script.told("a")[-1:] == [FAULT])
    assert (script.last("a").seen, script.last("a").running) == ("v1", "")
    assert "nothing runs" in world.status
    script.sets("a", one())
    await world.are(a=ON)


async def test_a_wrong_text_that_is_mended_at_once_stops_nothing(world: World) -> None:
    script = world.follow(invalid="fault")
    script.sets("a", one())
    await world.are(a=ON)
    script.tell(script.put("a", MALFORMED), script.put("a", one()))
    await until(lambda: script.reports and script.last("a").running == "v3")
    await turns(100)
    assert world.states() == {"a": ON}
    assert world.host.sources[0].stops == 0


async def test_a_text_that_no_factory_can_build_is_as_wrong_as_any(world: World) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    world.host.made.defect = ZeroDivisionError("no memory")
    script.sets("a", one(exchange(count=5)))
    await until(lambda: script.last("a").fault is not None)
    assert (script.last("a").state, script.last("a").running) == (ON, "v1")
    world.host.made.defect = None
    script.sets("a", one(exchange(count=5)))
    await until(lambda: script.last("a").running == "v3")
    assert script.last("a").fault is None


async def test_texts_that_cannot_be_built_do_not_try_each_other_for_ever(world: World) -> None:
    script = world.follow()
    world.host.made.defect = ZeroDivisionError("no memory")
    script.tell(script.put("a", one()), script.put("b", one()))
    await world.are(a=FAULT, b=FAULT)
    await turns(100)
    changes = world.host.changes
    await turns(100)
    assert world.host.changes == changes


async def test_two_documents_that_claim_one_name(world: World) -> None:
    """The newcomer is at fault; it is tried again by itself when the name is free."""
    script = world.follow()
    script.sets("a", claiming("x"))
    await world.are(a=ON)
    script.sets("b", claiming("X"))
    await world.are(a=ON, b=FAULT)
    assert "attribute 'X' is already used by group a" in world.status
    assert world.host.sources[0].stops == 0
    script.sets("a", claiming("y"))
    await world.are(a=ON, b=ON)
    assert world.host.attributes.held == {"s/a": {"y"}, "s/b": {"X"}}
    script.sets("c", claiming("x"))
    await world.are(a=ON, b=ON, c=FAULT)
    script.sets("b", None)
    await world.are(a=ON, c=ON)


async def test_a_name_of_the_hosts_own_document_is_claimed_as_well(world: World) -> None:
    await world.connector.configure(claiming("x"))
    script = world.follow()
    script.sets("b", claiming("x"))
    await world.are(default=OFF, b=FAULT)
    await world.connector.configure("")
    await world.are(b=ON)
    with pytest.raises(ConfigError, match="already used by group b"):
        await world.connector.configure(claiming("x"))


# Documents do not wait for each other


async def test_a_document_that_drains_slowly_does_not_hold_up_another(world: World) -> None:
    script = world.follow()
    script.tell(script.put("slow", one()), script.put("fast", one()))
    await world.are(slow=ON, fast=ON)
    world.host.sources[0].awaits = 3000
    script.tell(
        script.put("slow", one(exchange(count=5))), script.put("fast", one(exchange(count=6)))
    )
    await until(lambda: world.host.sinks[-1].accepted == list(range(6)))
    assert world.host.group("slow").state is CLOSE
    await world.are(slow=ON, fast=ON)


# A source that cannot be read


async def test_an_outage_of_the_source_is_told_and_stops_nothing(world: World) -> None:
    script = world.follow()
    script.tell(script.put("a", one()), Synced())
    await world.are(a=ON)
    script.tell(Unavailable("connection refused"))
    await until(lambda: world.follower().problem)
    assert "Configuration source s cannot be read since " in world.status
    assert "connection refused; trying again; what is configured runs on" in world.status
    assert world.connector.state is ON
    script.tell(Synced())
    await until(lambda: world.follower().problem is None)
    assert "cannot be read" not in world.status


async def test_a_source_that_refuses_puts_the_host_in_fault_until_it_does_not(
    world: World,
) -> None:
    script = world.follow()
    script.tell(script.put("a", one()), Synced())
    await world.are(a=ON)
    script.tell(Unavailable("permission denied", refused=True))
    await until(lambda: world.connector.state is FAULT)
    assert "permission denied; mend it" in world.status
    assert world.states() == {"a": ON}
    script.tell(Synced())
    await until(lambda: world.connector.state is ON)
    script.tell(Unavailable("permission denied", refused=True))
    await until(lambda: world.connector.state is FAULT)
    await world.connector.reset()
    assert world.connector.state is ON
    assert script.follows == 1


async def test_a_source_that_raises_is_followed_again_by_reset(world: World) -> None:
    script = world.follow()
    script.tell(script.put("a", one()), script.put("b", one()), Synced())
    await world.are(a=ON, b=ON)
    script.tell(KeyError("oops"))
    await until(lambda: world.connector.state is FAULT)
    assert "KeyError: 'oops'; Reset tries again" in world.status
    await world.connector.reset()
    await until(lambda: script.follows == 2)
    assert world.connector.state is ON
    script.tell(ConfigUpdate("a", one(), "v1"), Synced())
    await world.are(a=ON)
    assert world.host.sources[0].stops == 0, "b is gone meanwhile, a is as it was"


async def test_a_source_that_ends_keeps_what_it_has_told(world: World) -> None:
    script = world.follow()
    script.tell(script.put(None, one()), Synced(), None)
    await world.follower().ended.wait()
    await world.are(default=ON)
    assert world.connector.state is ON


# A database that came back empty


async def test_a_key_that_comes_back_within_the_grace_stops_nothing(world: World) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    script.sets("a", None, grace_s=0.05)
    await turns(20)
    assert world.states() == {"a": ON}
    script.sets("a", one())
    await asyncio.sleep(0.1)
    assert world.states() == {"a": ON}
    assert world.host.sources[0].stops == 0


async def test_a_key_that_does_not_come_back_ends_after_the_grace(world: World) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    script.sets("a", None, grace_s=0.05)
    script.tell(Synced())
    await turns(50)
    assert world.states() == {"a": ON}
    await world.are()
    await until(lambda: script.told("a")[-1] is None)


async def test_a_key_that_is_deleted_during_the_grace_ends_at_once(world: World) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    script.tell(script.put("a", None, grace_s=60), script.put("a", None))
    await world.are()


# Reports


async def test_every_state_in_which_a_document_rests_is_reported(world: World) -> None:
    script = world.follow()
    script.sets("a", one(exchange(away=True)))
    await until(lambda: script.told("a")[-1:] == [OPEN])
    world.host.sources[0].unreachable = None
    await until(lambda: script.told("a")[-1] is ON)
    await world.connector.stop()
    await until(lambda: script.told("a")[-1] is OFF)
    script.sets("a", "")
    await until(lambda: script.told("a")[-1] is STANDBY)
    script.sets("a", text_of(x=[exchange()], y=[exchange(broken=True)]))
    await until(lambda: script.last("a").groups == {"a.x": ON, "a.y": FAULT})
    fault = script.last("a").fault
    assert fault is not None
    assert (fault.group, fault.exchange, fault.type) == ("a.y", 0, "ZeroDivisionError")
    assert fault.version == script.last("a").running


async def test_of_reports_that_wait_only_the_last_of_a_document_is_written(world: World) -> None:
    script = world.follow()
    script.gate.clear()
    script.tell(script.put("a", one()), script.put("b", one()))
    await world.are(a=ON, b=ON)
    script.gate.set()
    await until(lambda: script.told("a")[-1:] == script.told("b")[-1:] == [ON])
    assert len(script.reports) <= 3


async def test_a_report_that_hangs_slows_neither_streams_nor_documents(world: World) -> None:
    script = world.follow()
    script.gate.clear()
    script.sets("a", one())
    await until(lambda: world.host.sinks and world.host.sinks[0].accepted == [0, 1, 2])
    script.tell(script.put("b", one()), script.put("a", None))
    await world.are(b=ON)


async def test_a_report_that_cannot_be_written_now_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "LONGEST_WAIT_S", 0.01)
    script = world.follow()
    script.answers.extend([RetryableError("the database is away")] * 3)
    script.sets("a", one())
    await until(lambda: script.told("a")[-1:] == [ON])


async def test_one_report_that_cannot_be_written_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower_module, "LONGEST_WAIT_S", 0.01)
    script = world.follow()
    report = script.report

    async def picky(told: ConfigReport) -> None:
        if told.key == "a":
            raise RetryableError("not this one")
        await report(told)

    monkeypatch.setattr(script, "report", picky)
    script.tell(script.put("b", one()), script.put("a", one()))
    await until(lambda: script.told("b")[-1:] == [ON])


async def test_a_report_that_is_denied_is_told_once_and_streams_go_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    script = world.follow()
    script.answers.extend([FatalError("permission denied")] * 50)
    script.tell(script.put("a", one()), script.put("b", one()))
    await world.are(a=ON, b=ON)
    await world.connector.stop()
    await world.are(a=OFF, b=OFF)
    await until(lambda: len(script.answers) < 46)
    told = [entry for entry in caplog.records if "permission denied" in entry.getMessage()]
    assert len([entry for entry in told if entry.levelname == "ERROR"]) == 1


async def test_a_report_that_fails_by_mistake_is_logged_and_the_next_is_written(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    script = world.follow()
    script.answers.append(KeyError("oops"))
    script.sets("a", one())
    await world.are(a=ON)
    await world.connector.stop()
    await until(lambda: script.told("a")[-1:] == [OFF])
    assert "a report failed" in caplog.text


# The end


@pytest.mark.parametrize("busy", ["idle", "draining", "grace", "hanging report"])
async def test_who_is_no_longer_followed_has_no_group_task_or_report(
    world: World, busy: str
) -> None:
    script = world.follow()
    script.tell(script.put("a", one()), script.put("wrong", MALFORMED))
    await world.are(a=ON, wrong=FAULT)
    if busy == "draining":
        world.host.sources[0].awaits = 200
        script.sets("a", one(exchange(count=9)))
    elif busy == "grace":
        script.sets("a", None, grace_s=60)
    elif busy == "hanging report":
        script.gate.clear()
        await world.connector.stop()
    await turns(10)
    await world.connector.unfollow("s")
    assert (world.states(), script.stops) == ({}, 1)
    assert not any(component.running for component in world.host.components)
    reports = len(script.reports)
    await asyncio.sleep(0)
    assert not other_tasks()
    script.gate.set()
    await turns(20)
    assert len(script.reports) == reports
    assert world.status == "Not configured."


async def test_a_host_that_shuts_down_stops_its_sources_and_streams(world: World) -> None:
    script = world.follow()
    script.sets("a", one())
    await world.are(a=ON)
    await world.connector.shut_down()
    assert (world.states(), script.stops) == ({"a": OFF}, 1)
    reports = len(script.reports)
    await turns(20)
    assert len(script.reports) == reports


async def test_a_source_may_be_followed_again_under_its_name_but_not_twice(world: World) -> None:
    world.follow("s")
    with pytest.raises(ConfigError, match="'s' is followed already"):
        world.follow("s")
    await world.connector.unfollow("s")
    world.follow("s").tell(ConfigUpdate("a", one(), "1"))
    await world.are(a=ON)


@pytest.mark.parametrize("name", ["by the host"])
async def test_no_source_takes_the_name_of_the_hosts_own_document(world: World, name: str) -> None:
    with pytest.raises(ConfigError, match="followed already"):
        world.follow(name)


async def test_standby_forgets_what_is_off_until_the_source_tells_more(world: World) -> None:
    script = world.follow(start=False)
    script.sets("a", one())
    await world.are(a=OFF)
    await world.connector.standby()
    assert world.states() == {"a": STANDBY}
    script.sets("a", one())
    await world.are(a=OFF)
