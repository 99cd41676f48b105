"""The device under test: a real server process, with a real database or without one."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import tango

from devservices.process import ManagedProcess, wait_until
from devservices.tango import TangoDatabase, TangoDeviceServer
from queueconnector_tango.claims import OWN_ATTRIBUTES
from tests.device_properties import NO_PROPERTIES

DEVICE = "test-sdp/queueconnector/01"
HERE = Path(__file__).parent


class Listener:
    """What a subscriber hears of one attribute: values, and reasons of errors."""

    alive: ClassVar[list[Listener]] = []
    """Kept until they are closed: PyTango crashes when the collector takes one that listens."""

    def __init__(self, proxy: tango.DeviceProxy, name: str, **options: Any) -> None:
        self.heard: list[Any] = []
        self.events: list[tango.EventData] = []
        self._lock = threading.Lock()
        self._proxy = proxy
        options.setdefault("sub_mode", tango.EventSubMode.SyncRead)
        self._identity = proxy.subscribe_event(
            name, tango.EventType.CHANGE_EVENT, self._hear, **options
        )
        self.alive.append(self)
        # Nothing tells when ZeroMQ has passed the subscription on to the server.
        time.sleep(0.15)

    def close(self) -> None:
        """Unsubscribe; idempotent."""
        if self in self.alive:
            self.alive.remove(self)
            with contextlib.suppress(tango.DevFailed):
                self._proxy.unsubscribe_event(self._identity)

    def _hear(self, event: tango.EventData) -> None:
        with self._lock:
            self.events.append(event)
            self.heard.append(event.errors[0].reason if event.err else event.attr_value.value)

    def wait_for(
        self, condition: Callable[[list[Any]], bool], timeout_s: float = 10.0
    ) -> list[Any]:
        """What was heard, as soon as it fulfils the condition."""
        try:
            wait_until(lambda: condition(self.heard), timeout_s, "events")
        except TimeoutError:
            raise AssertionError(f"heard only {self.heard}") from None
        return self.heard


class ConnectorServer(TangoDeviceServer):
    """The device server as a user starts it."""

    def __init__(self, **options: Any) -> None:
        command = options.pop("command", [sys.executable, "-m", "queueconnector_tango.server"])
        super().__init__(
            command, "SDPQueueConnector", "test", "SDPQueueConnector", [DEVICE], **options
        )

    @property
    def state(self) -> str:
        """The state by name."""
        return str(self.proxy().state())

    def wait_for_state(self, *names: str, timeout_s: float = 10.0) -> None:
        """Wait until the device is in one of the states."""
        proxy = self.proxy()
        try:
            self.process.wait_until(lambda: str(proxy.state()) in names, timeout_s, "a state")
        except Exception as error:
            raise AssertionError(f"{proxy.state()}, not {names}: {proxy.status()}") from error

    def configure(self, *exchanges: dict[str, Any], **groups: list[dict[str, Any]]) -> None:
        """Send a configuration: exchanges of the default group, or whole groups by name."""
        self.proxy().Configure(json.dumps({"exchanges": groups or list(exchanges)}))

    def read(self, name: str) -> tango.DeviceAttribute:
        """Read an attribute as any client does."""
        return self.proxy().read_attribute(name)

    def attributes(self) -> set[str]:
        """The names of the dynamic attributes."""
        return set(self.proxy().get_attribute_list()) - set(OWN_ATTRIBUTES)

    def listen(self, name: str, **options: Any) -> Listener:
        """Subscribe to change events."""
        return Listener(self.proxy(), name, **options)


def exchange(data: list[Any], name: str, **options: Any) -> dict[str, Any]:
    """In-memory values into one attribute."""
    delay = options.pop("delay", 0)
    default = {"default_value": options.pop("default_value")} if "default_value" in options else {}
    return {
        "dtype": "float64",
        **options,
        "source": {"type": "InMemorySource", "data": data, "delay": delay},
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": name, **default},
    }


@pytest.fixture(autouse=True)
def _listeners() -> Iterator[None]:
    yield
    while Listener.alive:
        Listener.alive[-1].close()


@pytest.fixture(scope="module")
def shared_server() -> Iterator[ConnectorServer]:
    """One server without a database for a whole module."""
    with ConnectorServer() as server:
        yield server
        assert server.is_running, server.process.output()


@pytest.fixture
def server(shared_server: ConnectorServer) -> ConnectorServer:
    """A running device in STANDBY."""
    proxy = shared_server.proxy()
    shared_server.wait_for_state("STANDBY", "OFF", "ON", "FAULT")
    proxy.Configure("")
    shared_server.wait_for_state("STANDBY")
    return shared_server


@pytest.fixture
def with_database(tango_database: TangoDatabase) -> Iterator[Callable[..., ConnectorServer]]:
    """Starts device servers that are registered in a real Tango database."""
    started: list[ConnectorServer] = []

    def start(**properties: Any) -> ConnectorServer:
        server = ConnectorServer(
            database=tango_database, properties={DEVICE: NO_PROPERTIES | properties}
        )
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def make_exchange() -> Callable[..., dict[str, Any]]:
    """Builds an exchange of in-memory values into one attribute."""
    return exchange


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[..., ManagedProcess]]:
    """Starts a Python script of this folder as a process of its own."""
    import subprocess

    started: list[ManagedProcess] = []

    def start(script: str, *arguments: str, **environment: str) -> ManagedProcess:
        name = f"{script}-{len(started)}"
        process = ManagedProcess(
            name,
            [sys.executable, str(HERE / script), *arguments],
            log=tmp_path / f"{name}.log",
            environment=environment,
            stdin=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def make_server() -> Iterator[Callable[..., ConnectorServer]]:
    """Makes device servers without a database; each is stopped at the end."""
    made: list[ConnectorServer] = []

    def make(**options: Any) -> ConnectorServer:
        server = ConnectorServer(**options)
        made.append(server)
        return server

    yield make
    for server in made:
        server.stop()
