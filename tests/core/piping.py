"""Pipes as a configuration makes them, and what goes through them, for tests."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import attrs

from queueconnector_core.component import BuildContext, ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import PipeDescriptor
from queueconnector_core.plugin import queueconnector_components
from queueconnector_core.protocols import Pipe
from queueconnector_core.record import Acknowledgement, Batch, Metadata
from queueconnector_core.registry import Registry
from queueconnector_core.structure import structure_as

CORE = Registry().with_(queueconnector_components())
"""Core's own types."""

FLOAT = DataSpec.of("float64")
OBJECT = DataSpec.of("object")
SECOND_NS = 1_000_000_000


def described(name: str, **options: Any) -> PipeDescriptor:
    """A descriptor, read as a configuration is."""
    return structure_as({"type": name, **options}, PipeDescriptor, CORE)


def output(name: str, spec: DataSpec, **options: Any) -> DataSpec:
    """What leaves a pipe; raises `ConfigError` when `spec` cannot enter."""
    return described(name, **options).output(spec)


def made(name: str, spec: DataSpec = FLOAT, **options: Any) -> Pipe:
    """A pipe, proven and built."""
    descriptor = described(name, **options)
    descriptor.output(spec)
    component = CORE.lookup(ComponentKind.PIPE, name)
    pipe: Pipe = component.factory(descriptor, BuildContext(spec, CORE, name="default[0]"))
    return pipe


def at(*seconds: float, **known: Any) -> list[Metadata]:
    """Metadata with these time stamps."""
    return [Metadata(timestamp_ns=round(second * SECOND_NS), **known) for second in seconds]


@attrs.define
class Flow:
    """What went through a pipe: each batch is settled as it comes out, as the runner does."""

    outputs: list[Batch] = attrs.field(factory=list)
    released: list[int] = attrs.field(factory=list)
    """The batches that were acknowledged, by their number, in that order."""
    settled_at: list[int] = attrs.field(factory=list)
    """How many batches had come out, for each of them."""

    @property
    def values(self) -> list[Any]:
        return [value for batch in self.outputs for value in batch.values]

    @property
    def failures(self) -> list[str]:
        return [str(failure) for batch in self.outputs for failure in batch.failures]

    @property
    def filtered(self) -> int:
        return sum(batch.filtered for batch in self.outputs)

    @property
    def source_records(self) -> int:
        return sum(batch.source_records for batch in self.outputs)

    def settle(self, batch: Batch) -> None:
        self.outputs.append(batch)
        for acknowledgement in batch.acknowledgements:
            acknowledgement.release()

    def acknowledging(self, batches: Sequence[Batch]) -> list[Batch]:
        return [
            attrs.evolve(batch, acknowledgements=(Acknowledgement(lambda n=n: self._note(n)),))  # type: ignore[misc]
            for n, batch in enumerate(batches)
        ]

    def _note(self, number: int) -> None:
        self.released.append(number)
        self.settled_at.append(len(self.outputs))


async def through(pipe: Pipe, *batches: Batch) -> Flow:
    """Send batches through that are all there at once, then the end.

    Checks what holds for every pipe: no record is lost from the balance, and all are acknowledged.
    """
    flow = Flow()

    async def stream() -> AsyncIterator[Batch]:
        for batch in flow.acknowledging(batches):
            yield batch

    async for batch in pipe.process(stream()):
        flow.settle(batch)
        columns = (batch.metadata, batch.weights)
        assert all(column is None or len(column) == len(batch) for column in columns)
    assert flow.source_records == sum(batch.source_records for batch in batches)
    assert sorted(flow.released) == list(range(len(batches)))
    return flow


def passed(pipe: Pipe, *batches: Batch) -> Flow:
    """The same in a loop of its own, for property tests."""
    return asyncio.run(through(pipe, *batches))


def cut(values: Sequence[Any], sizes: Sequence[int]) -> list[Batch]:
    """Values in batches of these sizes, and the rest in one more."""
    return [Batch(part) for part in _parts(values, sizes)]


def _parts(values: Sequence[Any], sizes: Sequence[int]) -> Iterator[list[Any]]:
    rest = iter(values)
    for size in sizes:
        yield list(itertools.islice(rest, size))
    yield list(rest)
