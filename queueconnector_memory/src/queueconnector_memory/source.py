"""Gives the values that stand in the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from queueconnector_core.component import BuildContext
from queueconnector_core.record import Batch
from queueconnector_memory.descriptors import InMemorySourceDescriptor, value_reader

__all__ = ("InMemorySource",)

BATCH_SIZE = 500


class InMemorySource:
    """Gives its values once per start: in batches, or one by one after each delay."""

    def __init__(self, descriptor: InMemorySourceDescriptor, context: BuildContext) -> None:
        read = value_reader(context.spec)
        self._values = [read(value) for value in descriptor.data]
        self._delay = descriptor.delay
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Begin again with the first value."""
        self._stopped.clear()

    async def read(self) -> AsyncIterator[Batch]:
        """Every value, until the last or until `stop`."""
        size = 1 if self._delay else BATCH_SIZE
        for first in range(0, len(self._values), size):
            if self._stopped.is_set() or await self._stopped_within_delay():
                return
            yield Batch(self._values[first : first + size])

    async def stop(self) -> None:
        """End `read` at the next value."""
        self._stopped.set()

    async def _stopped_within_delay(self) -> bool:
        if not self._delay:
            return False
        try:
            async with asyncio.timeout(self._delay):
                return await self._stopped.wait()
        except TimeoutError:
            return False
