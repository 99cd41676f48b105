"""What the tests of configuration databases share: a place in a real etcd."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from devservices.etcd import EtcdServer, EtcdTls
from queueconnector_core.config.protocol import ConfigContext, ConfigReport
from queueconnector_core.states import State
from queueconnector_core.testing.config_source import Following
from queueconnector_sdp import watch
from queueconnector_sdp.descriptors import EtcdConfigSourceDescriptor
from queueconnector_sdp.etcd_source import EtcdConfigSource
from queueconnector_sdp.layout import etcd_key
from tests.sdp.certificates import make_certificates

HOST = "test/queueconnector/01"


@attrs.define
class Place:
    """A path of its own in an etcd, altered by etcdctl."""

    server: EtcdServer
    path: str = attrs.field(factory=lambda: f"/component/lmc-{uuid.uuid4().hex[:8]}/owner")

    def key(self, *names: str | None) -> str:
        """The key of etcd for a path below."""
        return etcd_key("/".join([self.path, *(name for name in names if name)])).decode()

    def put_now(self, name: str | None, text: str) -> None:
        self.server.put(self.key(name), text)

    async def put(self, key: str | None, text: str) -> None:
        await asyncio.to_thread(self.put_now, key, text)

    async def delete(self, key: str | None) -> None:
        await asyncio.to_thread(self.server.delete, self.key(key))

    def read(self, *names: str | None) -> str | None:
        """What stands below, such as a state."""
        return self.server.get(self.key(*names))

    def descriptor(self, **options: Any) -> EtcdConfigSourceDescriptor:
        given = {"path": self.path, "servers": (self.server.url,)} | options
        return EtcdConfigSourceDescriptor(**given)

    def source(self, **options: Any) -> EtcdConfigSource:
        return EtcdConfigSource(self.descriptor(**options), ConfigContext(HOST))

    @asynccontextmanager
    async def followed(self, **options: Any) -> AsyncIterator[tuple[EtcdConfigSource, Following]]:
        """A source that is followed, and everything was told."""
        async with followed(self.source(**options)) as both:
            yield both


@asynccontextmanager
async def followed(source: Any) -> AsyncIterator[tuple[Any, Following]]:
    """A source that is followed, and everything was told."""
    following = Following(source)
    try:
        await following.until_synced()
        yield source, following
    finally:
        await following.close()
        await source.stop()


@pytest.fixture
def place(etcd_server: EtcdServer) -> Place:
    return Place(etcd_server)


@pytest.fixture(scope="session")
def etcd_is_here(request: pytest.FixtureRequest) -> None:
    """Where etcd cannot run this says so, and the tests with servers of their own do not fail."""
    request.getfixturevalue("etcd_server")


@pytest.fixture(scope="module")
def fragile_server(etcd_is_here: None) -> Iterator[EtcdServer]:  # noqa: ARG001
    """A server that may be killed, frozen and wiped; it runs again after each test."""
    with EtcdServer("fragile") as server:
        yield server


@pytest.fixture
def fragile(fragile_server: EtcdServer) -> Iterator[Place]:
    yield Place(fragile_server)
    if fragile_server.is_running:
        fragile_server.resume()
    fragile_server.start()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> EtcdTls:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is tried again soon."""
    monkeypatch.setattr(watch, "REFUSED_WAIT_S", 0.05)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """All that was logged, by whomever, down to DEBUG."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text


def report(
    following: Following, key: str | None = "g1", state: State | None = State.ON, **more: Any
) -> ConfigReport:
    """A report about the newest version."""
    version = following.version(key)
    given: dict[str, Any] = {"seen": version, "running": version, "since_s": 1_700_000_000.0} | more
    return ConfigReport(key=key, state=state, **given)


async def until_tried(source: EtcdConfigSource, times: int = 3) -> None:
    """Wait until it has failed so often since it last worked."""
    async with asyncio.timeout(20):
        while source._follower._failures < times:
            await asyncio.sleep(0.01)


def connections_to(port: int) -> int:
    """How many connections this process has to a port of this machine."""
    own = {
        link.readlink().name
        for link in Path("/proc/self/fd").iterdir()
        if link.is_symlink() and "socket" in str(link.readlink())
    }
    lines = Path("/proc/self/net/tcp").read_text("ascii").splitlines()[1:]
    columns = [line.split() for line in lines]
    return sum(
        int(column[2].rpartition(":")[2], 16) == port and f"socket:[{column[9]}]" in own
        for column in columns
    )
