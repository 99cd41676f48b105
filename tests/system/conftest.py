"""The whole chain: the device server as a process, between real services."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tango

from devservices.tango import TangoDatabase, TangoDeviceServer
from tests.device_properties import NO_PROPERTIES

DEVICE = "test-sdp/queueconnector/01"


class Connector(TangoDeviceServer):
    """The device server `SDPQueueConnector`, driven by plain proxies."""

    def __init__(
        self,
        database: TangoDatabase | None,
        environment: dict[str, str],
        properties: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            [sys.executable, "-m", "queueconnector_tango.server"],
            "SDPQueueConnector",
            "system",
            "SDPQueueConnector",
            [DEVICE],
            database=database,
            environment=environment,
            properties={DEVICE: NO_PROPERTIES | (properties or {})} if database else {},
        )

    def stream(self, *exchanges: dict[str, Any]) -> None:
        """Configure and start; returns when the device is ON."""
        self.proxy().Configure(json.dumps({"exchanges": list(exchanges)}))
        self.proxy().Start()
        self.wait_for_state("ON")

    def wait_for_state(self, state: str, timeout_s: float = 30.0) -> None:
        """Wait until the device is in `state`."""
        proxy = self.proxy()
        self.process.wait_until(lambda: str(proxy.state()) == state, timeout_s, state)


class Counted:
    """What a plain subscriber hears of an attribute that counts up, once it hears anything."""

    def __init__(self, connector: Connector, name: str) -> None:
        self.numbers: list[int] = []
        self._heard = threading.Condition()
        self._proxy = connector.proxy()
        self._identity = self._proxy.subscribe_event(
            name, tango.EventType.CHANGE_EVENT, self._hear, sub_mode=tango.EventSubMode.SyncRead
        )
        # Another server was this device before, in the eyes of this process: Tango's client
        # notices within seconds that events come from a new place, and tells nobody.
        self.more(3, timeout_s=25.0)
        with self._heard:
            del self.numbers[:-2]

    def _hear(self, event: tango.EventData) -> None:
        if not event.err and event.attr_value.value is not None:
            with self._heard:
                self.numbers.append(int(event.attr_value.value))
                self._heard.notify_all()

    def more(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait for so many more."""
        with self._heard:
            wanted = len(self.numbers) + count
            assert self._heard.wait_for(lambda: len(self.numbers) >= wanted, timeout_s)

    def close(self) -> None:
        self._proxy.unsubscribe_event(self._identity)

    def assert_no_gap(self) -> None:
        assert self.numbers == list(range(self.numbers[0], self.numbers[0] + len(self.numbers)))


@pytest.fixture
def start_connector() -> Iterator[Callable[..., Connector]]:
    """Starts device servers, with a database or without one; each is stopped at the end."""
    started: list[Connector] = []

    def start(
        database: TangoDatabase | None = None,
        properties: dict[str, str] | None = None,
        **environment: str,
    ) -> Connector:
        connector = Connector(database, environment, properties)
        started.append(connector)
        connector.start()
        return connector

    yield start
    for connector in started:
        connector.stop()


@pytest.fixture(scope="session")
def topics() -> Iterator[str]:
    """Topic names of the system tests, each once."""
    return (f"system-{number}" for number in itertools.count())
