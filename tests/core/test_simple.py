"""The one-record forms (component contract, rules 4.1, 4.2, 5.2, 6.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from queueconnector_core.errors import EndOfStream, RecordError, RecordErrors, RetryableError
from queueconnector_core.record import Batch, Metadata, Record, Value
from queueconnector_core.simple import RecordSink, RecordSource, ValuePipe


class Scripted(RecordSource):
    """Gives records, raises errors, and waits for ever at the end unless it is told to end."""

    def __init__(self, *script: Record | Exception) -> None:
        super().__init__()
        self.script = list(script)
        self.waits = False
        self.cancelled = False

    async def read_record(self) -> Record:
        if not self.script:
            self.waits = True
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Doubling(ValuePipe):
    """Doubles numbers, refuses everything else."""

    def map(self, value: Value) -> Value:
        if not isinstance(value, float):
            raise RecordError("no number")
        return 2 * value


class Choosy(RecordSink):
    """Keeps values but those above 1."""

    def __init__(self) -> None:
        self.kept: list[Value] = []

    async def write_record(self, record: Record) -> None:
        if isinstance(record.value, float) and record.value > 1:
            raise RecordError("too large")
        self.kept.append(record.value)


async def test_a_source_gives_each_record_with_its_metadata() -> None:
    metadata = Metadata(timestamp_ns=5)
    source = Scripted(Record(1.0), Record(2.0, metadata), EndOfStream())
    await source.start()

    records = [record async for batch in source.read() for record in batch.records()]

    assert records == [Record(1.0), Record(2.0, metadata)]


async def test_a_record_that_cannot_be_used_is_a_failure_and_the_next_comes() -> None:
    source = Scripted(RecordError("broken"), Record(2.0), EndOfStream())
    await source.start()

    batches = [batch async for batch in source.read()]

    assert [str(failure) for failure in batches[0].failures] == ["broken"]
    assert [list(batch.values) for batch in batches] == [[], [2.0]]


async def test_other_errors_reach_the_runner() -> None:
    source = Scripted(RetryableError("away"))
    await source.start()

    with pytest.raises(RetryableError, match="away"):
        await anext(aiter(source.read()))


async def test_stop_ends_a_source_that_waits() -> None:
    source = Scripted(Record(1.0))
    await source.start()
    given: list[Value] = []

    async def read() -> None:
        async for batch in source.read():
            given.extend(batch.values)

    reading = asyncio.create_task(read())
    while not source.waits:
        await asyncio.sleep(0)
    await source.stop()
    async with asyncio.timeout(10):
        await reading

    assert given == [1.0]
    assert source.cancelled


async def test_a_source_is_stopped_before_it_starts_and_twice_and_starts_again() -> None:
    source = Scripted(Record(1.0), EndOfStream())
    await source.stop()
    await source.stop()
    await source.start()

    assert [list(batch.values) async for batch in source.read()] == [[1.0]]


async def test_a_pipe_maps_values_and_turns_refused_ones_into_failures() -> None:
    async def batches() -> AsyncIterator[Batch]:
        yield Batch([1.0, "x", 3.0])

    (output,) = [batch async for batch in Doubling().process(batches())]

    assert output.values == [2.0, 6.0]
    assert [str(failure) for failure in output.failures] == ["no number"]


async def test_a_sink_takes_all_values_but_the_refused_ones() -> None:
    sink = Choosy()

    with pytest.raises(RecordErrors) as refused:
        await sink.write(Batch([0.5, 2.0, 1.0]))

    assert sink.kept == [0.5, 1.0]
    assert {index: str(error) for index, error in refused.value.failures.items()} == {
        1: "too large"
    }
