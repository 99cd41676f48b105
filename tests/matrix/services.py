"""Everything that a run of the matrix needs, started and stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from devservices.kafka import KafkaBroker
from devservices.tango import TangoDatabase, TangoDeviceServer
from queueconnector_core.discovery import discover
from queueconnector_core.registry import Registry

from .hosts import DeviceHost, LocalHost, connector_server
from .runner import Case, Failure, refusals, run
from .world import World, everything_server

__all__ = ("Matrix", "matrix")


@attrs.frozen
class Matrix:
    """Both hosts of the product, between the far ends."""

    world: World
    registry: Registry
    here: LocalHost
    device: DeviceHost
    server: TangoDeviceServer
    """The process behind `device`."""

    def refusals(self, cases: Sequence[Case]) -> dict[Case, str]:
        """The cases that are refused, each with the message."""
        return refusals(cases, self.world, self.registry)

    def run(self, cases: Sequence[Case]) -> Iterator[Failure]:
        """Run accepted cases, each where its sinks can be; gives those that failed."""
        yield from run([case for case in cases if not case.local], self.world, self.here)
        yield from run([case for case in cases if case.local], self.world, self.device)


@contextmanager
def matrix(broker: KafkaBroker, database: TangoDatabase) -> Iterator[Matrix]:
    """Start the device servers; broker and database are running."""
    with (
        everything_server(database) as everything,
        connector_server() as server,
        World(broker, everything) as world,
    ):
        registry = discover().registry
        here = LocalHost(registry)
        try:
            yield Matrix(world, registry, here, DeviceHost(server), server)
        finally:
            here.close()
