"""A publisher of Tango events, and a source that is run as an exchange runs it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devservices.tango import TangoDeviceServer
from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.protocols import Source
from queueconnector_core.record import Batch, Record
from queueconnector_core.structure import make_converter

REGISTRY = discover().registry


class Publisher(TangoDeviceServer):
    """A device server whose attributes push what a test says."""

    def __init__(self) -> None:
        script = str(Path(__file__).parent / "publisher_device.py")
        super().__init__(
            [sys.executable, script],
            "publisher_device",
            "test",
            "Publisher",
            ["test/publisher/ska001"],
            environment={"TANGO_DS_EVENT_BUFFER_HWM": "100000"},
        )

    async def publish(self, name: str, *values: Any, **options: Any) -> None:
        """Push values of one attribute."""
        order = json.dumps({"name": name, "values": values, **options}).encode()
        await asyncio.to_thread(lambda: self.proxy().Publish(order))

    def options(self, attribute: str, **options: Any) -> dict[str, Any]:
        """The configuration of a source that subscribes here."""
        return {
            "type": "TangoSubscriptionSource",
            "device_name": self.trl(),
            "attribute_name": attribute,
            **options,
        }


class Reader:
    """Reads a source in a task and keeps what it gives."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.batches: list[Batch] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the source, then read it."""
        await self.source.start()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for batch in self.source.read():
            self.batches.append(batch)

    async def stop(self) -> None:
        """Stop the source and wait for the end of its stream."""
        await self.source.stop()
        if self._task is not None:
            await asyncio.wait_for(self._task, 5)

    @property
    def records(self) -> list[Record]:
        """What was read."""
        return [record for batch in self.batches for record in batch.records()]

    @property
    def values(self) -> list[Any]:
        """The values that were read."""
        return [value for batch in self.batches for value in batch.values]

    @property
    def failures(self) -> list[str]:
        """Why records could not be read."""
        return [str(failure) for batch in self.batches for failure in batch.failures]

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until enough was read."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"read only {self.values}, {self.failures}") from None


def build(options: dict[str, Any], dtype: object, shape: list[int]) -> Source:
    """The source that a configuration describes, proven as a configuration is."""
    spec = DataSpec.of(dtype, shape)
    component = REGISTRY.lookup(ComponentKind.SOURCE, options["type"])
    written = {name: value for name, value in options.items() if name != "type"}
    assert component.descriptor is not None
    descriptor: Any = make_converter(REGISTRY).structure(written, component.descriptor)
    descriptor.check(spec, REGISTRY)
    source: Source = component.factory(descriptor, BuildContext(spec, REGISTRY, name="test[0]"))
    return source


@asynccontextmanager
async def _reading(
    options: dict[str, Any], dtype: object = "float64", shape: list[int] | None = None
) -> AsyncIterator[Reader]:
    reader = Reader(build(options, dtype, shape or []))
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


Reading = Callable[..., AbstractAsyncContextManager[Reader]]


@pytest.fixture
def reading() -> Reading:
    """Runs a source as long as a block lasts."""
    return _reading


@pytest.fixture
def make_source() -> Callable[[dict[str, Any], object, list[int]], Source]:
    """Builds a source from its configuration."""
    return build


@pytest.fixture(scope="session")
def publisher() -> Iterator[Publisher]:
    """A running publisher."""
    with Publisher() as server:
        yield server


@pytest.fixture
def own_publisher() -> Iterator[Publisher]:
    """A publisher that the test starts and ends."""
    server = Publisher()
    yield server
    server.stop()
