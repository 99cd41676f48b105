"""The configuration databases keep the contract of configuration sources, with a real etcd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from devservices.etcd import EtcdServer
from queueconnector_core.component import ComponentKind
from queueconnector_core.config.protocol import ConfigContext, ConfigSource
from queueconnector_core.registry import Registry
from queueconnector_core.testing import (
    Capabilities,
    ConfigHarness,
    ConfigSourceSuite,
    DescriptorSuite,
)
from queueconnector_sdp import sdp_thread
from queueconnector_sdp.descriptors import SdpConfigSourceDescriptor
from queueconnector_sdp.sdp_source import SdpConfigSource
from tests.sdp.conftest import Place
from tests.sdp.ska_sdp_config import Config


class Etcd(ConfigHarness):
    """A path of its own in an etcd, altered by etcdctl."""

    def __init__(
        self, server: EtcdServer, name: str, keys: Sequence[str | None] = ("g1", "g2"), **more: Any
    ) -> None:
        self.place = Place(server)
        self.keys = keys
        self.options = {"type": name, "path": self.place.path, **more}

    @property
    def descriptor(self) -> dict[str, Any]:
        return self.options

    async def write_external(self, key: str | None, text: str) -> None:
        await self.place.put(key, text)

    async def delete_external(self, key: str | None) -> None:
        await self.place.delete(key)


class TestEtcdConfigSource(ConfigSourceSuite):
    component = "EtcdConfigSource"
    capabilities = Capabilities(many_documents=True)

    @pytest.fixture
    def harness(self, etcd_server: EtcdServer) -> ConfigHarness:
        return Etcd(etcd_server, self.component, servers=[etcd_server.url])


class TestEtcdConfigSourceOfOneValue(ConfigSourceSuite):
    component = "EtcdConfigSource"

    @pytest.fixture
    def harness(self, etcd_server: EtcdServer) -> ConfigHarness:
        return Etcd(etcd_server, self.component, (None,), servers=[etcd_server.url], mode="value")


class SdpSuite(ConfigSourceSuite):
    """The library is the double of tests/sdp on the real etcd: the real one is not for sale."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It connects anew soon."""
        monkeypatch.setattr(sdp_thread, "WAIT_S", 0.05)

    def build(self, harness: ConfigHarness, registry: Registry) -> ConfigSource:
        assert isinstance(harness, Etcd)
        descriptor = self.structured(harness.descriptor, registry)
        assert isinstance(descriptor, SdpConfigSourceDescriptor)
        url = harness.place.server.url
        return SdpConfigSource(descriptor, ConfigContext("conformance"), lambda: Config(url))


class TestSdpConfigSource(SdpSuite):
    component = "SdpConfigSource"
    capabilities = Capabilities(many_documents=True)

    @pytest.fixture
    def harness(self, etcd_server: EtcdServer) -> ConfigHarness:
        return Etcd(etcd_server, self.component)


class TestSdpConfigSourceOfOneValue(SdpSuite):
    component = "SdpConfigSource"

    @pytest.fixture
    def harness(self, etcd_server: EtcdServer) -> ConfigHarness:
        return Etcd(etcd_server, self.component, (None,), mode="value")


class TestEtcdConfigSourceDescriptor(DescriptorSuite):
    component = "EtcdConfigSource"
    kind = ComponentKind.CONFIG_SOURCE
    example: ClassVar = {"path": "/component/lmc/owner", "servers": ["http://localhost:2379"]}


class TestSdpConfigSourceDescriptor(DescriptorSuite):
    component = "SdpConfigSource"
    kind = ComponentKind.CONFIG_SOURCE
    example: ClassVar = {"path": "/component/lmc/owner"}
