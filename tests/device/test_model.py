"""Any sequence of commands and configurations on the real device, compared with a model.

One server process serves all sequences; each begins, and ends, in STANDBY with nothing left over.
`QUEUECONNECTOR_SEQUENCES` is how many (15); `make model` runs 200 new ones.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
import tango
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from devservices.process import wait_until
from devservices.tango import TangoDeviceServer
from queueconnector_core.states import State, Trigger, aggregate, allows
from tests.device.conftest import ConnectorServer, Listener
from tests.device.oracle import ARROWS, Log, Oracle, Pair, automatic, device_pairs

SEQUENCES = int(os.environ.get("QUEUECONNECTOR_SEQUENCES", "15"))
STEPS = 24
HERE = Path(__file__).parent
AWAY = "tango://127.0.0.1:1/no/such/device#dbase=no"
SLOTS = "uvwxyz"
KINDS = (
    "endless", "endless", "relay", "relay", "finite", "retyped", "slow", "away", "deaf", "absent",
    "breaking",
)  # fmt: skip
BASE = 100_000
DEVICE_PAIRS = device_pairs()
States: TypeAlias = dict[str, State]


@attrs.frozen
class Exchange:
    """One exchange of a configuration; `slot` names its attribute, `variant` what it sends."""

    slot: str
    kind: str
    variant: int

    def written(self, ramp: TangoDeviceServer) -> dict[str, Any]:
        """As it stands in a configuration."""
        first = self.variant * BASE
        numbers = {"type": "InMemorySource", "data": list(range(first, first + 1500))}
        local = {"type": "TangoLocalAttributeSink", "attribute_name": self.slot}
        ends: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "endless": (numbers | {"delay": 0.005}, local),
            "finite": (numbers | {"data": numbers["data"][:4], "delay": 0.05}, local),
            "retyped": (numbers | {"delay": 0.005}, local),
            "relay": (subscription(ramp.trl(), "count"), local),
            "slow": (numbers | {"delay": 0.01}, remote(ramp.trl(ramp.devices[1]), "patient")),
            "away": (numbers | {"delay": 0.01}, remote(AWAY, "x")),
            "deaf": (subscription(AWAY, "x"), local),
            "absent": (subscription(AWAY, "x", stateless=False), local),
            "breaking": (
                numbers | {"data": numbers["data"][:300], "delay": 0.003},
                {"type": "InMemorySink", "key": "full", "max_records": 1},
            ),
        }
        source, sink = ends[self.kind]
        dtype = "int32" if self.kind == "retyped" and self.variant % 2 else "float64"
        return {"dtype": dtype, "source": source, "sink": sink}

    @property
    def attribute(self) -> str | None:
        """The attribute that it claims."""
        return None if self.kind in {"slow", "away", "breaking"} else self.slot

    @property
    def counts(self) -> bool:
        """Whether its attribute counts without a gap."""
        return self.kind in {"endless", "finite", "retyped", "relay"}


def subscription(device: str, attribute: str, **options: Any) -> dict[str, Any]:
    return {
        "type": "TangoSubscriptionSource", "device_name": device, "attribute_name": attribute,
    } | options  # fmt: skip


def remote(device: str, attribute: str) -> dict[str, Any]:
    return {
        "type": "TangoRemoteAttributeSink", "device_name": device, "attribute_name": attribute,
    }  # fmt: skip


@attrs.frozen
class Configuration:
    """Exchanges by group, in order; each slot at most once."""

    groups: dict[str, tuple[Exchange, ...]] = attrs.field(factory=dict)
    restart: bool = False

    def written(self, ramp: TangoDeviceServer) -> str:
        """As JSON."""
        groups = {
            name: [exchange.written(ramp) for exchange in exchanges]
            for name, exchanges in self.groups.items()
        }
        policy = {"attempts": 2, "wait_s": 0.1, "longest_wait_s": 0.3}
        return json.dumps({"exchanges": groups} | ({"restart": policy} if self.restart else {}))

    @property
    def placed(self) -> dict[tuple[str, Exchange], str]:
        """Each exchange in its group, with the name that Status gives it."""
        return {
            (group, exchange): f"{group}[{index}]"
            for group, exchanges in self.groups.items()
            for index, exchange in enumerate(exchanges)
        }

    @property
    def attributes(self) -> set[str]:
        """The attributes that exist while it is configured."""
        return {exchange.attribute for _, exchange in self.placed if exchange.attribute}


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """Up to six exchanges in up to three groups."""
    groups: dict[str, tuple[Exchange, ...]] = {}
    for slot in draw(st.permutations(SLOTS))[: draw(st.integers(0, 6))]:
        exchange = Exchange(slot, draw(st.sampled_from(KINDS)), draw(st.integers(1, 3)))
        group = draw(st.sampled_from("abc"))
        groups[group] = (*groups.get(group, ()), exchange)
    return Configuration(groups, draw(st.booleans()))


EDITS = st.lists(
    st.tuples(
        st.sampled_from(("vary", "drop", "add", "shuffle", "move", "policy", "rename")),
        st.integers(0, 5),
        st.sampled_from(KINDS),
        st.sampled_from("abc"),
    ),
    max_size=3,
)


def edited(former: Configuration, edits: Sequence[tuple[str, int, str, str]]) -> Configuration:
    """A configuration that has most of its exchanges from the former one."""
    groups = {name: list(exchanges) for name, exchanges in former.groups.items()}
    restart = former.restart
    for verb, number, kind, target in edits:
        places = [(name, index) for name, found in groups.items() for index in range(len(found))]
        if verb == "policy":
            restart = not restart
        elif verb == "add":
            used = {exchange.slot for found in groups.values() for exchange in found}
            if free := sorted(set(SLOTS) - used):
                new = Exchange(free[number % len(free)], kind, 1 + number % 3)
                groups.setdefault(target, []).append(new)
        elif places:
            name, index = places[number % len(places)]
            if verb == "shuffle":
                groups[name] = groups[name][index:] + groups[name][:index]
            elif verb == "rename":
                groups.setdefault(target, []).extend(groups.pop(name))
            else:
                was = groups[name].pop(index)
                if verb == "vary":
                    groups[name].insert(index, attrs.evolve(was, variant=1 + was.variant % 3))
                elif verb == "move":
                    groups.setdefault(target, []).append(was)
    return Configuration({name: tuple(found) for name, found in groups.items() if found}, restart)


UNREACHED = {
    (State.INIT, State.STANDBY),
    (State.INIT, State.FAULT),
    (State.STANDBY, State.FAULT),
    (State.OFF, State.FAULT),
}
"""No arrows of a group, or only with other properties of the device (see test_transitions)."""

COMMANDS = (
    Trigger.START, Trigger.START, Trigger.STOP, Trigger.ABORT, Trigger.RESET, Trigger.STANDBY,
)  # fmt: skip
WRONG = ('{"exchanges": 5}', "{", '{"exchanges": [{}]}', '{"restart": {"attempts": -1}}')


class World:
    """The server, the far ends, and what the process held before the first sequence."""

    def __init__(self, server: ConnectorServer, ramp: TangoDeviceServer) -> None:
        self.server = server
        self.ramp = ramp
        self.proxy = server.proxy()
        self.sequences = self.steps = 0
        self.commands: Counter[str] = Counter()
        self.pairs: set[Pair] = set()
        self.arrows: set[Pair] = set()
        self.events = self.numbers = 0
        self.memory_kb: list[int] = []
        self.base: dict[str, Any] = {}

    def inventory(self) -> dict[str, Any]:
        """What the process holds, without what is renewed or shared all the time."""
        found: dict[str, Any] = json.loads(self.proxy.Inventory())
        pools = ("tango-client", "asyncio_", "Dummy-")
        own = [name for name in found["threads"] if not name.startswith(pools)]
        return {
            "tasks": found["tasks"],
            "threads": sorted(own),
            "attributes": found["attributes"],
            "kept": found["kept"],
            "subscriptions": found["subscriptions"],
        }

    def count(self, name: str) -> int:
        """A number of the inventory."""
        return int(json.loads(self.proxy.Inventory())[name])

    def check_nothing_left(self) -> None:
        """Wait until the process holds what it held before; raises `AssertionError`."""
        self.base = self.base or self.inventory()
        try:
            wait_until(lambda: self.inventory() == self.base, 15, "the base line")
        except TimeoutError:
            assert self.inventory() == self.base, "something is left over"


class AnySequence(RuleBasedStateMachine):
    """Drives one device; the model is what was configured, and the oracle that reads the log."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.check_nothing_left()
        self.server, self.proxy = self.world.server, self.world.proxy
        self.oracle = Oracle(Log(self.server.process.log))
        self.states = self.server.listen("State")
        self.configured = Configuration()
        self.listeners: dict[str, Listener] = {}
        self.renewals: Counter[str] = Counter()
        self.received: dict[tuple[str, Exchange], int] = {}
        self.initialised = False
        self.told: list[str] = []

    @initialize(configuration=configurations(), begins=st.booleans())
    def begin(self, configuration: Configuration, begins: bool) -> None:
        self.configure(configuration)
        if begins:
            self.send(Trigger.START)

    # -- commands -----------------------------------------------------------------------------

    def carry_out(self, name: str, *arguments: Any) -> bool:
        """Whether the device has accepted a command; any other answer is an error."""
        self.world.commands[name] += 1
        self.world.steps += 1
        try:
            self.proxy.command_inout(name, *arguments)
        except tango.DevFailed as error:
            if error.args[0].reason != "QueueConnector_StateError":
                raise
            self.told.append(f"{name} refused: {error.args[0].desc}")
            return False
        self.told.append(name)
        return True

    def judge(self, trigger: Trigger, accepted: bool, passed: list[States]) -> None:
        """Whether the table allows the answer, in one of the states that were passed meanwhile."""
        able = [self.able(trigger, states) for states in passed]
        if accepted:
            assert any(able), f"{trigger} accepted in {passed}"
        else:
            assert not all(able), f"{trigger} refused in {passed}"

    def able(self, trigger: Trigger, states: States) -> bool:
        if trigger is Trigger.STANDBY:
            return aggregate(states.values()) is State.OFF
        return any(allows(state, trigger) for state in states.values())

    # One rule: hypothesis would leave out some of several in each sequence.
    @rule(
        step=st.sampled_from(
            ("command",) * 5 + ("configure",) * 4 + ("both", "refused", "init") + ("pause",) * 4
        ),
        data=st.data(),
    )
    def step(self, step: str, data: st.DataObject) -> None:
        if step == "command":
            self.send(data.draw(st.sampled_from(COMMANDS)))
        elif step == "configure":
            anew = data.draw(st.sampled_from((False, False, False, True)))
            self.configure(data.draw(configurations() if anew else self.edits()))
        elif step == "both":
            self.configure_and_command(
                data.draw(self.edits()),
                data.draw(st.sampled_from(COMMANDS[:-1])),
                data.draw(st.sampled_from((0.0, 0.002, 0.02, 0.1))),
            )
        elif step == "refused":
            self.configure_in_vain(data.draw(st.sampled_from(WRONG)))
        elif step == "init" and not self.initialised:
            self.init()
        else:
            time.sleep(data.draw(st.sampled_from((0.03, 0.1, 0.2, 0.5))))

    def edits(self) -> st.SearchStrategy[Configuration]:
        return EDITS.map(lambda edits: edited(self.configured, edits))

    def send(self, trigger: Trigger) -> None:
        self.oracle.follow()
        accepted = self.carry_out(trigger.value)
        passed = self.oracle.follow()
        self.judge(trigger, accepted, passed)
        moves = self.oracle.moves[len(self.oracle.moves) - len(passed) + 1 :]
        if not accepted:
            assert all(automatic(move.pair) for move in moves), f"refused, but {moves}"
        elif trigger is Trigger.STANDBY:
            self.configured = Configuration()
            assert set(self.oracle.groups.values()) <= {State.STANDBY}
            assert self.server.attributes() == set()
        else:
            targets = {
                Trigger.START: {State.OPEN},
                Trigger.STOP: {State.CLOSE},
                Trigger.ABORT: {State.OFF, State.FAULT},
                Trigger.RESET: {State.OFF},
            }[trigger]
            assert any(move.target in targets for move in moves), f"{trigger} did nothing: {moves}"

    # -- configurations -----------------------------------------------------------------------

    def configure_and_command(
        self, configuration: Configuration, trigger: Trigger, after_s: float
    ) -> None:
        """A client that configures, and another one that commands meanwhile."""
        text = configuration.written(self.world.ramp)
        self.oracle.follow()
        answers: list[bool] = []
        other = threading.Thread(target=lambda: answers.append(self.carry_out("Configure", text)))
        other.start()
        time.sleep(after_s)
        accepted = self.carry_out(trigger.value)
        other.join()
        assert answers == [True]
        self.take(configuration)
        self.judge(trigger, accepted, self.oracle.follow())

    def configure(self, configuration: Configuration) -> None:
        self.oracle.follow()
        assert self.carry_out("Configure", configuration.written(self.world.ramp))
        self.take(configuration)

    def take(self, configuration: Configuration) -> None:
        """What the model knows after an accepted configuration."""
        former = self.configured
        self.configured = configuration
        # The command may have returned before the drain of what leaves is over.
        wait_until(lambda: self.server.attributes() == configuration.attributes, 15, "attributes")
        for group, exchange in configuration.placed:
            if (group, exchange) not in former.placed:
                self.renewals[exchange.slot] += 1
        stay = configuration.placed.keys() & former.placed.keys()
        self.received = {key: self.received[key] for key in stay & self.received.keys()}
        for name in configuration.attributes - self.listeners.keys():
            self.listeners[name] = self.server.listen(name)

    def configure_in_vain(self, text: str) -> None:
        self.oracle.follow()
        before = self.server.attributes()
        with pytest.raises(tango.DevFailed) as caught:
            self.proxy.Configure(text)
        assert caught.value.args[0].reason == "QueueConnector_ConfigError"
        passed = self.oracle.follow()
        moves = self.oracle.moves[len(self.oracle.moves) - len(passed) + 1 :]
        assert all(automatic(move.pair) for move in moves)
        assert self.server.attributes() == before == self.configured.attributes
        self.told.append("refused configuration")

    def init(self) -> None:
        self.initialised = True
        assert self.carry_out("Init")
        self.oracle.follow()
        self.oracle.initialised()
        self.configured, self.received = Configuration(), {}
        wait_until(lambda: self.server.attributes() == set(), 10, "the end of Init")

    # -- what always holds --------------------------------------------------------------------

    def check_counters(self) -> None:
        """The counters of exchanges that stayed never go back."""
        text = self.proxy.status()
        counted = dict(re.findall(r"^  (\S+\[\d+\]): (\d+) received", text, re.MULTILINE))
        placed = self.configured.placed
        if counted.keys() == set(placed.values()):
            for key, name in placed.items():
                number = int(counted[name])
                assert number >= self.received.get(key, 0), f"{name} went back: {text}"
                self.received[key] = number

    def check_attributes(self) -> None:
        for slot, listener in self.listeners.items():
            breaks = list(interruptions(listener.heard[1:]))
            self.world.numbers += len(listener.heard)
            allowed = self.renewals[slot] + sum(self.oracle.starts.values())
            assert len(breaks) <= allowed, f"{slot}: {breaks}, but {allowed} starts; {self.told}"

    def check_events(self) -> None:
        expected = self.oracle.shown
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: len(self.states.heard) >= len(expected), 5, "State events")
        heard = [State(str(value)) for value in self.states.heard]
        assert heard == expected, f"heard {heard}, expected {expected} after {self.told}"
        pairs = set(itertools.pairwise(heard))
        initial = {(state, State.INIT) for state in State}
        assert pairs - initial <= DEVICE_PAIRS
        self.world.pairs |= pairs
        self.world.events += len(heard)
        self.world.arrows |= {move.pair for move in self.oracle.moves}

    def teardown(self) -> None:
        try:
            self.check_counters()
            self.oracle.follow()
            self.carry_out("Abort")
            self.configure(Configuration())
            wait_until(lambda: str(self.proxy.state()) == "STANDBY", 20, "STANDBY")
            self.oracle.follow()
            self.check_events()
            self.check_attributes()
            self.world.sequences += 1
        finally:
            self.states.close()
            for listener in self.listeners.values():
                listener.close()
        self.world.check_nothing_left()
        self.world.memory_kb.append(self.world.count("resident_kb"))


def interruptions(heard: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Where a counting attribute did not go on with the next number; errors count as one."""
    numbers = [None if isinstance(value, str) else value for value in heard]
    for before, after in itertools.pairwise(numbers):
        if before is not None and after != before + 1:
            yield before, after


@pytest.fixture
def world() -> Iterator[World]:
    script = [sys.executable, str(HERE / "ramp_device.py")]
    devices = ["test/ramp/1", "test/ramp/2"]
    observed = [sys.executable, str(HERE / "observed_server.py")]
    with (
        TangoDeviceServer(script, "ramp_device", "model", "Ramp", devices) as ramp,
        ConnectorServer(command=observed) as server,
    ):
        ramp.proxy().Begin([10_000_000, 100])
        yield World(server, ramp)
        assert server.is_running


@pytest.mark.timeout(120 + 30 * SEQUENCES)
def test_any_sequence_is_one_that_the_table_allows(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    warm_up(world)
    files, sockets, threads = map(world.count, ("files", "sockets", "all_threads"))
    AnySequence.world = world
    begun = time.monotonic()
    run_state_machine_as_test(
        AnySequence,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            # A device is never twice in the same situation: what failed is told, not searched.
            phases=[Phase.generate],
            database=None,
            derandomize=SEQUENCES <= 15,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # A loop that is left has an event poll; how many connections there are is for clients, too.
    assert world.count("files") <= files + 4
    assert world.count("sockets") <= sockets + 8
    assert world.count("all_threads") <= threads + 6
    if SEQUENCES >= 100:
        assert world.arrows >= ARROWS - UNREACHED, "some arrows were never gone"
    with capsys.disabled():
        print(report(world, time.monotonic() - begun))


def warm_up(world: World) -> None:
    """Let every pool of threads, and every cache, be there before the base line is taken."""
    kinds = ("endless", "relay", "slow", "away", "deaf", "absent")
    everything = tuple(Exchange(slot, kind, 1) for slot, kind in zip(SLOTS, kinds, strict=True))
    world.proxy.Configure(Configuration({"a": everything}).written(world.ramp))
    for _ in range(3):
        world.proxy.Start()
        world.server.wait_for_state("FAULT")
        world.proxy.Reset()
    world.proxy.Configure("")
    world.server.wait_for_state("STANDBY")


def report(world: World, seconds: float) -> str:
    commands = ", ".join(f"{name} {count}" for name, count in sorted(world.commands.items()))
    reachable = ARROWS - UNREACHED
    missing = sorted(f"{one.value}->{two.value}" for one, two in reachable - world.arrows)
    steps = [world.memory_kb[index * (len(world.memory_kb) - 1) // 4] // 1000 for index in range(5)]
    return (
        f"\n{world.sequences} sequences, {world.steps} commands ({commands}) in {seconds:.0f} s; "
        f"{world.events} State events, {world.numbers} values heard, none diverged.\n"
        f"Arrows of groups seen: {len(world.arrows & reachable)} of {len(reachable)} "
        f"(not: {', '.join(missing) or 'none'}); pairs of device states: "
        f"{len(world.pairs & DEVICE_PAIRS)} of {len(DEVICE_PAIRS)}.\n"
        f"Left over after each sequence: nothing. Memory at each quarter: {steps} MB."
    )
