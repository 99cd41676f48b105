"""What was recorded and is replayed is the same, to the last octet of its recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.record import Metadata, Quality, Record, TimestampOrigin
from queueconnector_core.testing.strategies import exact, values_of
from tests.recording.keeping import entries, replaying, run, written

ROWS: Any = [["name", "U4"], ["at", "datetime64[ms]"], ["pos", "float64", [2]], ["ok", "bool"]]
SPECS: Any = [
    *(("bool", []), ("int64", []), ("uint64", []), ("float32", []), ("float64", [])),
    *(("complex128", []), ("str", []), ("bytes", []), ("object", []), ("datetime64[ns]", [])),
    *(("float64", [3]), ("uint8", [2, 3]), ("float32", [-1]), ("str", [2]), ("complex64", [2])),
    *((ROWS, []), (ROWS, [2]), ("bool", [2, 2])),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
METADATA = st.builds(
    Metadata,
    timestamp_ns=st.none() | st.integers(-(2**63), 2**63 - 1),
    timestamp_origin=st.sampled_from(TimestampOrigin),
    key=st.none() | st.binary(max_size=8),
    headers=st.lists(st.tuples(TEXT, st.binary(max_size=8)), max_size=3).map(tuple),
    quality=st.sampled_from(Quality),
    position=st.none() | TEXT,
    source=st.none() | TEXT,
    event=st.none() | TEXT,
    sequence=st.none() | st.integers(1, 2**63 - 1),
)


@pytest.mark.parametrize(("dtype", "shape"), SPECS, ids=str)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_record_replay_record_gives_an_identical_file(
    dtype: Any, shape: list[int], data: st.DataObject, tmp_path: Path
) -> None:
    values = values_of(DataSpec.of(dtype, shape))
    records = data.draw(st.lists(st.builds(Record, values, METADATA), max_size=5))
    first = written(tmp_path / "first.avro", records)

    got = run(replaying(first, dtype=dtype, shape=shape), tmp_path / "second.avro")

    assert (tmp_path / "second.avro").read_bytes() == first.read_bytes()
    assert [exact(one.value) for one in got] == [exact(one.value) for one in records]
    assert [one.metadata for one in got] == [one.metadata for one in records]


def test_what_a_source_gave_reaches_the_sink_again_as_it_did(tmp_path: Path) -> None:
    """A run of an exchange with a pipe is recorded at its source; its replay does the same."""
    pipe = {"type": "ScaleOffsetPipe", "scale": 2.0}
    exchange = {
        "dtype": "float64",
        "shape": [2],
        "source": {"type": "InMemorySource", "data": [["nan", -0.0], ["inf", 2.0**-1074]]},
        "pipe": pipe,
        "sink": {"type": "InMemorySink", "key": "replayed"},
    }
    live = run(exchange, tmp_path / "live.avro", "source[0]")
    sunk = run(exchange, tmp_path / "live-sink.avro")
    again = run(
        replaying(tmp_path / "live.avro", dtype="float64", shape=[2], pipe=pipe),
        tmp_path / "again-sink.avro",
    )

    assert [exact(one.value) for one in again] == [exact(one.value) for one in live]
    assert len(sunk) == len(live) == 2
    assert (tmp_path / "again-sink.avro").read_bytes() == (tmp_path / "live-sink.avro").read_bytes()


def test_an_invalid_record_without_a_value_stays_one(tmp_path: Path) -> None:
    invalid = Record(None, Metadata(5, quality=Quality.INVALID))
    first = written(tmp_path / "first.avro", [Record(1.0), invalid])

    got = run(replaying(first, dtype="float64"), tmp_path / "second.avro")

    assert got[1] == invalid
    assert (tmp_path / "second.avro").read_bytes() == first.read_bytes()


def test_a_large_array_is_whole(tmp_path: Path) -> None:
    image = np.arange(1_000_000, dtype="float32").reshape(1000, 1000)
    first = written(tmp_path / "first.avro", [Record(image)] * 3)

    got = run(replaying(first, dtype="float32", shape=[1000, 1000]), tmp_path / "second.avro")

    assert [np.array_equal(one.value, image) for one in got] == [True] * 3  # type: ignore[arg-type]
    assert (tmp_path / "second.avro").read_bytes() == first.read_bytes()


def test_many_records_are_all_recorded_in_order(tmp_path: Path) -> None:
    records = [Record(n, Metadata(n, sequence=n + 1)) for n in range(5_000)]
    first = written(tmp_path / "first.avro", records)
    run(replaying(first, dtype="int64"), tmp_path / "second.avro")

    found = entries(tmp_path / "second.avro")
    assert [one.sequence for one in found] == [*range(1, 5_001)]
    assert sum(one.skipped for one in found) == 0
