"""Records a stage of an exchange of this process, from before its start to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from queueconnector_core.errors import RecordError
from queueconnector_core.exchange import Exchange
from queueconnector_core.record import Record
from queueconnector_core.recording.container import RecordingWriter
from queueconnector_core.recording.entry import Entry
from queueconnector_core.tap import View

__all__ = ("MAKER_KEPT", "EntryMaker", "keeping")

logger = logging.getLogger(__name__)

MAKER_KEPT: Final = 65_536
"""So many records wait at most to become entries."""


class EntryMaker:
    """Makes entries of what a view gives; each tells how many are missing before it."""

    def __init__(self) -> None:
        self.unfit = 0
        """Records whose values have no exact form."""
        self._told = 0

    def entry(self, record: Record, skipped: int) -> Entry | None:
        """The entry, or None for one that is unfit; the view has `skipped` so many so far."""
        missing = skipped + self.unfit
        try:
            entry = Entry.of(record, missing - self._told)
        except RecordError:
            self.unfit += 1
            return None
        self._told = missing
        return entry


@asynccontextmanager
async def keeping(exchange: Exchange, stage: str, writer: RecordingWriter) -> AsyncIterator[None]:
    """Write the records of a stage while the body runs.

    Raises `ConfigError` for a stage that the exchange does not have, `RecordingError` at the end
    when the file could not be written.
    """
    maker = EntryMaker()

    def write(records: Sequence[Record], skipped: int) -> None:
        for record in records:
            entry = maker.entry(record, skipped)
            if entry is not None:
                writer.write(entry)

    async def follow(view: View) -> None:
        while records := await view.take():
            await asyncio.to_thread(write, records, view.skipped)

    with exchange.taps.view(stage, MAKER_KEPT) as view:
        following = asyncio.create_task(follow(view))
        try:
            yield
        finally:
            view.close()
            await following
        missing = view.skipped + maker.unfit
        if missing:
            logger.warning("%d records were left out of the recording", missing)
