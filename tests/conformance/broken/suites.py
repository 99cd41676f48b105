"""A suite for each broken component, and for the right one that it is made of.

It is run by `test_broken.py` in a process of its own: here everything but `TestRight…` must fail.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from queueconnector_core.component import ComponentKind, ComponentType, Guarantee
from queueconnector_core.record import Value
from queueconnector_core.registry import Registry
from queueconnector_core.testing import (
    Capabilities,
    CodecSuite,
    ConfigHarness,
    ConfigSourceSuite,
    DescriptorSuite,
    PipeSuite,
    SinkHarness,
    SinkSuite,
    SourceHarness,
    SourceSuite,
    Suite,
)
from tests.conformance.broken import (
    codecs,
    config_sources,
    descriptors,
    impatient,
    pipes,
    shelf,
    sinks,
    sources,
)


class SourceShelf(SourceHarness):
    def __init__(self) -> None:
        self.shelf = shelf.Shelf(uuid.uuid4().hex)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "ShelfSource", "shelf": self.shelf.name}

    async def put_external(self, values: Sequence[Value]) -> None:
        self.shelf.items += values

    async def put_unusable(self) -> None:
        self.shelf.items.append(shelf.UNUSABLE)

    async def interrupt(self) -> None:
        self.shelf.cut = True


class SinkShelf(SinkHarness):
    def __init__(self) -> None:
        self.shelf = shelf.Shelf(uuid.uuid4().hex)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "ShelfSink", "shelf": self.shelf.name}

    async def take_external(self) -> Sequence[Value]:
        return self.shelf.items

    def unusable(self) -> Value:
        return shelf.UNUSABLE

    async def interrupt(self) -> None:
        self.shelf.cut = True


class BoardHarness(ConfigHarness):
    keys = ("one", "two")

    def __init__(self) -> None:
        self.board = config_sources.Board(uuid.uuid4().hex)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"type": "BoardConfigSource", "board": self.board.name}

    async def write_external(self, key: str | None, text: str) -> None:
        self.board.put(key, text)

    async def delete_external(self, key: str | None) -> None:
        del self.board.documents[key]


class Impatient(Suite):
    """Waits for less than a real transport would need."""

    broken: ClassVar[type[Any]]
    timeout_s = 2.0
    stop_limit_s = 1.0
    examples = 20
    settled_s = 0.05
    held_back_s = 0.05
    dtype = "int64"

    @pytest.fixture
    def registry(self) -> Registry:
        return Registry().with_([self.made()])

    def made(self) -> ComponentType:
        raise NotImplementedError


class Source(Impatient, SourceSuite):
    capabilities = Capabilities(
        acknowledges=True, refuses=True, interruptible=True, proves_life=True, max_held=20
    )

    @pytest.fixture
    def harness(self) -> SourceHarness:
        return SourceShelf()

    def made(self) -> ComponentType:
        return ComponentType(
            "ShelfSource", self.kind, self.broken, shelf.ShelfSourceDescriptor,
            guarantee=Guarantee.AT_LEAST_ONCE,
        )  # fmt: skip


class Sink(Impatient, SinkSuite):
    capabilities = Capabilities(refuses=True, interruptible=True)

    @pytest.fixture
    def harness(self) -> SinkHarness:
        return SinkShelf()

    def made(self) -> ComponentType:
        return ComponentType(
            "ShelfSink", self.kind, self.broken, shelf.ShelfSinkDescriptor,
            guarantee=Guarantee.AT_LEAST_ONCE,
        )  # fmt: skip


class Pipe(Impatient, PipeSuite):
    capabilities = Capabilities(holds=True, max_held=pipes.SIZE)

    def made(self) -> ComponentType:
        return ComponentType("PairsPipe", self.kind, self.broken, pipes.PairsPipeDescriptor)


class Codec(Impatient, CodecSuite):
    def made(self) -> ComponentType:
        return ComponentType("digits", self.kind, lambda *_: self.broken())


class ConfigSource(Impatient, ConfigSourceSuite):
    capabilities = Capabilities(many_documents=True)

    @pytest.fixture
    def harness(self) -> ConfigHarness:
        return BoardHarness()

    def made(self) -> ComponentType:
        return ComponentType(
            "BoardConfigSource", self.kind, self.broken, config_sources.BoardConfigSourceDescriptor
        )


class Descriptor(Impatient, DescriptorSuite):
    kind = ComponentKind.SINK
    example: ClassVar[dict[str, Any]] = {"name": "here"}
    capabilities = Capabilities(dtypes=("float32", "float64"))

    def made(self) -> ComponentType:
        return ComponentType("NamedSink", self.kind, never, self.broken)


def never(*_: object) -> object:
    raise AssertionError("nothing is built here")


RIGHT: dict[str, tuple[type[Impatient], str, type[Any]]] = {
    "source": (Source, "ShelfSource", shelf.ShelfSource),
    "sink": (Sink, "ShelfSink", shelf.ShelfSink),
    "pipe": (Pipe, "PairsPipe", pipes.Pairs),
    "codec": (Codec, "digits", codecs.Digits),
    "config source": (ConfigSource, "BoardConfigSource", config_sources.BoardSource),
    "descriptor": (Descriptor, "NamedSink", descriptors.Right),
}
DEFECTS: dict[str, tuple[type[Any], ...]] = {
    "source": sources.SOURCES,
    "sink": sinks.SINKS,
    "pipe": pipes.PIPES,
    "codec": codecs.CODECS,
    "config source": config_sources.CONFIG_SOURCES,
    "descriptor": (*descriptors.DESCRIPTORS, impatient.ImportsItsTransport),
}
"""The broken components; `caught_by` of each is the test that must fail."""


def suite(kind: str, name: str, broken: type[Any]) -> type[Suite]:
    base, component, _ = RIGHT[kind]
    return type(name, (base,), {"component": component, "broken": broken})


BY_KIND: dict[str, dict[str, type[Suite]]] = {
    kind: {f"TestRight{right.__name__}": suite(kind, f"TestRight{right.__name__}", right)}
    | {
        f"Test{broken.__name__}": suite(kind, f"Test{broken.__name__}", broken)
        for broken in DEFECTS[kind]
    }
    for kind, (_, _, right) in RIGHT.items()
}
for found in BY_KIND.values():
    globals().update(found)
