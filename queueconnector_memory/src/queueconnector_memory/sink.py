"""Keeps records for whoever runs in the same process."""

from __future__ import annotations

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RecordErrors
from queueconnector_core.record import Batch
from queueconnector_memory import store
from queueconnector_memory.descriptors import InMemorySinkDescriptor

__all__ = ("InMemorySink",)


class InMemorySink:
    """Appends to the store under its key; what was there stays."""

    def __init__(self, descriptor: InMemorySinkDescriptor, context: BuildContext) -> None:
        self._key = descriptor.key
        self._max_records = descriptor.max_records

    async def start(self) -> None:
        """Nothing to connect."""

    async def write(self, batch: Batch) -> None:
        """Keep the records; raises `RecordErrors` for those beyond the bound."""
        room = max(0, self._max_records - store.count(self._key))
        if len(batch) <= room:
            store.add(self._key, batch)
            return
        full = f"the store {self._key!r} is full ({self._max_records} records)"
        failed = {index: RecordError(full) for index in range(room, len(batch))}
        store.add(self._key, batch.without(failed))
        raise RecordErrors(failed)

    async def stop(self) -> None:
        """Nothing to disconnect; the records stay."""
