"""Runs real exchanges in this process and records them."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.record import Record
from queueconnector_core.recording.container import Recording, RecordingWriter
from queueconnector_core.recording.entry import Entry
from queueconnector_core.recording.keeping import keeping
from queueconnector_core.registry import Registry
from queueconnector_core.report import Report
from queueconnector_memory import store


@functools.cache
def registry() -> Registry:
    """What is installed."""
    return discover().registry


def written(path: Path, records: Iterable[Record]) -> Path:
    """A recording of these records."""
    with RecordingWriter(path, replace=True) as writer:
        for record in records:
            writer.write(Entry.of(record))
    return path


def entries(path: Path) -> list[Entry]:
    """All of a recording."""
    recording = Recording(path)
    try:
        return list(recording)
    finally:
        recording.close()


def replaying(recording: Path, **options: Any) -> dict[str, Any]:
    """An exchange from a recording to the store of the process."""
    source = {"type": "ReplaySource", "path": str(recording), "speed": None}
    return {"source": source, "sink": {"type": "InMemorySink", "key": "replayed"}} | options


def run(exchange: dict[str, Any], path: Path, stage: str = "sink[0]") -> list[Record]:
    """What the store has of an exchange that ran to its end, and was recorded to `path`."""

    async def streamed() -> None:
        store.reset("replayed")
        connector = Connector(registry())
        await connector.configure(json.dumps({"exchanges": [exchange]}))
        with RecordingWriter(path, replace=True) as writer:
            async with keeping(connector.exchanges[0], stage, writer):
                await connector.start()
                await connector.settled()
        assert_delivered(connector.statistics())
        await connector.shut_down()

    asyncio.run(streamed())
    return store.records("replayed")


def assert_delivered(report: Report) -> None:
    """Nothing was dropped."""
    assert [each["dropped"] for each in json.loads(json.dumps(report)).values()] == [0], report
