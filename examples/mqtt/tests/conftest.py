"""A real broker, and an exchange on it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from devservices.mosquitto import MosquittoServer
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.gaps import Gap
from queueconnector_core.registry import Registry
from queueconnector_core.states import State
from queueconnector_core.stats import Statistics
from queueconnector_memory import store

from .around import Around
from .cable import Cable

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def registry() -> Registry:
    return discover().registry


@pytest.fixture
def topic() -> str:
    """The first level of the topics of one test."""
    return f"test{next(NUMBERS)}"


@pytest.fixture
def around(mosquitto: MosquittoServer, topic: str) -> Iterator[Around]:
    """A foreign client that hears all topics of the test."""
    with Around(mosquitto.port, f"{topic}/#") as around:
        yield around


@pytest.fixture
def cable(mosquitto: MosquittoServer) -> Iterator[Cable]:
    """A way to the broker that can be cut."""
    with Cable(mosquitto.port) as cable:
        yield cable


class Stream:
    """One exchange in a host."""

    def __init__(self, registry: Registry) -> None:
        self._connector = Connector(registry)

    async def start(
        self, source: dict[str, Any], sink: dict[str, Any], *, on: bool = True, **exchange: Any
    ) -> None:
        """Configure and start; returns when it is ON."""
        exchange |= {"source": source, "sink": sink}
        await self._connector.configure(json.dumps({"exchanges": [exchange]}))
        await self._connector.start()
        if on:
            await until(lambda: self.state is State.ON)

    async def stop(self) -> None:
        await self._connector.stop()
        await self._connector.settled()

    async def settled(self) -> None:
        async with asyncio.timeout(20):
            await self._connector.settled()

    async def shut_down(self) -> None:
        await self._connector.shut_down()

    @property
    def state(self) -> State:
        return self._connector.state

    @property
    def status(self) -> str:
        return self._connector.status_text()

    @property
    def statistics(self) -> Statistics:
        return self._connector.groups["default"].exchanges[0].statistics

    @property
    def gaps(self) -> list[Gap]:
        return self._connector.groups["default"].exchanges[0].gaps.entries()


@pytest.fixture
async def stream(registry: Registry) -> AsyncIterator[Stream]:
    stream = Stream(registry)
    yield stream
    await stream.shut_down()
    store.reset()


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
