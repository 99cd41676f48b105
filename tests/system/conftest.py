"""The whole chain: the device server as a process, between real services."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devservices.tango import TangoDatabase, TangoDeviceServer

DEVICE = "test-sdp/queueconnector/01"


class Connector(TangoDeviceServer):
    """The device server `SDPQueueConnector`, driven by plain proxies."""

    def __init__(self, database: TangoDatabase | None, environment: dict[str, str]) -> None:
        super().__init__(
            [sys.executable, "-m", "queueconnector_tango.server"],
            "SDPQueueConnector",
            "system",
            "SDPQueueConnector",
            [DEVICE],
            database=database,
            environment=environment,
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


@pytest.fixture
def start_connector() -> Iterator[Callable[..., Connector]]:
    """Starts device servers, with a database or without one; each is stopped at the end."""
    started: list[Connector] = []

    def start(database: TangoDatabase | None = None, **environment: str) -> Connector:
        connector = Connector(database, environment)
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
