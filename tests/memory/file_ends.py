"""File ends for tests; also a program that writes until it is killed, `file_ends.py PATH`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.plugin import queueconnector_components
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_memory.file_descriptors import FileSinkDescriptor, FileSourceDescriptor
from queueconnector_memory.file_sink import FileSink
from queueconnector_memory.file_source import FileSource

CODECS = Registry().with_(queueconnector_components())
REPEATED = 50


def context(dtype: object = "str", shape: Sequence[int] = ()) -> BuildContext:
    return BuildContext(DataSpec.of(dtype, list(shape)), CODECS, name="test[0]")


def sink_of(path: Path, dtype: object = "str", **options: Any) -> FileSink:
    return FileSink(FileSinkDescriptor(str(path), **options), context(dtype))


def source_of(path: Path, dtype: object = "str", **options: Any) -> FileSource:
    return FileSource(FileSourceDescriptor(str(path), **options), context(dtype))


async def write(path: Path, *texts: Any, **options: Any) -> None:
    """Write values with a sink of their own."""
    sink = sink_of(path, **options)
    await sink.start()
    try:
        await sink.write(Batch(list(texts)))
    finally:
        await sink.stop()


async def batches_of(source: FileSource) -> list[Batch]:
    """All that a source gives, until it ends by itself."""
    await source.start()
    try:
        return [batch async for batch in source.read()]
    finally:
        await source.stop()


async def read(path: Path, dtype: object = "str", **options: Any) -> list[Any]:
    """All values of a file."""
    batches = await batches_of(source_of(path, dtype, **options))
    return [value for batch in batches for value in batch.values]


async def write_for_ever(path: Path) -> None:
    """Write each number some times, and tell it after `write` has returned."""
    sink = sink_of(path, "int")
    await sink.start()
    for number in range(10**9):
        await sink.write(Batch([number] * REPEATED))
        print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1])))
