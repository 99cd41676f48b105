"""Last values come back from a file as they were, and nothing in that file can do harm."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.record import Quality
from queueconnector_tango.dtypes import TANGO_TYPES, encoder
from queueconnector_tango.host import AttributeClaim
from queueconnector_tango.kept_values import MAX_BYTES, KeptValues, Snapshot

TIME_S = 1_700_000_000.123456


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "values.state"


def claim(
    dtype: object = "float64", shape: list[int] | None = None, **options: Any
) -> AttributeClaim:
    return AttributeClaim("Temperature", DataSpec.of(dtype, shape or []), **options)


def keep(
    path: Path, definition: AttributeClaim, value: Any, quality: Quality = Quality.VALID
) -> None:
    KeptValues(path).write([(definition, Snapshot(value, TIME_S, quality))])


def kept(path: Path, definition: AttributeClaim) -> Snapshot | None:
    return KeptValues(path).restored(definition)


def array(dtype: str, shape: list[int]) -> Any:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("shape", [[], [6], [2, 3]])
@pytest.mark.parametrize("dtype", [*TANGO_TYPES, "str"])
def test_every_type_and_format_comes_back_as_tango_takes_it(
    path: Path, dtype: str, shape: list[int]
) -> None:
    definition = claim(dtype, shape)
    plain = array("int64", shape)
    value = plain.astype("str" if dtype == "str" else dtype)
    held = encoder(definition.spec)(value if shape else value.item())
    keep(path, definition, held)
    found = kept(path, definition)
    assert found is not None
    np.testing.assert_equal(np.asarray(found.value), np.asarray(held))
    assert (found.time_s, found.quality) == (TIME_S, Quality.VALID)


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        (claim("bytes"), ("json", b"\x00\xff")),
        (claim("float64"), float("inf")),
        (claim("uint64"), 2**64 - 1),
        (claim("int64"), -(2**63)),
        (claim("str"), "\u00e2\u00a0"),
    ],
)
def test_special_values(path: Path, definition: AttributeClaim, value: Any) -> None:
    keep(path, definition, value)
    found = kept(path, definition)
    assert found is not None
    assert (list(found.value) if isinstance(value, tuple) else found.value) == (
        list(value) if isinstance(value, tuple) else value
    )


@pytest.mark.parametrize("quality", [Quality.ALARM, Quality.WARNING, Quality.CHANGING])
def test_the_quality_comes_back(path: Path, quality: Quality) -> None:
    keep(path, claim(), 1.5, quality)
    assert kept(path, claim()) == Snapshot(1.5, TIME_S, quality)


def test_a_value_that_is_not_valid_is_not_kept(path: Path) -> None:
    keep(path, claim(), 0.0, Quality.INVALID)
    assert kept(path, claim()) is None


@pytest.mark.parametrize(
    "changed", [claim("float32"), claim("float64", [1]), claim(string_encoding="latin-1")]
)
def test_a_changed_definition_begins_anew(path: Path, changed: AttributeClaim) -> None:
    keep(path, claim(), 1.5)
    assert kept(path, changed) is None


def test_another_default_is_the_same_definition_and_case_is_ignored(path: Path) -> None:
    keep(path, claim(), 1.5)
    same = AttributeClaim("TEMPERATURE", DataSpec.of("float64"), default=7.0)
    assert kept(path, same) is not None


def test_a_value_is_restored_once(path: Path) -> None:
    """An attribute that a configuration removes and brings back later begins anew."""
    keep(path, claim(), 1.5)
    values = KeptValues(path)
    assert values.restored(claim()) is not None
    assert values.restored(claim()) is None


def test_what_nobody_has_claimed_yet_is_not_forgotten(path: Path) -> None:
    """After a crash the source of a configuration may be away for longer than the device."""
    keep(path, claim(), 1.5)
    other = AttributeClaim("other", DataSpec.of("int32"))
    keep(path, other, 7)
    assert kept(path, claim()) is not None
    assert kept(path, other) is not None


def test_a_value_that_is_too_large_is_not_kept(path: Path) -> None:
    keep(path, claim("uint8", [MAX_BYTES + 1]), np.zeros(MAX_BYTES + 1, np.uint8))
    assert kept(path, claim("uint8", [MAX_BYTES + 1])) is None


def test_it_is_written_only_when_a_value_was_replaced(path: Path) -> None:
    values, held = KeptValues(path), Snapshot(1.5, TIME_S, Quality.VALID)
    values.write([(claim(), held)])
    before = path.stat().st_ino
    values.write([(claim(), held)])
    assert path.stat().st_ino == before
    values.write([(claim(), Snapshot(1.5, TIME_S, Quality.VALID))])
    assert path.stat().st_ino != before
    assert list(path.parent.iterdir()) == [path]


def test_without_a_path_nothing_is_kept() -> None:
    values = KeptValues(None)
    values.write([(claim(), Snapshot(1.5, TIME_S, Quality.VALID))])
    assert values.restored(claim()) is None


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "definition": "float64 utf-8",
        "value": 1.0,
        "time_s": TIME_S,
        "quality": "VALID",
    } | changes


def document(found: Any) -> bytes:
    return msgspec.msgpack.encode({"version": 1, "attributes": {"temperature": found}})


def npy(content: bytes) -> Any:
    return entry(value=msgspec.msgpack.Ext(1, content))


HUGE = b"\x93NUMPY\x01\x00\x76\x00" + (
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(117) + b"\n"
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00garbage",
        b'{"version": 1}',
        msgspec.msgpack.encode([1, 2]),
        msgspec.msgpack.encode({"version": 1}),
        msgspec.msgpack.encode({"version": 99, "attributes": {}}),
        msgspec.msgpack.encode({"version": 1, "attributes": [1]}),
        document(5),
        document(npy(b"")),
        document(npy(b"\x93NUMPY broken")),
        document(npy(HUGE)),
        document(entry(value=msgspec.msgpack.Ext(9, b""))),
        document(entry())[:-3],
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_told_and_ignored(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    assert kept(path, claim()) is None
    assert f"last values in {path} cannot be read" in caplog.text
    keep(path, claim(), 1.5)
    assert kept(path, claim()) is not None


@pytest.mark.parametrize(
    "wrong", [entry(quality="PERFECT"), entry(time_s="noon"), {"definition": "float64 utf-8"}]
)
def test_an_entry_that_makes_no_sense_is_told_and_ignored(
    path: Path, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(document(wrong))
    assert kept(path, claim()) is None
    assert "the value of Temperature cannot be used" in caplog.text


def test_objects_are_never_unpickled(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import io
    import pickle

    class Harm:
        def __reduce__(self) -> Any:
            return (path.mkdir, ())

    buffer = io.BytesIO()
    np.save(buffer, np.array([Harm()], object), allow_pickle=True)
    assert pickle.dumps(Harm())
    path.parent.mkdir()
    path.write_bytes(document(npy(buffer.getvalue())))
    assert kept(path, claim()) is None
    assert path.is_file()
    assert "cannot be read" in caplog.text


def test_a_path_that_cannot_be_written_is_told_once_until_it_can(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir(parents=True)
    values = KeptValues(None)
    values._path = path
    for turn in range(3):
        values.write([(claim(), Snapshot(float(turn), TIME_S, Quality.VALID))])
    told = [entry for entry in caplog.records if entry.levelno == logging.WARNING]
    assert len(told) == 1
    assert f"last values cannot be kept in {path}" in told[0].getMessage()
    path.rmdir()
    values.write([(claim(), Snapshot(3.0, TIME_S, Quality.VALID))])
    assert kept(path, claim()) == Snapshot(3.0, TIME_S, Quality.VALID)
