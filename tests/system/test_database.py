"""The device follows a real etcd that is killed, compacted, wiped, frozen, or asks for a password.

Whatever happens, the final state is that of the database, and groups that did not change lose
nothing.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tango

from devservices.etcd import EtcdServer
from devservices.process import wait_until
from queueconnector_tango.claims import OWN_ATTRIBUTES

from .conftest import Connector, Counted

PATH = "/component/lmc-queueconnector-01/owner"
CHILD = f"4{PATH}/"
BELOW = f"5{PATH}/"

FAST = {"audit_s": 1.0, "timeout_s": 1.0, "lease_ttl_s": 2, "reset_grace_s": 3.0}
"""Options that notice an outage within seconds."""


def counting(name: str, *, first: int = 0, count: int = 60_000) -> dict[str, Any]:
    """An exchange that counts up, for minutes."""
    numbers = list(range(first, first + count))
    return {
        "dtype": "int64",
        "source": {"type": "InMemorySource", "data": numbers, "delay": 0.005},
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": name},
    }


def document(*exchanges: dict[str, Any], **options: Any) -> str:
    return json.dumps({"exchanges": list(exchanges), **options})


class Database(EtcdServer):
    """etcd as whoever configures the device sees it: by another client."""

    def configure(self, group: str, *exchanges: dict[str, Any], **options: Any) -> None:
        """Write the document of a group."""
        self.put(CHILD + group, document(*exchanges, **options))

    def state(self, group: str) -> str | None:
        """The state that the device has written beside a group."""
        text = self.get(f"{BELOW}{group}/state")
        return None if text is None else str(json.loads(text)["state"])

    def fault(self, group: str) -> dict[str, Any] | None:
        """The fault that the device has written beside a group."""
        text = self.get(f"{BELOW}{group}/fault")
        return None if text is None else dict(json.loads(text))

    def waits_for_state(self, group: str, state: str | None, timeout_s: float = 15.0) -> None:
        """Wait until the written state is that."""
        wait_until(lambda: self.state(group) == state, timeout_s, f"state {state} of {group}")


@pytest.fixture
def database() -> Iterator[Database]:
    """A database of the test's own, to be maltreated."""
    with Database() as server:
        yield server


@pytest.fixture
def follow(
    start_connector: Callable[..., Connector], tango_database: Any
) -> Callable[..., Connector]:
    """Starts devices that follow the path in a database, by property `config_sources`."""

    def start(database: Database, **options: Any) -> Connector:
        source = {"type": "etcd", "path": PATH, "servers": database.url, **FAST, **options}
        properties = {"config_sources": json.dumps([source])}
        return start_connector(tango_database, properties=properties)

    return start


def groups(connector: Connector) -> dict[str, str]:
    """The state of each group, as Status says it."""
    lines = connector.proxy().status().splitlines()
    words = [line.replace(":", "").split() for line in lines if line.startswith("Group ")]
    return {name: state for _, name, _, state, *_ in words}


def stands(connector: Connector, **expected: str) -> None:
    """Wait until exactly these groups are in these states."""
    try:
        wait_until(lambda: groups(connector) == expected, 20, str(expected))
    except TimeoutError:
        raise AssertionError(connector.proxy().status()) from None


def attributes(connector: Connector) -> set[str]:
    return set(connector.proxy().get_attribute_list()) - set(OWN_ATTRIBUTES)


def has(connector: Connector, *names: str) -> None:
    """Wait until exactly these dynamic attributes exist."""
    try:
        wait_until(lambda: attributes(connector) == set(names), 30, "attributes")
    except TimeoutError:
        told = f"{attributes(connector)}, not {names}\n{connector.proxy().status()}"
        raise AssertionError(f"{told}\n{connector.process.output()[-4000:]}") from None


def test_each_child_of_the_path_is_a_group_that_starts_by_itself(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g1", counting("a"))
    connector = follow(database)
    stands(connector, g1="ON")
    database.configure("g2", counting("b"), counting("c"))
    stands(connector, g1="ON", g2="ON")
    assert attributes(connector) == {"a", "b", "c"}
    database.waits_for_state("g1", "ON")
    database.waits_for_state("g2", "ON")
    told = json.loads(database.get(f"{BELOW}g1/state") or "")
    assert told["device"] == "test-sdp/queueconnector/01"
    database.put(CHILD + "g2", "{}")
    stands(connector, g1="ON", g2="STANDBY")
    database.waits_for_state("g2", "STANDBY")
    database.delete(CHILD + "g2")
    stands(connector, g1="ON")
    database.waits_for_state("g2", None)
    assert attributes(connector) == {"a"}


def test_a_document_that_cannot_be_used_leaves_alone_what_runs(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g", counting("a"))
    connector = follow(database)
    stands(connector, g="ON")
    counted = Counted(connector, "a")
    database.put(CHILD + "g", document({**counting("a"), "dtype": "flaot64"}))
    wait_until(lambda: database.fault("g"), 10, "the fault")
    fault = database.fault("g")
    assert fault is not None
    assert "exchanges[0].dtype: unknown dtype 'flaot64'" in fault["message"]
    assert "is rejected, the former one runs on" in connector.proxy().status()
    assert database.state("g") == "ON"
    counted.more(50)
    database.configure("g", counting("a"), counting("b"))
    stands(connector, g="ON")
    wait_until(lambda: database.fault("g") is None, 10, "the end of the fault")
    counted.more(50)
    counted.assert_no_gap()
    counted.close()


def test_by_policy_it_stops_the_group_and_a_better_one_starts_it(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("bad", counting("a"))
    database.configure("good", counting("b"))
    connector = follow(database, invalid="fault")
    stands(connector, bad="ON", good="ON")
    database.put(CHILD + "bad", "{")
    stands(connector, bad="FAULT", good="ON")
    database.waits_for_state("bad", "FAULT")
    database.configure("bad", counting("a"))
    stands(connector, bad="ON", good="ON")


def test_text_in_a_json_string_is_read_as_the_original_documentation_writes_it(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.put(f"{CHILD}my_id", json.dumps(document(counting("message"))))
    connector = follow(database)
    stands(connector, my_id="ON")


def test_killed_and_changed_before_it_is_up_again(
    database: Database, follow: Callable[..., Connector]
) -> None:
    for name in ("stays", "changes", "goes"):
        database.configure(name, counting(name))
    connector = follow(database)
    stands(connector, stays="ON", changes="ON", goes="ON")
    counted = Counted(connector, "stays")
    database.kill()
    counted.more(100)
    assert groups(connector) == {"stays": "ON", "changes": "ON", "goes": "ON"}
    database.start()
    database.txn(
        (CHILD + "goes", None),
        (CHILD + "changes", document(counting("changed"))),
        (CHILD + "comes", document(counting("comes"))),
    )
    stands(connector, stays="ON", changes="ON", comes="ON")
    assert attributes(connector) == {"stays", "changed", "comes"}
    for name in ("stays", "changes", "comes"):
        database.waits_for_state(name, "ON")
    counted.more(50)
    counted.assert_no_gap()
    counted.close()


def test_history_that_was_compacted_away_is_not_needed(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g", counting("first"))
    connector = follow(database)
    stands(connector, g="ON")
    database.pause()
    wait_until(lambda: "cannot be read" in connector.proxy().status(), 20, "the outage in Status")
    assert groups(connector) == {"g": "ON"}
    database.resume()
    for number in range(5):
        database.configure("g", counting(f"number_{number}"))
    database.compact()
    has(connector, "number_4")
    stands(connector, g="ON")
    assert "cannot be read" not in connector.proxy().status()


def test_an_empty_database_cuts_no_stream_if_its_content_returns(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("returns", counting("a"))
    database.configure("is_lost", counting("b"))
    connector = follow(database)
    stands(connector, returns="ON", is_lost="ON")
    counted = Counted(connector, "a")
    database.wipe()
    database.configure("returns", counting("a"))
    stands(connector, returns="ON")
    counted.more(100)
    counted.assert_no_gap()
    counted.close()
    database.waits_for_state("returns", "ON")


def test_a_frozen_database_is_noticed_and_read_again(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g", counting("before"))
    connector = follow(database)
    stands(connector, g="ON")
    database.pause()
    wait_until(lambda: "cannot be read" in connector.proxy().status(), 20, "the outage in Status")
    database.resume()
    database.configure("g", counting("after"))
    has(connector, "after")


def test_random_kills_under_a_busy_writer_end_in_the_state_of_the_database(
    database: Database, follow: Callable[..., Connector]
) -> None:
    dice = random.Random(4)  # noqa: S311 - the same course each time
    database.configure("stays", counting("stays"))
    connector = follow(database)
    stands(connector, stays="ON")
    counted = Counted(connector, "stays")
    written: dict[str, int] = {}
    number = itertools.count()
    for _ in range(3):
        for _ in range(dice.randrange(2, 6)):
            name = dice.choice(["x", "y", "z"])
            if name in written and dice.random() < 0.3:
                database.delete(CHILD + name)
                del written[name]
            else:
                written[name] = next(number)
                database.configure(name, counting(f"{name}_{written[name]}"))
        database.kill()
        database.start()
    has(connector, "stays", *(f"{name}_{last}" for name, last in written.items()))
    stands(connector, **dict.fromkeys(["stays", *written], "ON"))
    counted.more(50)
    counted.assert_no_gap()
    counted.close()


def test_a_killed_device_leaves_no_state_behind(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g", counting("a"))
    connector = follow(database)
    database.waits_for_state("g", "ON")
    connector.kill()
    database.waits_for_state("g", None)
    connector.start()
    stands(connector, g="ON")
    database.waits_for_state("g", "ON")


def test_what_the_device_writes_does_not_come_back_to_it(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g", counting("a"))
    connector = follow(database)
    database.waits_for_state("g", "ON")
    before = database.revision()
    database.configure("g", counting("a"), counting("b"))
    has(connector, "a", "b")
    wait_until(lambda: "1 exchanges new" in last_applied(connector, "g"), 10, "the result")
    database.waits_for_state("g", "ON")
    # One write is the test's; the others are the states of the way: OPEN, ON, and ON once more,
    # for the version that is now in use.
    assert database.revision() - before <= 4
    written = database.details(f"{BELOW}g/state")["mod_revision"]
    database.configure("other", counting("c"))
    database.waits_for_state("other", "ON")
    assert database.details(f"{BELOW}g/state")["mod_revision"] == written
    assert connector.process.output().count("/g: applied at") == 2


def last_applied(connector: Connector, group: str) -> str:
    """The line of Status about the last text of a group."""
    lines = connector.proxy().status().splitlines()
    return next((line for line in lines if line.startswith("Conf") and f"/{group} " in line), "")


def test_the_device_starts_without_its_database_and_follows_it_when_it_is_there(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g", counting("a"))
    database.stop()
    connector = follow(database)
    assert str(connector.proxy().state()) == "STANDBY"
    wait_until(lambda: "cannot be read since" in connector.proxy().status(), 10, "the outage")
    database.start()
    stands(connector, g="ON")


def test_a_path_is_followed_by_property_and_by_command(
    database: Database,
    start_connector: Callable[..., Connector],
    tango_database: Any,
) -> None:
    database.configure("g", counting("a"))
    environment = {"SDP_CONFIG_HOST": "127.0.0.1", "SDP_CONFIG_PORT": str(database.port)}
    properties = {
        "exchanges_config_path": "/component/lmc-queueconnector-{}/owner",
        "subarray_id": "01",
        "exchanges_json": document(counting("ignored")),
    }
    connector = start_connector(tango_database, properties=properties, **environment)
    stands(connector, g="ON")
    assert attributes(connector) == {"a"}
    assert connector.proxy().IsMonitoringDB()
    connector.proxy().Monitor("")
    has(connector)
    assert not connector.proxy().IsMonitoringDB()
    with pytest.raises(tango.DevFailed, match="a path begins with a slash"):
        connector.proxy().Monitor("component")
    connector.proxy().Configure(PATH)
    stands(connector, g="ON")
    assert "deprecated; use Monitor" in connector.process.output()


def test_a_database_that_asks_for_a_password_and_loses_its_tokens(
    database: Database, start_connector: Callable[..., Connector], tango_database: Any
) -> None:
    database.configure("g", counting("a"))
    database.enable_auth("hush-hush")
    source = {"type": "etcd", "path": PATH, "servers": database.url, "user": "root", **FAST}
    connector = start_connector(
        tango_database,
        properties={"config_sources": json.dumps([source])},
        SDP_CONFIG_PASSWORD="hush-hush",  # noqa: S106 - of a database that lives for this test
    )
    stands(connector, g="ON")
    database.restart()
    database.configure("g", counting("b"))
    has(connector, "b")
    assert "hush-hush" not in connector.process.output() + connector.proxy().status()


def test_a_refused_database_is_a_fault_of_the_device_with_the_reason(
    database: Database, follow: Callable[..., Connector]
) -> None:
    database.configure("g", counting("a"))
    database.enable_auth("hush-hush")
    connector = follow(database)
    wait_until(lambda: str(connector.proxy().state()) == "FAULT", 20, "FAULT")
    assert "Configuration source config_sources[0] cannot be read" in connector.proxy().status()
    assert connector.is_running
