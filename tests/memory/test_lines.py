"""Lines of records: what they hold, that they are read as they were written, what is refused."""

# ruff: noqa: ASYNC240 - a test that looks at the disk need not serve anybody meanwhile

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queueconnector_core.connector import Connector
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.errors import (
    RecordError,
    RecordErrors,
)
from queueconnector_core.record import Batch, Metadata, Original, Quality, Record, TimestampOrigin
from queueconnector_core.states import State
from queueconnector_memory.file_descriptors import FileSinkDescriptor
from queueconnector_memory.lines import line_reader, line_writer
from tests.core.hostile import ROW
from tests.core.test_codecs import values
from tests.matrix.compare import same
from tests.memory.file_ends import CODECS, batches_of, read, sink_of, source_of, write

TIME_NS = 1_769_860_800_000_000_001


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


async def run(document: dict[str, Any]) -> None:
    """Run one exchange until its sources have ended."""
    connector = Connector(discover().registry)
    await connector.configure(json.dumps({"exchanges": [document]}))
    await connector.start()
    async with asyncio.timeout(20):
        await connector.settled()
    assert connector.state is State.OFF, connector.status_text()


async def failures_of(path: Path) -> list[RecordError]:
    return [error for batch in await batches_of(source_of(path)) for error in batch.failures]


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# What a line holds

KNOWN = Metadata(
    timestamp_ns=TIME_NS,
    timestamp_origin=TimestampOrigin.SOURCE,
    key=b"dish-1",
    headers=(("trace", b"\xff\x00"), ("unit", "µm".encode())),
    quality=Quality.ALARM,
    position="pointings[3]@1042",
    source="tango://host:10000/a/b/c/d",
    event="change",
    sequence=7,
)


async def test_a_line_is_an_object_that_people_read(path: Path) -> None:
    sink = sink_of(path, "float", encoding="json")
    await sink.start()
    await sink.write(Batch([1.5], [KNOWN]))
    await sink.stop()
    assert objects(path) == [
        {
            "value": "1.5",
            "quality": "ALARM",
            "time": "2026-01-31T12:00:00.000000001Z",
            "origin": "source",
            "key": "dish-1",
            "headers": [["trace", {"base64": "/wA="}], ["unit", "µm"]],
            "position": "pointings[3]@1042",
            "source": "tango://host:10000/a/b/c/d",
            "event": "change",
            "sequence": 7,
        }
    ]


async def test_what_is_not_known_is_left_out(path: Path) -> None:
    await write(path, "a\nb", 'ü"')
    assert path.read_text("utf-8") == '{"value":"\\"a\\\\nb\\""}\n{"value":"\\"ü\\\\\\"\\""}\n'


async def test_octets_keep_their_label(path: Path) -> None:
    pairs = [("npy", b"\xff\xfe"), ("", b"text"), ("json", b"")]
    await write(path, *pairs, dtype="bytes")
    assert objects(path) == [
        {"value": {"base64": "//4="}, "label": "npy"},
        {"value": "text"},
        {"value": "", "label": "json"},
    ]
    assert await read(path, "bytes") == pairs
    assert await read(path, "bytes", encoding="raw") == [pairs[0], ("raw", b"text"), pairs[2]]


async def test_an_invalid_value_is_null_and_a_container_may_be_null_itself(path: Path) -> None:
    sink = sink_of(path, "object")
    await sink.start()
    await sink.write(Batch([None, None], [Metadata(quality=Quality.INVALID), Metadata()]))
    await sink.stop()
    assert objects(path) == [{"value": None, "quality": "INVALID"}, {"value": "null"}]
    assert await read(path, "object") == [None, None]


METADATA = st.builds(
    Metadata,
    timestamp_ns=st.none() | st.integers(-(10**19), 10**20),
    timestamp_origin=st.sampled_from(TimestampOrigin),
    key=st.none() | st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")),
    headers=st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.binary())).map(tuple),
    quality=st.sampled_from(Quality),
    position=st.none() | st.text(st.characters(codec="utf-8")),
    source=st.none() | st.text(st.characters(codec="utf-8")),
    event=st.none() | st.text(st.characters(codec="utf-8")),
    sequence=st.none() | st.integers(0, 2**63),
)
SCALARS = [
    *("bool", "int8", "int64", "uint64", "float32", "float64", "complex64", "complex128"),
    *("datetime64[ns]", "datetime64[D]", "U4", "str", "object", ROW, ">f8"),
]
SPECS = [
    *(DataSpec.of(dtype) for dtype in SCALARS),
    *(DataSpec.of(dtype, [-1, 2]) for dtype in ("bool", "uint8", "float32", "str", ROW)),
    DataSpec.of("bytes"),
]
PAIRS = st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.binary())


@st.composite
def records(draw: st.DrawFn) -> tuple[DataSpec, Record]:
    spec = draw(st.sampled_from(SPECS))
    metadata = draw(METADATA)
    if metadata.timestamp_ns is None:
        metadata = attrs.evolve(metadata, timestamp_origin=TimestampOrigin.ARRIVAL)
    given = PAIRS if spec.is_bytes else values(spec, "json")
    invalid = metadata.quality is Quality.INVALID
    return spec, Record(draw(st.none() | given if invalid else given), metadata)


@settings(max_examples=300)
@given(records())
def test_what_is_written_is_read_with_all_that_is_known(case: tuple[DataSpec, Record]) -> None:
    spec, record = case
    codec = FileSinkDescriptor("-").codec(spec, CODECS)
    line = line_writer(spec, codec)(record)
    assert line.count(b"\n") == 1
    found = line_reader(spec, codec)(line)
    assert same(found.value, record.value)
    assert attrs.evolve(found.metadata, original=None) == record.metadata


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (Record("a", Metadata(timestamp_ns=10**30)), "the years 1000 to 9999"),
        (Record("a", Metadata(source="\ud800")), "cannot be written as JSON"),
        (Record("a" * 2**25), "found a line of"),
        (Record(None), "None"),
    ],
)
async def test_what_no_line_can_hold_is_refused_alone(
    path: Path, record: Record, told: str
) -> None:
    sink = sink_of(path)
    await sink.start()
    with pytest.raises(RecordErrors, match=told) as refused:
        await sink.write(Batch(["x", record.value, "y"], [Metadata(), record.metadata, Metadata()]))
    await sink.stop()
    assert list(refused.value.failures) == [1]
    assert await read(path) == ["x", "y"]


async def test_a_dead_letter_in_a_file_is_repaired_by_hand_and_driven_again(path: Path) -> None:
    """What failed is in the file as it was received, so that an exchange of its dtype reads it."""
    broken = path.with_name("broken.jsonl")
    broken.write_text('{"value": "1.5", "key": "k"}\n{"value": "2,5", "key": "k"}\n')
    document = {
        "dtype": "float64",
        "source": {"type": "FileSource", "path": str(broken)},
        "sink": {"type": "FileSink", "path": str(path)},
        "errors": {
            "action": "dead_letter",
            "dead_letters": {"type": "FileSink", "path": f"{path}.dead", "encoding": "npy"},
        },
    }
    await run(document)
    assert await read(path, "float") == [1.5]
    letters = Path(f"{path}.dead")
    [letter] = objects(letters)
    assert letter["value"] == "2,5"
    assert ["qc_stage", "source"] in letter["headers"]
    letters.write_text(letters.read_text().replace("2,5", "2.5"))
    assert await read(letters, "float") == [2.5]


# Lines that people write


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"no json", "found no line of a record"),
        (b"[1]", "Expected `object`"),
        (b'{"key": "a"}', "missing required field `value`"),
        (b'{"value": "\\"a\\"", "colour": 1}', "unknown field `colour`"),
        (b'{"value": 1}', r"got `int` - at `\$.value`"),
        (b'{"value": null}', 'only beside "quality": "INVALID"'),
        (b'{"value": "\\"a\\"", "time": "noon"}', "found the time 'noon'"),
        (b'{"value": "\\"a\\"", "quality": "good"}', r"at `\$.quality`"),
        (b'{"value": {"base64": "?"}}', "base64"),
        (b"\xff\xfe\x00", "found no line of a record"),
        (b"[" * 100_000, "found no line of a record"),
    ],
)
async def test_a_line_that_is_no_record_is_a_failure_with_its_place_and_octets(
    path: Path, line: bytes, told: str
) -> None:
    path.write_bytes(b'{"value": "\\"before\\""}\n' + line + b'\n{"value": "\\"after\\""}\n')
    assert await read(path) == ["before", "after"]
    [failure] = await failures_of(path)
    assert failure.records == 1
    with pytest.raises(RecordError, match=told):
        raise failure
    assert str(failure).startswith(f"{path}@24: ")
    [origin] = failure.origins
    assert (origin.original, origin.position) == (
        Original(("line", line + b"\n")),
        f"{path}@24",
    )


async def test_of_a_wrong_value_the_rest_is_known(path: Path) -> None:
    path.write_bytes(b'{"value": "[1]", "key": "k"}\n')
    [failure] = await failures_of(path)
    assert str(failure).startswith(f"{path}@0: found [1]")
    assert failure.origins == (Metadata(key=b"k", original=Original(b"[1]")),)


async def test_blank_lines_windows_line_ends_and_a_last_line_without_end_are_fine(
    path: Path,
) -> None:
    path.write_bytes(b'\n{"value": "\\"a\\""}\r\n' + b" \n" * 300_000 + b'{"value":"\\"b\\""}')
    assert await read(path) == ["a", "b"]


async def test_a_line_without_bound_costs_no_memory_and_one_failure(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**26)
        file.seek(0, 2)
        file.write(b'\n{"value":"\\"b\\""}\n')
    assert await read(path) == ["b"]
    [failure] = await failures_of(path)
    assert "more than 33554432 octets" in str(failure)


def test_arrays_of_all_shapes_stand_in_lines() -> None:
    spec = DataSpec.of("float64", [-1])
    codec = FileSinkDescriptor("-").codec(spec, CODECS)
    line = line_writer(spec, codec)(Record(np.array([1.5, np.nan, -np.inf])))
    assert line == b'{"value":"[1.5, NaN, -Infinity]"}\n'
