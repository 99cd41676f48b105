"""The file of a recording: what is damaged is told, and two of them are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import msgpack_numpy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queueconnector_core.cli.app import make_app
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Metadata, Quality, Record
from queueconnector_core.recording.container import Recording, RecordingError, RecordingWriter
from queueconnector_core.recording.entry import Entry
from tests.recording.keeping import entries, written

SECOND_NS = 1_000_000_000
KNOWN = Metadata(7 * SECOND_NS, key=b"k", headers=(("a", b"1"),), position="here")
RECORDS = [Record(value, KNOWN) for value in (1.5, 2.5, 3.5)]
MARKER = 16
"""Octets behind each record: a recording that lacks some of the last ones lacks no record."""


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A recording of three records."""
    return written(tmp_path / "three.avro", RECORDS)


def diff(*arguments: str | Path) -> int:
    """The exit code of the command."""
    words = ["diff", *map(str, arguments)]
    return int(make_app(words)(words))


def test_any_program_with_avro_and_msgpack_numpy_reads_it(tmp_path: Path) -> None:
    array = np.array([[1, 2], [3, 4]], "uint16")
    path = written(tmp_path / "out.avro", [Record(array, KNOWN), Record(("json", b"{}"))])

    with path.open("rb") as file:
        rows: list[Any] = list(fastavro.reader(file))
    first, second = rows

    assert np.array_equal(msgpack_numpy.unpackb(first["value"]), array)
    assert (first["time_ns"], first["key"], first["quality"]) == (7 * SECOND_NS, b"k", "VALID")
    assert (second["label"], second["value"]) == ("json", b"{}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_recording_that_was_cut_off_gives_what_is_whole_and_says_so(
    three: Path, tmp_path: Path, data: st.DataObject
) -> None:
    octets = three.read_bytes()
    cut = tmp_path / "cut.avro"
    cut.write_bytes(octets[: data.draw(st.integers(0, len(octets) - 1))])

    try:
        recording = Recording(cut)
    except RecordingError:
        return
    found: list[Entry] = []
    reason = ""
    try:
        for entry in recording:
            found.append(entry)  # noqa: PERF402 - what came before the end is kept
    except RecordError as error:
        reason = str(error)
    if reason:
        assert "cut off or damaged" in reason
    else:
        whole = written(tmp_path / "whole.avro", RECORDS[: len(found)]).read_bytes()
        assert whole.startswith(cut.read_bytes())
        assert len(whole) - cut.stat().st_size <= MARKER
    assert found == entries(three)[: len(found)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(data=st.data())
def test_octets_from_strangers_do_no_harm(three: Path, tmp_path: Path, data: st.DataObject) -> None:
    octets = bytearray(three.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    changed = tmp_path / "changed.avro"
    changed.write_bytes(octets)
    try:
        found, reason = entries(changed), str(changed)
    except (RecordingError, RecordError) as error:
        found, reason = [], str(error)
    assert str(changed) in reason
    assert len(found) <= 3


def test_a_recording_is_never_written_over_by_accident(three: Path) -> None:
    with pytest.raises(RecordingError, match="is there already"):
        RecordingWriter(three)
    assert len(entries(three)) == 3


@pytest.mark.parametrize("value", [2**70, {"a": {1, 2}}, "\ud800", {"a": "\ud800"}], ids=ascii)
def test_a_value_that_cannot_be_exact_is_refused(value: Any) -> None:
    with pytest.raises(RecordError):
        Entry.of(Record(value))


def test_text_that_is_none_is_refused() -> None:
    with pytest.raises(RecordError, match="UTF-8"):
        Entry.of(Record(1, Metadata(position="\ud800")))


# The comparison


def test_a_recording_is_the_same_as_itself(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff(three, three) == 0
    assert capsys.readouterr().out == "the same\n"


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ([Record(1.5, KNOWN), Record(2.5, KNOWN)], {"record": 1}),
        ([Record(value, KNOWN) for value in (1.5, 3.5, 2.5)], {"value": 2}),
        ([Record(value, KNOWN) for value in (1.5, 2.5, np.float32(3.5))], {"value": 1}),
        ([Record(v, Metadata(7 * SECOND_NS, key=b"k")) for v in (1.5, 2.5, 3.5)],
         {"headers": 3, "position": 3}),
        ([Record(1.5, KNOWN), Record(2.5, KNOWN),
          Record(3.5, Metadata(7 * SECOND_NS + 5, key=b"k", headers=(("a", b"1"),),
                               position="here", quality=Quality.ALARM))],
         {"time": 1, "quality": 1}),
    ],
    ids=["count", "order", "dtype", "headers", "time"],
)  # fmt: skip
def test_what_differs_is_told(
    three: Path,
    tmp_path: Path,
    changed: list[Record],
    what: dict[str, int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = written(tmp_path / "other.avro", changed)

    assert diff(three, other, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["same"], told["counts"]) == (False, what)
    assert diff(three, other) == 1
    assert f"{sum(what.values())} differences: " in capsys.readouterr().out
    if "record" not in what:
        ignored = [word for name in what for word in ("--ignore", name)]
        assert diff(three, other, *ignored) == 0


@pytest.mark.parametrize(("tolerance_s", "code"), [("0.1", 0), ("0.09", 1)])
def test_times_may_differ_by_the_tolerance(tmp_path: Path, tolerance_s: str, code: int) -> None:
    paths = [
        written(tmp_path / f"{moment_ns}.avro", [Record(1, Metadata(moment_ns))])
        for moment_ns in (SECOND_NS, SECOND_NS + SECOND_NS // 10)
    ]
    assert diff(*paths, "--time-tolerance-s", tolerance_s) == code


def test_nan_is_the_same_and_a_signed_zero_is_not(tmp_path: Path) -> None:
    nan, zero, minus = (
        written(tmp_path / f"{n}.avro", [Record(value)])
        for n, value in enumerate((float("nan"), 0.0, -0.0))
    )
    assert [diff(nan, nan), diff(zero, minus)] == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--ignore", "colour"), "--ignore: found 'colour'; allowed: value, time"),
        ((), "is no recording"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    three: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = tmp_path / "text"
    text.write_text("no recording")
    assert diff(three, three if arguments else text, *arguments) == 2
    assert told in capsys.readouterr().err


def test_the_same_members_stand_in_the_schema_and_in_the_entry() -> None:
    from queueconnector_core.recording.container import SCHEMA

    assert {field["name"] for field in SCHEMA["fields"]} == set(Entry.__struct_fields__)


def test_without_the_library_it_is_told_what_to_install(
    three: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fastavro", None)
    with pytest.raises(ConfigError, match=r"pip install 'queueconnector-core\[record\]'"):
        Recording(three)
