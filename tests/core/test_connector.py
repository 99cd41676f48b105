"""All groups of a host together: configurations replace each other, commands reach who may act."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest
import stamina
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from queueconnector_core.component import Claim, ComponentKind, ComponentType
from queueconnector_core.errors import ConfigError, StateError
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.states import TRANSITIONS, State, Trigger, aggregate, allows
from queueconnector_core.testing.doubles import turns, until
from tests.core.doubles import other_tasks
from tests.core.hosts import Host, attribute, exchange, text_of
from tests.core.scripts import Script, ScriptDescriptor


@pytest.fixture
def host() -> Host:
    return Host()


async def test_configured_groups_are_off_and_nothing_is_connected(host: Host) -> None:
    await host.connector.configure(text_of(a=[exchange()], b=[exchange(), exchange()]))
    assert host.states() == {"a": State.OFF, "b": State.OFF}
    assert host.stands(State.OFF)
    assert [component.starts for component in host.components] == [0] * 6


async def test_the_life_of_a_host(host: Host) -> None:
    assert host.stands(State.STANDBY)
    await host.connector.configure(text_of(a=[exchange()]))
    await host.connector.start()
    assert host.stands(State.OPEN)
    await host.reaches(State.ON)
    await host.connector.stop()
    assert host.stands(State.CLOSE)
    await host.connector.settled()
    assert host.stands(State.OFF)
    await host.connector.standby()
    assert host.stands(State.STANDBY)
    assert host.changes >= 6


@pytest.mark.parametrize("text", ["", "null", "{}"])
async def test_an_empty_configuration_stops_and_removes_everything(host: Host, text: str) -> None:
    await host.connector.configure(text_of(a=[exchange(attribute("x"))]))
    await host.connector.start()
    await host.reaches(State.ON)
    await host.connector.configure(text)
    assert (host.connector.state, host.states()) == (State.STANDBY, {})
    assert host.attributes.reconciled == [["x"], []]
    assert not any(component.running for component in host.components)


async def test_a_group_that_did_not_change_streams_on_untouched(host: Host) -> None:
    await host.connector.configure(text_of(same=[exchange()], changed=[exchange()]))
    await host.connector.start()
    await host.reaches(State.ON)
    same = host.connector.groups["same"]
    await host.connector.configure(text_of(same=[exchange()], changed=[exchange(count=5)]))
    assert host.connector.groups["same"] is same
    await host.reaches(State.ON)
    by_name = [(name, source.starts, source.stops) for name, source in host.made.sources]
    assert by_name == [("same[0]", 1, 0), ("changed[0]", 1, by_name[1][2]), ("changed[0]", 1, 0)]
    assert by_name[1][2] > 0
    await host.connector.shut_down()


async def test_a_changed_group_delivers_what_it_received_before_it_is_replaced(host: Host) -> None:
    await host.connector.configure(text_of(a=[exchange(count=1)]))
    await host.connector.start()
    await until(lambda: host.made.sources[0][1].given)
    await host.connector.configure(text_of(a=[exchange(count=2)]))
    assert host.made.sinks[0][1].accepted == host.made.sources[0][1].given == [0]
    await until(lambda: host.made.sinks[1][1].accepted == [0, 1])
    await host.connector.abort()


async def test_new_groups_start_when_the_host_streams_and_stay_off_when_it_does_not(
    host: Host,
) -> None:
    await host.connector.configure(text_of(a=[exchange()]))
    await host.connector.configure(text_of(a=[exchange()], b=[exchange()]))
    assert host.stands(State.OFF)
    await host.connector.start()
    await host.reaches(State.ON)
    await host.connector.configure(text_of(a=[exchange()], b=[exchange()], c=[exchange()]))
    await until(lambda: host.states() == dict.fromkeys("abc", State.ON))
    await host.connector.abort()


async def test_a_changed_group_that_was_off_stays_off(host: Host) -> None:
    await host.connector.configure(text_of(a=[exchange()]))
    await host.connector.configure(text_of(a=[exchange(count=9)]))
    await turns(20)
    assert host.states() == {"a": State.OFF}


@pytest.mark.parametrize(
    "refused",
    [
        "{",
        '{"exchanges": {"a": [{}]}}',
        text_of(a=[exchange(count=-1)]),
        text_of(a=[exchange(attribute("twice")), exchange(attribute("TWICE"))]),
        text_of(a=[exchange(attribute("State"))]),
    ],
    ids=["malformed", "incomplete", "bad option", "claimed twice", "refused by the host"],
)
async def test_a_refused_configuration_changes_nothing(host: Host, refused: str) -> None:
    await host.connector.configure(text_of(a=[exchange(attribute("x"))]))
    await host.connector.start()
    await host.reaches(State.ON)
    groups = dict(host.connector.groups)
    with pytest.raises(ConfigError):
        await host.connector.configure(refused)
    assert host.connector.groups == groups
    assert host.stands(State.ON)
    assert host.attributes.reconciled == [["x"]]
    assert [component.starts for component in host.components] == [1, 1]
    await host.connector.abort()


async def test_resources_are_made_after_old_groups_ended_and_before_new_ones_start(
    host: Host,
) -> None:
    await host.connector.configure(text_of(a=[exchange(attribute("x"))]))
    await host.connector.start()
    await host.reaches(State.ON)
    running: list[list[bool]] = []
    reconcile = host.attributes.reconcile

    async def observed(owner: str, claims: list[Claim]) -> None:
        running.append([component.running for component in host.components])
        await reconcile(owner, claims)

    host.attributes.reconcile = observed  # type: ignore[method-assign,assignment]
    await host.connector.configure(text_of(a=[exchange(attribute("y"))]))
    assert running == [[False] * 4]
    assert host.attributes.reconciled == [["x"], ["y"]]
    await host.connector.abort()


async def test_a_fault_stays_inside_its_group(host: Host) -> None:
    await host.connector.configure(text_of(good=[exchange()], bad=[exchange(broken=True)]))
    await host.connector.start()
    await until(lambda: host.states() == {"good": State.ON, "bad": State.FAULT})
    assert host.stands(State.FAULT)
    assert "Group bad is FAULT: ZeroDivisionError: broken" in host.connector.status_text()
    await host.connector.reset()
    assert host.states() == {"good": State.ON, "bad": State.OFF}
    assert host.stands(State.ON)
    await host.connector.abort()


async def test_the_same_configuration_once_more_leaves_fault(host: Host) -> None:
    text = text_of(good=[exchange()], bad=[exchange(broken=True)])
    await host.connector.configure(text)
    await host.connector.start()
    await until(lambda: host.states() == {"good": State.ON, "bad": State.FAULT})
    good = host.connector.groups["good"]
    await host.connector.configure(text)
    assert host.states() == {"good": State.ON, "bad": State.OFF}
    assert host.connector.groups["good"] is good
    await host.connector.abort()


async def test_commands_act_on_the_groups_that_allow_them(host: Host) -> None:
    await host.connector.configure(text_of(ends=[exchange(endless=False)], stays=[exchange()]))
    await host.connector.start()
    await until(lambda: host.states() == {"ends": State.OFF, "stays": State.ON})
    await host.connector.start()
    await host.connector.stop()
    await host.connector.settled()
    assert host.stands(State.OFF)


@pytest.mark.parametrize("command", ["start", "stop", "abort", "reset", "standby"])
async def test_a_command_that_no_group_allows_is_refused_with_what_is(
    host: Host, command: str
) -> None:
    with pytest.raises(StateError, match=f"{command.title()} is not allowed in state STANDBY"):
        await getattr(host.connector, command)()


async def test_standby_is_refused_while_streaming(host: Host) -> None:
    await host.connector.configure(text_of(a=[exchange()]))
    await host.connector.start()
    await host.reaches(State.ON)
    with pytest.raises(StateError, match="Standby is not allowed in state ON"):
        await host.connector.standby()
    await host.connector.abort()


async def test_a_start_during_a_configuration_reaches_the_new_groups_only(host: Host) -> None:
    """The group that leaves may be at rest while another still drains: it must stay so."""
    await host.connector.configure(text_of(fast=[exchange()], slow=[exchange()]))
    await host.connector.start()
    await host.reaches(State.ON)
    dict(host.made.sources)["slow[0]"].awaits = 100
    leaving = dict(host.connector.groups)
    configuring = asyncio.create_task(host.connector.configure(text_of(new=[exchange()])))
    await until(lambda: leaving["fast"].state is State.OFF)
    starting = asyncio.create_task(host.connector.start())
    await configuring
    with pytest.raises(StateError):
        await starting
    assert [group.state for group in leaving.values()] == [State.STANDBY, State.STANDBY]
    await host.reaches(State.ON)
    await host.connector.shut_down()
    assert not any(component.running for component in host.components)


async def test_configurations_at_once_are_carried_out_one_after_the_other(host: Host) -> None:
    await host.connector.configure(text_of(a=[exchange()]))
    await host.connector.start()
    texts = [text_of(a=[exchange(count=n)]) for n in (4, 5, 6)]
    await asyncio.gather(*(host.connector.configure(text) for text in texts))
    await until(lambda: host.made.sinks[-1][1].accepted == list(range(6)))
    assert sum(source.running for _, source in host.made.sources) == 1
    await host.connector.shut_down()


async def test_status_says_what_runs_and_what_waits(host: Host) -> None:
    assert host.connector.status_text() == "Not configured."
    await host.connector.configure(text_of(a=[exchange()], b=[exchange(away=True)]))
    await host.connector.start()
    await until(lambda: host.made.sinks[0][1].accepted == [0, 1, 2])
    await until(lambda: host.connector.groups["b"].exchanges[0].statistics.degraded)
    lines = host.connector.status_text().splitlines()
    assert lines[:3] == ["Group a is ON", "  a[0]: 3 received, 3 delivered", "Group b is OPEN"]
    assert lines[3].startswith("  b[0]: 0 received, 0 delivered; waiting since ")
    assert lines[3].endswith("the far end is away")
    await host.connector.abort()


# Any sequence of commands, compared with the table of states

EXCHANGES = st.sampled_from(
    [
        {"count": 3},
        {"count": 2, "label": "other"},
        {"count": 1, "endless": False},
        {"count": 0, "away": True},
        {"count": 2, "broken": True},
        {"anything": float("nan")},
    ]
)
GROUPS = st.dictionaries(
    st.sampled_from("abc"), st.lists(EXCHANGES, min_size=1, max_size=3), max_size=3
)
POLICIES = st.sampled_from([{}, {"restart": {"attempts": 2, "wait_s": 1e-9}}])
KEYS = st.sampled_from(["a", "k"])
COMMANDS = {
    "start": Trigger.START,
    "stop": Trigger.STOP,
    "abort": Trigger.ABORT,
    "reset": Trigger.RESET,
}
LEGAL = {(move.source, move.target) for move in TRANSITIONS}


def document(policy: dict[str, Any], groups: dict[str, list[dict[str, Any]]]) -> str:
    made = {name: [exchange(**options) for options in group] for name, group in groups.items()}
    return text_of(policy, **made)


class AnySequence(RuleBasedStateMachine):
    """Commands, configurations, documents of a source and turns of the loop in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.script = Script()
        self.host = Host(
            ComponentType(
                "ScriptConfigSource",
                ComponentKind.CONFIG_SOURCE,
                lambda _descriptor, _context: self.script,
                ScriptDescriptor,
            )
        )
        self.testing = stamina.set_testing(True, attempts=1_000_000)
        self.seen: dict[Group, list[State]] = {}
        self.host.connector._on_change = self._watch
        self.behind: set[asyncio.Task[None]] = set()
        self.direct: dict[str, list[str]] = {}
        self.exchanges: set[Exchange] = set()
        self.runner.run(self._follow())

    async def _follow(self) -> None:
        self.host.connector.follow("s", ScriptDescriptor())

    def _watch(self) -> None:
        for group in self.host.connector.groups.values():
            self.exchanges.update(group.exchanges)
            states = self.seen.setdefault(group, [group.state])
            if group.state is not states[-1]:
                states.append(group.state)

    @property
    def busy(self) -> bool:
        """Whether a configuration is under way."""
        return any(document._orders for document in self.host.connector.documents)

    @rule(groups=GROUPS, policy=POLICIES)
    def configure(self, groups: dict[str, list[dict[str, Any]]], policy: dict[str, Any]) -> None:
        document_of_host = self.host.connector._direct
        former = {name: group.exchanges for name, group in document_of_host.groups.items()}
        self.runner.run(self.host.connector.configure(document(policy, groups)))
        names = {name.partition("@")[0] for name in document_of_host.groups}
        assert names == set(groups)
        wanted = {name: [repr(options) for options in group] for name, group in groups.items()}
        for name, group in document_of_host.groups.items():
            if name in former and name in self.direct:
                same = Counter(self.direct[name]) & Counter(wanted.get(name, ()))
                assert len({*former[name]} & {*group.exchanges}) == same.total()
        self.direct = wanted if names == set(document_of_host.groups) else {}

    @rule(groups=GROUPS, policy=POLICIES)
    def configure_behind(
        self, groups: dict[str, list[dict[str, Any]]], policy: dict[str, Any]
    ) -> None:
        async def begin() -> None:
            text = document(policy, groups)
            task = asyncio.create_task(self.host.connector.configure(text))
            self.behind.add(task)
            task.add_done_callback(self.behind.discard)
            await asyncio.sleep(0)

        self.direct = {}
        self.runner.run(begin())

    @rule(key=KEYS, groups=GROUPS, policy=POLICIES)
    def a_source_tells(
        self, key: str, groups: dict[str, list[dict[str, Any]]], policy: dict[str, Any]
    ) -> None:
        self.script.sets(key, document(policy, groups))

    @rule(key=KEYS, text=st.sampled_from([None, "{", ""]))
    def a_source_takes_away(self, key: str, text: str | None) -> None:
        self.script.sets(key, text)

    @rule()
    def refused(self) -> None:
        async def refused() -> None:
            with pytest.raises(ConfigError):
                await self.host.connector.configure('{"exchanges": 5}')

        self.runner.run(refused())

    @rule(command=st.sampled_from(sorted(COMMANDS)))
    def command(self, command: str) -> None:
        async def commanded() -> None:
            busy, before = self.busy, self.host.states()
            able = [name for name in before if allows(before[name], COMMANDS[command])]
            try:
                await getattr(self.host.connector, command)()
            except StateError:
                assert busy or not able
                return
            after = self.host.states()
            expected = {
                "start": {State.OPEN},
                "stop": {State.CLOSE},
                "abort": {State.OFF, State.FAULT},
                "reset": {State.OFF, State.STANDBY},
            }[command]
            assert busy or (able and {after[name] for name in able} <= expected)

        self.runner.run(commanded())

    @rule(number=st.integers(1, 60))
    def time_passes(self, number: int) -> None:
        self.runner.run(turns(number))

    @rule()
    def standby(self) -> None:
        async def standby() -> None:
            if self.host.stands(State.OFF) and not self.busy:
                try:
                    await self.host.connector.standby()
                except StateError:
                    # A document came in while it waited for configurations.
                    assert not self.host.stands(State.OFF)

        self.direct = {}
        self.runner.run(standby())

    @invariant()
    def the_host_shows_its_groups(self) -> None:
        assert self.host.connector.state is aggregate(self.host.states().values())
        assert self.host.connector.status_text()

    @invariant()
    def every_group_has_its_own_name(self) -> None:
        groups = [g for d in self.host.connector.documents for g in d.groups.values()]
        assert sorted(group.name for group in groups) == sorted(self.host.connector.groups)

    @invariant()
    def every_balance_is_true(self) -> None:
        for group in self.host.connector.groups.values():
            for running in group.exchanges:
                statistics = running.statistics
                assert statistics.in_flight >= 0
                if group.state in {State.OFF, State.FAULT}:
                    assert statistics.in_flight == 0

    @invariant()
    def a_group_at_rest_has_nothing_connected(self) -> None:
        for group in self.host.connector.groups.values():
            if group.state in {State.STANDBY, State.OFF, State.FAULT}:
                for each in group.exchanges:
                    assert not any(end.running for end in (*each._sources, *each._sinks))  # type: ignore[attr-defined]

    @invariant()
    def what_streams_is_connected_once(self) -> None:
        for made in (*self.host.sources, *self.host.sinks):
            assert made.starts <= made.stops + 1 or made.unreachable is not None

    def teardown(self) -> None:
        async def ended() -> None:
            async with asyncio.timeout(20):
                await self.host.connector.shut_down()
                if self.behind:
                    await asyncio.wait(self.behind)
            await asyncio.sleep(0)
            assert not other_tasks(), f"tasks are left: {other_tasks()}"
            assert not any(component.running for component in self.host.components)
            assert all(each.statistics.in_flight == 0 for each in self.exchanges)

        try:
            self.runner.run(ended())
            for states in self.seen.values():
                assert set(itertools.pairwise(states)) <= LEGAL
        finally:
            self.runner.close()
            stamina.set_testing(False)


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(
    # To make an example smaller takes minutes, beyond any time-out.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
