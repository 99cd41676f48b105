"""The sinks of core, and their descriptors, pass the kit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from queueconnector_core.component import ComponentKind, Guarantee
from queueconnector_core.record import Value
from queueconnector_core.testing import Capabilities, DescriptorSuite, SinkHarness, SinkSuite
from queueconnector_memory import store


class StoreHarness(SinkHarness):
    """Records end in the store of the process, under several keys."""

    def __init__(self, sink: dict[str, Any], keys: Sequence[str]) -> None:
        self._sink = sink
        self._keys = keys

    @property
    def descriptor(self) -> dict[str, Any]:
        return self._sink

    async def take_external(self) -> Sequence[Value]:
        return [record.value for key in self._keys for record in store.records(key)]


@pytest.fixture
def keys() -> Iterator[tuple[str, str]]:
    """The names under which the records of one test are found."""
    names = (uuid.uuid4().hex, uuid.uuid4().hex)
    yield names
    for name in names:
        store.reset(name)


def kept(key: str, **options: Any) -> dict[str, Any]:
    """An in-memory sink."""
    return {"type": "InMemorySink", "key": key, **options}


class TestFallbackSink(SinkSuite):
    component = "FallbackSink"
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE)

    @pytest.fixture
    def harness(self, keys: tuple[str, str]) -> SinkHarness:
        """The first sink is soon full, so that the second has to take what is left."""
        sinks = [kept(keys[0], max_records=12), kept(keys[1])]
        return StoreHarness({"type": "FallbackSink", "sinks": sinks}, keys)


class TestRouteSink(SinkSuite):
    component = "RouteSink"
    capabilities = Capabilities(guarantee=Guarantee.AT_LEAST_ONCE, ordered=False)

    @pytest.fixture
    def harness(self, keys: tuple[str, str]) -> SinkHarness:
        """Numbers over five go one way, all others the other."""
        routes = [{"when": {"gt": 5}, "sink": kept(keys[0])}]
        sink = {"type": "RouteSink", "routes": routes, "otherwise": kept(keys[1])}
        return StoreHarness(sink, keys)


class TestFallbackSinkDescriptor(DescriptorSuite):
    component = "FallbackSink"
    kind = ComponentKind.SINK
    may_import = ("jmespath",)
    example: ClassVar = {"sinks": [kept("a"), kept("b")], "patience_s": 10}


class TestRouteSinkDescriptor(DescriptorSuite):
    component = "RouteSink"
    kind = ComponentKind.SINK
    may_import = ("jmespath",)
    example: ClassVar = {"routes": [{"when": "a", "sink": kept("a")}], "otherwise": kept("b")}
