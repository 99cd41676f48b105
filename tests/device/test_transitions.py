"""Every arrow of the table of states, and every command that it forbids, on a real device.

What subscribers of State hear is compared with the table. Two arrows of a group lead from a state
to itself and make no event: OFF -> OFF and OPEN -> OPEN (`Configure`); the server's log shows them.
INIT is heard at `Init` by whoever has subscribed before; at the start of a process nobody can.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tango

from devservices.tango import TangoDatabase, TangoDeviceServer
from queueconnector_core.states import TRANSITIONS, State, Trigger
from tests.device.conftest import DEVICE, ConnectorServer, exchange
from tests.device.oracle import ARROWS, Log, Pair, arrows_of, commands_of
from tests.device.test_model import AWAY, remote, subscription

HERE = Path(__file__).parent
ENTRY_POINT = "[queueconnector]\ntold = told_source\n"
COMMANDS = tuple(trigger for trigger in Trigger if not trigger.automatic)

endless = {"data": list(range(1, 4000)), "delay": 0.005}
numbers = {"type": "InMemorySource", "data": list(range(1, 151))}
full = {"type": "InMemorySink", "key": "full", "max_records": 1}
absent = {
    "dtype": "float64",
    "source": subscription(AWAY, "x", stateless=False),
    "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "absent"},
}
away = {"dtype": "float64", "source": numbers, "sink": remote(AWAY, "x")}
breaking = {"dtype": "float64", "source": numbers | {"delay": 0.002}, "sink": full}


def counting(name: str, first: int = 0) -> dict[str, Any]:
    return exchange([first, *endless["data"]], name, delay=0.005)  # type: ignore[misc]


class World:
    """A server with a configuration source in a file, and a device that takes its time."""

    def __init__(self, server: ConnectorServer, ramp: TangoDeviceServer, folder: Path) -> None:
        self.server = server
        self.ramp = ramp
        self.text = folder / "told.json"
        self.waits = folder / "waits"

    def slow(self, *more: dict[str, Any], seconds: float = 0.2) -> dict[str, Any]:
        """An exchange that needs `seconds` for each of its values to be delivered."""
        self.ramp.proxy().TakeTime(seconds)
        return {
            "dtype": "float64",
            "source": numbers,
            "sink": [remote(self.ramp.trl(), "patient"), *more],
        }

    def run(self, command: str, *arguments: str) -> None:
        self.server.proxy().command_inout(command, *arguments)

    def reach(self, state: State) -> None:
        self.server.wait_for_state(state.value)

    def begin(self, *exchanges: dict[str, Any], until: State = State.ON) -> None:
        """Configure from scratch and start."""
        self.server.configure(*exchanges)
        self.run("Start")
        self.reach(until)

    def reach_standby(self) -> None:
        """Whatever it does: give it up and forget the configuration."""
        if self.server.state in {"OPEN", "ON", "CLOSE"}:
            self.run("Abort")
        self.run("Configure", "")
        self.reach(State.STANDBY)

    def tell(self, text: str) -> None:
        """Let the configuration source have another text."""
        fresh = self.text.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.text)


@pytest.fixture(scope="module")
def ramp() -> Iterator[TangoDeviceServer]:
    script = [sys.executable, str(HERE / "ramp_device.py")]
    with TangoDeviceServer(script, "ramp_device", "slow", "Ramp", ["test/ramp/3"]) as server:
        yield server


@pytest.fixture(scope="module", params=["without a database", "with a database"])
def start(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    ramp: TangoDeviceServer,
) -> Iterator[Callable[..., World]]:
    """Starts servers that have the plugin, with properties, from a file or from a database."""
    database: TangoDatabase | None = None
    if request.param == "with a database":
        database = request.getfixturevalue("tango_database")
    folder = tmp_path_factory.mktemp("told")
    metadata = folder / "told_source-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: told-source\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINT)
    started: list[ConnectorServer] = []

    def start(**properties: str) -> World:
        environment = {
            "PYTHONPATH": f"{folder}:{HERE / 'told_source'}",
            "TOLD_SOURCE_WAITS": str(folder / "waits"),
        }
        source = {
            "type": "ToldConfigSource", "path": str(folder / "told.json"),
            "start": False, "invalid": "fault",
        }  # fmt: skip
        # In a file, unlike in a database, a server has no properties of former tests.
        clean = {} if database is None else {"exchanges_json": "", "attributes": ""}
        clean["config_sources"] = json.dumps([source])
        server = ConnectorServer(
            database=database, properties={DEVICE: clean | properties}, environment=environment
        )
        started.append(server)
        server.start()
        return World(server, ramp, folder)

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def shared_world(start: Callable[..., World]) -> World:
    return start()


@pytest.fixture
def make_unusable(
    shared_world: World, start: Callable[..., World]
) -> Iterator[Callable[[], World]]:
    """Gives a device whose properties cannot be used from its next `Init` on."""
    database = shared_world.server.database

    def make() -> World:
        if database is None:
            return start(attributes="[5]")
        database.put_properties(DEVICE, {"attributes": "[5]"})
        return shared_world

    yield make
    if database is not None:
        database.put_properties(DEVICE, {"attributes": ""})
        shared_world.run("Init")


@pytest.fixture
def world(shared_world: World) -> World:
    """A device in STANDBY."""
    shared_world.waits.unlink(missing_ok=True)
    shared_world.text.unlink(missing_ok=True)
    shared_world.reach_standby()
    return shared_world


# The life


def wrong_configurations_of_a_source(world: World) -> None:
    """STANDBY -> FAULT, and OFF -> FAULT where the source's policy says so."""
    world.tell("{")
    world.reach(State.FAULT)
    world.run("Reset")
    world.reach(State.STANDBY)
    world.tell(json.dumps({"exchanges": {"told": [counting("told")]}}))
    world.reach(State.OFF)
    world.tell("{")
    world.reach(State.FAULT)
    world.text.unlink()
    world.reach(State.STANDBY)


def start_and_stop(world: World) -> None:
    """The usual way, a stream that ends by itself, and Configure in OFF."""
    world.server.configure(exchange([1.0], "x", delay=0.05))
    world.server.configure(exchange([2.0], "x", delay=0.05))
    world.run("Start")
    world.reach(State.OFF)
    world.begin(counting("x"))
    world.run("Stop")
    world.reach(State.OFF)
    world.run("Standby")
    world.reach(State.STANDBY)


def leave_open(world: World) -> None:
    """From OPEN: Configure, Stop, Abort, and a fault."""
    world.begin(away, counting("x"), until=State.OPEN)
    world.server.configure(away, counting("x", 7))
    world.reach(State.OPEN)
    world.run("Stop")
    world.reach(State.OFF)
    world.run("Start")
    world.run("Abort")
    world.reach(State.OFF)
    world.begin(absent, until=State.FAULT)
    world.server.configure(counting("x"))
    world.reach(State.OFF)


def leave_on(world: World) -> None:
    """From ON: Configure, Abort, and a fault."""
    world.begin(counting("x"), counting("y"))
    world.server.configure(counting("x"), counting("y", 7))
    world.reach(State.ON)
    world.run("Abort")
    world.reach(State.OFF)
    world.begin(breaking, until=State.FAULT)
    world.run("Reset")
    world.reach(State.OFF)


def leave_close(world: World) -> None:
    """From CLOSE: Abort, and a fault."""
    world.begin(world.slow())
    world.run("Stop")
    assert world.server.state == "CLOSE"
    world.run("Abort")
    world.reach(State.OFF)
    world.begin(world.slow(full, seconds=0.003))
    world.run("Stop")
    world.reach(State.FAULT)
    world.run("Reset")
    world.reach(State.OFF)


def start_again_by_policy(world: World) -> None:
    """From FAULT to OPEN, once, then to stay in FAULT."""
    policy = {"attempts": 1, "wait_s": 0.3}
    world.run("Configure", json.dumps({"exchanges": [absent], "restart": policy}))
    world.run("Start")
    world.server.process.wait_until(
        lambda: "Reset or a new configuration" in world.server.proxy().status(),
        10,
        "the last fault",
    )
    world.run("Reset")
    world.reach(State.OFF)


def test_the_life_of_a_device_goes_every_arrow(
    world: World, make_unusable: Callable[[], World]
) -> None:
    log = Log(world.server.process.log)
    states = world.server.listen("State")
    world.run("Init")
    for part in (
        wrong_configurations_of_a_source, start_and_stop, leave_open, leave_on, leave_close,
        start_again_by_policy,
    ):  # fmt: skip
        part(world)
    world.run("Standby")
    heard = [State(str(value)) for value in states.wait_for(ends)]
    pairs = pairs_of(heard, world.server)
    moves = {move.pair for move in log.moves()}
    pairs |= fault_at_init(make_unusable())
    assert moves <= ARROWS
    silent = {(state, state) for state in State}
    assert moves - silent <= pairs
    assert arrows_of(pairs | (moves & silent)) == set(TRANSITIONS)


def ends(values: list[Any]) -> bool:
    return len(values) > 10 and str(values[-1]) == "STANDBY"


def pairs_of(heard: list[State], server: ConnectorServer) -> set[Pair]:
    """Consecutive events; each must be an arrow, but for `Init`, which may come in any state."""
    pairs = {pair for pair in itertools.pairwise(heard) if pair[1] is not State.INIT}
    assert pairs <= ARROWS, f"{sorted(map(str, pairs - ARROWS))}\n{server.process.output()}"
    return pairs


def fault_at_init(world: World) -> set[Pair]:
    """A device whose properties cannot be used goes from INIT to FAULT, and Reset leaves it."""
    states = world.server.listen("State")
    world.run("Init")
    world.run("Reset")
    heard = states.wait_for(lambda values: len(values) == 5)
    assert [str(state) for state in heard[1:]] == ["INIT", "FAULT", "OFF", "STANDBY"]
    return pairs_of([State(str(state)) for state in heard], world.server)


# What is forbidden


def in_standby(world: World) -> None:
    """Nothing to do."""


def in_off(world: World) -> None:
    world.server.configure(counting("x"))


def in_open(world: World) -> None:
    world.begin(away, until=State.OPEN)


def in_on(world: World) -> None:
    world.begin(counting("x"))


def in_close(world: World) -> None:
    world.begin(world.slow())
    world.run("Stop")


def in_fault(world: World) -> None:
    world.begin(absent, until=State.FAULT)


WAYS = {
    State.STANDBY: in_standby,
    State.OFF: in_off,
    State.OPEN: in_open,
    State.ON: in_on,
    State.CLOSE: in_close,
    State.FAULT: in_fault,
}


@pytest.mark.parametrize("state", WAYS, ids=lambda state: state.value)
def test_what_a_state_forbids_is_refused_and_changes_nothing(world: World, state: State) -> None:
    WAYS[state](world)
    log = Log(world.server.process.log)
    before = (world.server.state, world.server.attributes())
    for command in COMMANDS:
        if command not in commands_of(state) and command is not Trigger.CONFIGURE:
            check_refused(world, command, state)
            assert (world.server.state, world.server.attributes()) == before
    assert before[0] == state.value
    assert log.moves() == []


def check_refused(world: World, command: Trigger, state: State) -> None:
    arguments = ("",) if command is Trigger.CONFIGURE else ()
    with pytest.raises(tango.DevFailed) as caught:
        world.run(command.value, *arguments)
    error = caught.value.args[0]
    assert error.reason == "QueueConnector_StateError"
    assert f"{command.value} is not allowed in state {state.value}" in error.desc
    allowed = error.desc.partition("allowed: ")[2]
    named = {name.strip() for name in allowed.split(",")} - {"only Init", "nothing"}
    assert named == {trigger.value for trigger in commands_of(state)}


def test_while_it_initialises_every_command_is_refused(world: World) -> None:
    world.waits.touch()
    client = world.server.proxy()
    client.set_timeout_millis(20_000)
    initialising = threading.Thread(target=client.Init)
    initialising.start()
    world.reach(State.INIT)
    for command in COMMANDS:
        check_refused(world, command, State.INIT)
    assert world.server.state == "INIT"
    world.waits.unlink()
    initialising.join()
    world.reach(State.STANDBY)


def test_a_configuration_in_close_waits_for_the_end(world: World) -> None:
    """The table has no arrow for it, but it is not lost either."""
    states = world.server.listen("State")
    world.begin({**world.slow(seconds=0.05), "source": numbers | {"data": list(range(12))}})
    world.run("Stop")
    world.server.configure(counting("x"))
    heard = states.wait_for(lambda values: str(values[-1]) == "OFF" and len(values) > 5)
    assert [str(state) for state in heard] == ["STANDBY", "OFF", "OPEN", "ON", "CLOSE", "OFF"]
    assert world.server.attributes() == {"x"}
