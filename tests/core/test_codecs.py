"""What each encoding carries, that foreign libraries read and write it, and that lies are refused.

The table below is the contract: dtype by dtype, which encodings carry it in every shape, as a
scalar only, or not at all.
"""

import ast
import io
import json
import pickle
import struct
import time
from collections.abc import Callable
from typing import Any, Literal

import msgpack
import msgpack_numpy
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.plugin import queueconnector_components
from queueconnector_core.registry import Registry
from queueconnector_core.testing.strategies import CONTAINERS, exact, values_of
from tests.core.hostile import HOSTILE, ROW, ROWS

NUMBERS = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128"),
]
SHAPES: list[list[int]] = [[3], [-1], [2, 2], [-1, 2], [2, -1]]
ALL = {"python", "json", "msgpack_numpy", "carray", "npy"}
SCALARS_ONLY = {"utf-8", "ascii"}
CARRIED: list[tuple[Any, set[str], set[str]]] = [
    *((dtype, ALL, SCALARS_ONLY) for dtype in (*NUMBERS, "datetime64[ns]", "datetime64[D]", "U4")),
    ("str", ALL - {"carray"}, SCALARS_ONLY),
    (ROW, ALL, set()),
    (ROWS, ALL, set()),
    (">f8", ALL, SCALARS_ONLY),
]
"""dtype, encodings that carry every shape, further encodings that carry scalars."""


REGISTRY = Registry().with_(queueconnector_components())
TABLE = [
    (encoding, DataSpec.of(dtype, shape))
    for dtype, everywhere, scalars in CARRIED
    for shape in ([], *SHAPES)
    for encoding in sorted(everywhere if shape else everywhere | scalars)
]
TABLE += [(encoding, DataSpec.of("object")) for encoding in ("json", "msgpack_numpy", "python")]


def codec(encoding: str, spec: DataSpec) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    found = resolve_codec(encoding, spec, REGISTRY)
    return found.encoder(spec), found.decoder(spec)


def plain_text(encoding: str) -> Any:
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    ascii_letters = st.characters(max_codepoint=127, exclude_characters="\0")
    return ascii_letters if encoding == "ascii" else letters


def values(spec: DataSpec, encoding: str) -> Any:
    """Any value of `spec`, as the converter would give it."""
    return values_of(spec, plain_text(encoding))


def same_values() -> list[Any]:
    """All encodings of a spec side by side, for the same values; ASCII has fewer of these."""
    found: dict[tuple[DataSpec, bool], list[str]] = {}
    for encoding, spec in TABLE:
        found.setdefault((spec, encoding == "ascii" and spec.is_text), []).append(encoding)
    return [
        pytest.param(encodings, spec, id=f"{spec}-{','.join(encodings)}")
        for (spec, _), encodings in found.items()
    ]


@pytest.mark.parametrize(("encodings", "spec"), same_values())
@settings(max_examples=15)
@given(data=st.data())
def test_values_come_back_as_they_were(encodings: list[str], spec: DataSpec, data: Any) -> None:
    value = data.draw(values(spec, encodings[0]))
    for encoding in encodings:
        encode, decode = codec(encoding, spec)
        wire = encode(value)
        assert type(wire) is bytes
        for _ in range(2):  # the second time a known header may take a shorter way
            found = decode(encode(value))
            assert exact(found) == exact(value), encoding
            if spec.shape and spec.dtype != np.dtype("U"):
                assert found.dtype == spec.dtype


@pytest.mark.parametrize(
    ("encoding", "dtype", "shape"),
    [
        *(("utf-8", dtype, [2]) for dtype in ("str", "float64")),
        *((encoding, "object", []) for encoding in ("utf-8", "ascii", "carray", "npy")),
        *((encoding, ROW, []) for encoding in ("utf-8", "ascii")),
        ("carray", "str", []),
        ("carray", "str", [2]),
        ("carray", "float64", [0, -1]),
        ("xarray", "float64", []),
        (None, "float64", []),
    ],
)
def test_what_an_encoding_does_not_carry_is_refused_with_what_does(
    encoding: str | None, dtype: Any, shape: list[int]
) -> None:
    with pytest.raises(ConfigError, match=r"encodings for .*python") as error:
        resolve_codec(encoding, DataSpec.of(dtype, shape), REGISTRY)
    assert [problem.path for problem in error.value.problems] == ["encoding"]


@pytest.mark.parametrize("label", [None, "npy", "json", "utf-8", "anything at all"])
@given(octets=st.binary())
def test_octets_pass_unchanged_under_every_label(label: str | None, octets: bytes) -> None:
    encode, decode = codec(label, DataSpec.of("bytes"))  # type: ignore[arg-type]
    assert encode((label or "made elsewhere", octets)) == octets
    assert encode(("", octets)) == octets
    assert decode(octets) == (label or "", octets)


def test_octets_with_another_label_are_refused() -> None:
    encode, _ = codec("npy", DataSpec.of("bytes"))
    with pytest.raises(RecordError, match=r"found octets with encoding 'json'; allowed: 'npy'"):
        encode(("json", b"{}"))
    with pytest.raises(RecordError):
        encode("text")


# -- the same octets, or the same values, as the libraries that everybody else uses


def np_save(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def np_load(data: bytes) -> Any:
    return np.load(io.BytesIO(data), allow_pickle=False)


NUMERIC_TABLE = [DataSpec.of(dtype, shape) for dtype in NUMBERS for shape in ([], [3], [-1, 2])]


@pytest.mark.parametrize("dtype", [*NUMBERS, "U4", "str", "datetime64[us]", ROW, ROWS], ids=str)
@pytest.mark.parametrize("shape", [[], [3], [-1, 2]], ids=str)
@settings(max_examples=10)
@given(data=st.data())
def test_npy_is_what_numpy_saves_and_loads(dtype: Any, shape: list[int], data: Any) -> None:
    spec = DataSpec.of(dtype, shape)
    value = data.draw(values(spec, "npy"))
    encode, decode = codec("npy", spec)
    array = np.array(value, spec.dtype if spec.dtype != np.dtype("U") else None)
    wire = encode(value)
    assert wire == np_save(array)
    assert exact(np_load(wire)) == exact(array)
    assert exact(decode(np_save(np.array(array, order="F")))) == exact(value)
    if shape:
        assert encode(np.array(array, order="F")) == wire


def test_npy_header_versions_two_and_three_are_read_and_written() -> None:
    for names in ([f"field_number_{i:05}" for i in range(2500)], ["größe", "π"]):
        spec = DataSpec.of([[name, "int8"] for name in names], [2])
        encode, decode = codec("npy", spec)
        array = np.zeros(2, spec.dtype)
        with pytest.warns(UserWarning, match="Stored array in format"):
            saved = np_save(array)
        assert encode(array) == saved
        assert decode(saved).dtype == spec.dtype


@pytest.mark.parametrize("spec", NUMERIC_TABLE, ids=str)
@settings(max_examples=10)
@given(data=st.data())
def test_msgpack_numpy_agrees_with_the_library_both_ways(spec: DataSpec, data: Any) -> None:
    value = data.draw(values(spec, "msgpack_numpy"))
    encode, decode = codec("msgpack_numpy", spec)
    wire = encode(value)
    assert wire == msgpack.packb(value, default=msgpack_numpy.encode)
    if spec.shape:
        assert encode(np.array(value, order="F")) == wire
    assert exact(msgpack.unpackb(wire, object_hook=msgpack_numpy.decode)) == exact(value)
    numpy_scalar = spec.dtype.type(value) if spec.is_scalar else value
    foreign = msgpack.packb(numpy_scalar, default=msgpack_numpy.encode)
    assert exact(decode(foreign)) == exact(value)


@pytest.mark.parametrize("shape", [[], [3]], ids=str)
@settings(max_examples=20)
@given(data=st.data())
def test_msgpack_numpy_rows_agree_with_the_library_both_ways(shape: list[int], data: Any) -> None:
    spec = DataSpec.of([["name", "U8"], ["pos", "float64", [2]], ["in", [["n", "int16"]]]], shape)
    value = data.draw(values(spec, "msgpack_numpy"))
    encode, decode = codec("msgpack_numpy", spec)
    array = np.array(value)
    wire = encode(value)
    assert wire == msgpack.packb(array, default=msgpack_numpy.encode)
    assert exact(msgpack.unpackb(wire, object_hook=msgpack_numpy.decode)) == exact(array)
    assert exact(decode(wire)) == exact(value)


@pytest.mark.parametrize("dtype", ["datetime64[ns]", ROW], ids=str)
def test_msgpack_numpy_dates_are_read_by_the_library_that_cannot_write_them(dtype: Any) -> None:
    spec = DataSpec.of(dtype, [2])
    array = np.zeros(2, spec.dtype)
    encode, _ = codec("msgpack_numpy", spec)
    found = msgpack.unpackb(encode(array), object_hook=msgpack_numpy.decode)
    assert exact(found) == exact(array)
    encode, _ = codec("msgpack_numpy", DataSpec.of("datetime64[ns]"))
    date = np.datetime64("2030-01-31T12:00:00", "ns")
    assert msgpack.unpackb(encode(date), object_hook=msgpack_numpy.decode) == date


def test_msgpack_numpy_arrays_inside_containers_agree_with_the_library() -> None:
    value = {"data": np.arange(3.0), "rows": np.zeros(1, "U2,f4"), "z": 1j, "n": np.int16(3)}
    encode, decode = codec("msgpack_numpy", DataSpec.of("object"))
    wire = encode(value)
    assert wire == msgpack.packb(value, default=msgpack_numpy.encode)
    found = decode(wire)
    assert {key: exact(item) for key, item in found.items()} == {
        key: exact(item) for key, item in value.items()
    }


@settings(max_examples=30)
@given(value=CONTAINERS)
def test_msgpack_containers_are_plain_messagepack(value: Any) -> None:
    encode, decode = codec("msgpack_numpy", DataSpec.of("object"))
    assert encode(value) == msgpack.packb(value)
    assert repr(decode(msgpack.packb(value))) == repr(value)


@pytest.mark.parametrize("spec", NUMERIC_TABLE, ids=str)
@settings(max_examples=10)
@given(data=st.data())
def test_carray_is_the_buffer_in_row_major_order(spec: DataSpec, data: Any) -> None:
    value = data.draw(values(spec, "carray"))
    encode, decode = codec("carray", spec)
    array = np.array(value, spec.dtype)
    assert encode(value) == array.tobytes()
    if spec.shape:
        assert encode(np.asfortranarray(array)) == array.tobytes()
    assert exact(decode(array.tobytes())) == exact(value)


@pytest.mark.parametrize("encoding", ["carray", "npy", "msgpack_numpy"])
def test_arrays_are_read_without_a_copy(encoding: str) -> None:
    spec = DataSpec.of("uint8", [-1])
    encode, decode = codec(encoding, spec)
    wire = encode(np.arange(100, dtype="uint8"))
    for _ in range(2):
        found = decode(wire)
    assert not found.flags.writeable
    assert np.shares_memory(found, np.frombuffer(wire, "uint8"))


@settings(max_examples=50)
@given(value=CONTAINERS)
def test_json_agrees_with_the_standard_library_both_ways(value: Any) -> None:
    encode, decode = codec("json", DataSpec.of("object"))
    assert repr(json.loads(encode(value))) == repr(value)
    assert repr(decode(json.dumps(value).encode())) == repr(value)
    assert repr(decode(json.dumps(value, ensure_ascii=False, indent=1).encode())) == repr(value)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "float64", "U3"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_json_of_an_array_is_that_of_its_list_however_it_lies_in_memory(
    dtype: str, order: Literal["<", ">"]
) -> None:
    numbers = np.arange(24).reshape(2, 3, 4) * 1.1
    array = numbers.astype(dtype).astype(np.dtype(dtype).newbyteorder(order))
    for laid_out in (array, np.asfortranarray(array), array[:, ::-1], array[:, :0], array[..., 0]):
        spec = DataSpec.of(dtype, list(laid_out.shape))
        encode, _ = codec("json", spec)
        assert json.loads(encode(laid_out)) == laid_out.tolist()


def test_json_has_one_documented_form_for_what_json_lacks() -> None:
    for dtype, shape, value, wire in (
        ("float64", [3], [np.nan, np.inf, -np.inf], "[NaN, Infinity, -Infinity]"),
        ("complex128", [], 1 - 2j, "[1.0, -2.0]"),
        ("complex64", [1], [1j], "[[0.0, 1.0]]"),
        ("datetime64[s]", [1], [np.datetime64("2030-01-31T12", "s")], '["2030-01-31T12:00:00"]'),
        ([["a", "U2"], ["b", "int8"]], [1], [("x", 1)], '[{"a": "x", "b": 1}]'),
        ("object", [], {"a": np.array([1, 2])}, '{"a": [1, 2]}'),
    ):
        spec = DataSpec.of(dtype, shape)
        encode, _ = codec("json", spec)
        assert encode(value).decode() == wire


@settings(max_examples=50)
@given(value=CONTAINERS | st.binary() | st.tuples(st.text()) | st.complex_numbers(allow_nan=False))
def test_python_literals_are_repr_and_read_as_literal_eval_reads_them(value: Any) -> None:
    encode, decode = codec("python", DataSpec.of("object"))
    wire = repr(value).encode()
    assert encode(value) == wire
    assert repr(decode(wire)) == repr(value)
    try:
        expected = ast.literal_eval(repr(value))
    except ValueError:
        assume(False)
    assert decode(wire) == expected


def test_python_literals_stand_for_numpy_values_by_plain_ones() -> None:
    for dtype, shape, value, wire in (
        ("float64", [], np.float64(1.5), "1.5"),
        ("float64", [2], [1.5, np.nan], "[1.5, nan]"),
        ("bool", [2], [True, False], "[True, False]"),
        ("datetime64[s]", [], np.datetime64("2030-01-31T12", "s"), "'2030-01-31T12:00:00'"),
        ([["a", "U2"], ["b", "complex128"]], [1], [("x", 1j)], "[('x', 1j)]"),
        ("object", [], {"a": np.array([1, 2]), "b": (np.int8(1),)}, "{'a': [1, 2], 'b': (1,)}"),
    ):
        spec = DataSpec.of(dtype, shape)
        encode, _ = codec("python", spec)
        assert encode(value).decode() == wire


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" 0x10 ", 16),
        ("1_000", 1000),
        ("'a' 'b'", "ab"),
        ("r'\\d'", "\\d"),
        ("'''a\nb'''", "a\nb"),
        ("[1, # one\n 2,]", [1, 2]),
        ("()", ()),
        ("(1)", 1),
        ("(1,)", (1,)),
        ("{1: {}, 'b': [(), {}]}", {1: {}, "b": [(), {}]}),
        ("'\\x41\\u00fc\\U0001f600\\\\'", "Aü\U0001f600\\"),
        ("'\\101'", "A"),
        ("1 + 2j", 1 + 2j),
        ("None", None),
    ],
)
def test_literals_that_repr_does_not_write_are_read_too(text: str, expected: object) -> None:
    _, decode = codec("python", DataSpec.of("object"))
    assert decode(text.encode()) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text_of_scalars(encoding: str) -> None:
    for dtype, text, value in (
        ("bool", "False", False),
        ("bool", "true\n", True),
        ("uint64", "18446744073709551615", 2**64 - 1),
        ("float64", "0.1", 0.1),
        ("float64", "nan", float("nan")),
        ("datetime64[ms]", "2030-01-31T12:00:00.500", np.datetime64(1896091200500, "ms")),
        ("str", " as it is ", " as it is "),
    ):
        encode, decode = codec(encoding, DataSpec.of(dtype))
        assert exact(decode(text.encode())) == exact(value)
        assert exact(decode(encode(value))) == exact(value)


def test_ascii_refuses_other_letters() -> None:
    encode, decode = codec("ascii", DataSpec.of("str"))
    with pytest.raises(RecordError, match="not ascii"):
        encode("grün")
    with pytest.raises(RecordError, match="not ascii"):
        decode("grün".encode())


# -- messages of strangers


class Payload:
    """Leaves a trace when it is unpickled."""

    ran = False

    def __reduce__(self) -> Any:
        return setattr, (Payload, "ran", True)


def test_pickled_objects_are_never_read() -> None:
    array = np.array([Payload()], object)
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    packed = msgpack.packb(array, default=msgpack_numpy.encode)
    inside = msgpack.packb({"a": [array]}, default=msgpack_numpy.encode)
    rows = {b"nd": True, b"type": [["a", "|O"]], b"kind": b"V", b"shape": [1], b"data": b"\0" * 8}
    for encoding, dtype, shape, wire in (
        ("npy", "float64", [1], file.getvalue()),
        ("msgpack_numpy", "float64", [1], packed),
        ("msgpack_numpy", "object", [], inside),
        ("msgpack_numpy", "object", [], msgpack.packb(rows)),
    ):
        _, decode = codec(encoding, DataSpec.of(dtype, shape))
        with pytest.raises(RecordError, match="never read"):
            decode(wire)
    assert not Payload.ran
    pickle.loads(pickle.dumps(Payload()))  # noqa: S301 - proves that the trap works
    assert Payload.ran


@pytest.mark.parametrize(
    ("encoding", "dtype", "shape", "wire"),
    [
        pytest.param(*case, id=f"{number}-{case[0]}-{case[3][:60]!r}")
        for number, case in enumerate(HOSTILE)
    ],
)
def test_hostile_messages_are_record_errors_soon(
    encoding: str, dtype: Any, shape: list[int], wire: bytes
) -> None:
    _, decode = codec(encoding, DataSpec.of(dtype, shape))
    begin = time.process_time()
    with pytest.raises(RecordError):
        decode(wire)
    assert time.process_time() - begin < 2


def test_malformed_text_and_booleans_inside_rows_are_refused() -> None:
    spec = DataSpec.of([["n", "int8"], ["in", [["ok", "bool"], ["t", "U1"]], [2]]], [1])
    _, decode = codec("carray", spec)
    good = bytes(spec.dtype.itemsize)
    assert decode(good)["in"]["t"].tolist() == [["", ""]]
    for position, octet in ((6, 2), (10, 0x11)):  # a boolean, and the third octet of a letter
        bad = bytearray(good)
        bad[position] = octet
        with pytest.raises(RecordError, match="no text or boolean"):
            decode(bytes(bad))


def test_a_field_of_no_text_at_all_is_read() -> None:
    header = "{'descr': [('t', '<U3', (0,)), ('n', '<i2')], 'fortran_order': False, 'shape': (2,)}"
    wire = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
    _, decode = codec("npy", DataSpec.of([["t", "U3", [0]], ["n", "int16"]], [2]))
    found = decode(wire + struct.pack("<2h", 7, 8))
    assert found["n"].tolist() == [7, 8]
    assert found["t"].shape == (2, 0)


@pytest.mark.parametrize("encoding", ["json", "msgpack_numpy", "python"])
def test_containers_that_an_encoding_cannot_carry_are_record_errors(encoding: str) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    encode, _ = codec(encoding, DataSpec.of("object"))
    unwritable: list[Any] = [deep, {"a": object()} if encoding != "python" else {1, 2}]
    for value in unwritable:
        with pytest.raises(RecordError):
            encode(value)


@pytest.mark.parametrize(("encoding", "spec"), TABLE, ids=str)
def test_values_of_another_kind_are_not_encoded(encoding: str, spec: DataSpec) -> None:
    encode, _ = codec(encoding, spec)
    with pytest.raises(RecordError):
        encode({"not", "plain"})
