"""Files of records: what was accepted is not lost, and how a file is followed."""

# ruff: noqa: ASYNC221, ASYNC240 - a test that looks at the disk need not serve anybody meanwhile

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.errors import (
    ConfigError,
    FatalError,
    RecordErrors,
    RetryableError,
)
from queueconnector_core.plan import read_plan
from queueconnector_core.record import Batch
from queueconnector_memory.file_source import FileSource
from tests.memory.file_ends import REPEATED, batches_of, read, sink_of, source_of, write

REGISTRY = discover().registry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


# What is on disk stays


async def test_what_was_in_the_file_stays(path: Path) -> None:
    await write(path, "a")
    await write(path, "b")
    assert await read(path) == ["a", "b"]


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b'{"value":"\\"b', ["a"]),
        (b"{", ["a"]),
        (b"\0" * 5000, ["a"]),
        (b'{"value":"' + b"x" * 200_000, ["a"]),
        (b'{"value":"\\"b\\""}', ["a", "b"]),
    ],
    ids=["half", "one octet", "zeros", "long", "whole but for its end"],
)
async def test_a_torn_last_line_is_cut_off_and_a_whole_one_is_ended(
    path: Path, tail: bytes, kept: list[str]
) -> None:
    path.write_bytes(b'{"value":"\\"a\\""}\n' + tail)
    await write(path, "c")
    assert await read(path) == [*kept, "c"]
    assert not [e for batch in await batches_of(source_of(path)) for e in batch.failures]


async def test_a_file_of_something_else_is_left_alone(path: Path) -> None:
    path.write_bytes(b"line\nmy diary")
    with pytest.raises(FatalError, match="is no file of records: its last line begins with"):
        await write(path, "a")
    assert path.read_bytes() == b"line\nmy diary"


async def test_records_beyond_the_bound_are_refused(path: Path) -> None:
    sink = sink_of(path, max_bytes=3 * len('{"value":"\\"a\\""}\n'))
    await sink.start()
    await sink.write(Batch(["a", "b"]))
    with pytest.raises(RecordErrors, match="larger than max_bytes = 54") as refused:
        await sink.write(Batch(["c", "d", "e"]))
    await sink.stop()
    assert list(refused.value.failures) == [1, 2]
    assert await read(path) == ["a", "b", "c"]


async def test_two_writers_of_one_file_are_refused_by_the_configuration(path: Path) -> None:
    other = path.parent / "folder" / ".." / path.name
    exchanges = [
        {
            "source": {"type": "InMemorySource", "data": []},
            "sink": {"type": "FileSink", "path": str(name)},
        }
        for name in (path, other)
    ]
    with pytest.raises(ConfigError) as refused:
        read_plan(json.dumps({"exchanges": exchanges}), REGISTRY, Services())
    [problem] = refused.value.problems
    assert problem.path == "exchanges[1].sink.path"
    assert f"file '{path}' is already used at exchanges[0].sink.path" in problem.message


async def test_a_file_that_another_program_writes_is_waited_for(path: Path) -> None:
    first, second = sink_of(path), sink_of(path)
    await first.start()
    with pytest.raises(RetryableError, match="another program writes"):
        await second.start()
    await first.stop()
    await second.start()
    await second.stop()


async def test_a_folder_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "later" / "file"
    with pytest.raises(RetryableError, match="No such file"):
        await write(path, "a")
    path.parent.mkdir()
    await write(path, "a")
    assert await read(path) == ["a"]


async def test_a_folder_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FatalError, match="Is a directory"):
        await write(tmp_path, "a")


async def test_a_full_disk_is_waited_for_and_leaves_nothing_half(path: Path) -> None:
    """A limit of the process on file sizes fails in the middle of a write, as a full disk does."""
    script = """
import asyncio, resource, signal, sys
from tests.memory.file_ends import Batch, Path, read, sink_of
from queueconnector_core.errors import RetryableError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
async def main():
    sink = sink_of(path)
    await sink.start()
    await sink.write(Batch(["a"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    try:
        await sink.write(batch := Batch(["b" * 50, "c" * 50]))
    except RetryableError as error:
        print(error)
    print(await read(path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    await sink.write(batch)
    await sink.stop()
asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [f"cannot write {path}: File too large", "['a']"]
    assert await read(path) == ["a", "b" * 50, "c" * 50]


async def test_a_file_that_was_moved_away_is_begun_anew(path: Path) -> None:
    sink = sink_of(path)
    await sink.start()
    await sink.write(Batch(["a"]))
    old = path.rename(path.with_suffix(".old"))
    await sink.write(Batch(["b"]))
    await sink.stop()
    assert (await read(old), await read(path)) == (["a"], ["b"])


async def test_a_line_that_a_person_appends_meanwhile_stays(path: Path) -> None:
    sink = sink_of(path)
    await sink.start()
    await sink.write(Batch(["a"]))
    with path.open("ab") as file:
        file.write(b'{"value":"\\"mine\\""}')
    await sink.write(Batch(["b"]))
    await sink.stop()
    assert await read(path) == ["a", "mine", "b"]


async def test_after_stop_nothing_is_written(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = sink_of(path)
    await sink.stop()
    await sink.start()
    await sink.stop()
    await sink.stop()
    await sink.write(Batch(["a"]))
    assert "not open, 1 records not written" in caplog.text
    assert path.read_bytes() == b""


def test_what_was_accepted_outlives_a_kill(path: Path) -> None:
    """The writer tells each number after `write` has returned; it is killed while it writes."""
    script = str(Path(__file__).with_name("file_ends.py"))
    for _ in range(2):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen(
            [sys.executable, script, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        accepted = int((told + writer.stdout.readlines())[-1])
        writer.wait()
        writer.stdout.close()
        asyncio.run(write(path, -1, dtype="int"))
        found = asyncio.run(read(path, "int"))
        expected = [number for number in range(accepted + 2) for _ in range(REPEATED)]
        assert found[-1] == -1
        assert len(found) > REPEATED * (accepted + 1)
        assert found[:-1] == expected[: len(found) - 1]


# Following, and going on where it was


async def next_of(stream: AsyncIterator[Batch]) -> Batch:
    async with asyncio.timeout(5):
        return await anext(stream)


async def ends(stream: AsyncIterator[Batch]) -> bool:
    async with asyncio.timeout(5):
        return await anext(stream, None) is None


async def test_a_followed_file_gives_what_is_appended_until_stop(path: Path) -> None:
    await write(path, "a")
    source = source_of(path, follow=True)
    await source.start()
    stream = source.read()
    assert (await next_of(stream)).values == ["a"]
    await write(path, "b", "c")
    assert (await next_of(stream)).values == ["b", "c"]
    ending = asyncio.create_task(ends(stream))
    await source.stop()
    assert await ending


async def test_half_a_line_is_waited_for_and_may_be_cut_off(path: Path) -> None:
    path.write_bytes(b'{"value":"\\"a\\""}\n{"value":"\\"ne')
    source = source_of(path, follow=True)
    await source.start()
    stream = source.read()
    assert (await next_of(stream)).values == ["a"]
    await write(path, "b")
    found = await next_of(stream)
    assert found.values == ["b"]
    assert not found.failures
    await source.stop()


@pytest.mark.parametrize("how", ["replaced", "cut"])
async def test_a_followed_file_that_begins_anew_is_read_from_its_beginning(
    path: Path, how: str
) -> None:
    await write(path, "a", "b")
    source = source_of(path, follow=True)
    await source.start()
    stream = source.read()
    assert (await next_of(stream)).values == ["a", "b"]
    if how == "replaced":
        path.rename(path.with_suffix(".old"))
    else:
        path.write_bytes(b"")
    await write(path, "c")
    assert (await next_of(stream)).values == ["c"]
    await source.stop()


async def test_without_a_checkpoint_each_start_reads_from_the_beginning(path: Path) -> None:
    await write(path, "a")
    source = source_of(path)
    assert [batch.values for batch in await batches_of(source)] == [["a"]]
    assert [batch.values for batch in await batches_of(source)] == [["a"]]


async def test_a_file_that_is_not_there_is_waited_for(path: Path) -> None:
    source = source_of(path)
    with pytest.raises(RetryableError, match="cannot open"):
        await source.start()
    await write(path, "a")
    assert [batch.values for batch in await batches_of(source)] == [["a"]]


class Followed:
    """A file in three blocks of some thousand lines, read with a checkpoint."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path.with_suffix(".checkpoint")
        lines = [json.dumps({"value": str(number)}) + "\n" for number in range(30_000)]
        path.write_text("".join(lines))

    async def begin(self) -> tuple[FileSource, list[Batch]]:
        """A source that has given all, none of it acknowledged."""
        source = source_of(self.path, "int", checkpoint=str(self.checkpoint))
        await source.start()
        return source, [batch async for batch in source.read()]

    async def first(self) -> Any:
        """The value with which the next start begins; None: there is none."""
        source, batches = await self.begin()
        await source.stop()
        return batches[0].values[0] if batches else None


@pytest.fixture
def followed(path: Path) -> Followed:
    return Followed(path)


def acknowledge(*batches: Batch) -> None:
    for batch in batches:
        for acknowledgement in batch.acknowledgements:
            acknowledgement.release()


async def test_the_next_start_goes_on_where_everything_was_delivered(followed: Followed) -> None:
    source, batches = await followed.begin()
    assert len(batches) > 2
    acknowledge(batches[1], batches[2])
    await source.stop()
    assert await followed.first() == 0
    source, batches = await followed.begin()
    acknowledge(batches[1], batches[0])
    await source.stop()
    assert await followed.first() == batches[2].values[0]


async def test_what_was_acknowledged_before_stop_is_kept(followed: Followed) -> None:
    source, batches = await followed.begin()
    await source.drain()
    acknowledge(*batches)
    await source.stop()
    await source.stop()
    assert await followed.first() is None


async def test_the_checkpoint_is_written_while_it_flows(followed: Followed) -> None:
    source, batches = await followed.begin()
    acknowledge(batches[0])
    async with asyncio.timeout(5):
        while not followed.checkpoint.exists():
            await asyncio.sleep(0.01)
    told = json.loads(followed.checkpoint.read_text())
    assert told["offset"] == sum(len(f'{{"value": "{n}"}}\n') for n in batches[0].values)
    await source.stop()


async def test_a_file_that_was_replaced_is_read_from_its_beginning(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    source, batches = await followed.begin()
    acknowledge(*batches)
    await source.stop()
    followed.path.rename(followed.path.with_suffix(".old"))
    await write(followed.path, 7, dtype="int")
    assert await followed.first() == 7
    assert "is not the file that was read before" in caplog.text


async def test_a_checkpoint_that_is_something_else_is_refused(followed: Followed) -> None:
    followed.checkpoint.write_text("{}")
    with pytest.raises(FatalError, match=r"is no checkpoint: .*; remove it"):
        await followed.begin()


async def test_a_checkpoint_that_cannot_be_written_only_warns(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await write(path, "a")
    source = source_of(path, checkpoint=str(path.parent / "none" / "checkpoint"))
    await source.start()
    acknowledge(*[batch async for batch in source.read()])
    await source.stop()
    assert "cannot write the checkpoint" in caplog.text
