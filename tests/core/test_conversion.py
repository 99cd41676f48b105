"""Nothing is lost on the way into an exchange: values are converted exactly or refused."""

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from queueconnector_core.conversion import convert_default, converter, zero
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError

ROW = [["name", "U4"], ["at", "datetime64[ms]"], ["pos", "float32", [2]]]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
T0 = np.datetime64("2030-01-31T12:00:00.500", "ms")


def convert(value: object, dtype: object, shape: object = (), **options: bool) -> Any:
    return converter(DataSpec.of(dtype, shape), **options)(value)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (True, "bool", True),
        (0, "bool", False),
        (np.True_, "bool", True),
        ("False", "bool", False),
        (" TRUE\n", "bool", True),
        (2.0, "int32", 2),
        (np.int8(-3), "int64", -3),
        (np.array(7), "int64", 7),
        ("12\n", "uint8", 12),
        (True, "uint8", 1),
        (2**64 - 1, "uint64", 2**64 - 1),
        (1, "float64", 1.0),
        (np.float32(0.5), "float64", 0.5),
        ("1e3", "float64", 1000.0),
        ("-inf", "float64", -math.inf),
        (math.inf, "float32", math.inf),
        (1.5, "complex128", 1.5 + 0j),
        ([1, -2.5], "complex128", 1 - 2.5j),
        ("(1-2.5j)", "complex64", 1 - 2.5j),
        ("grün", "str", "grün"),
        (b"gr\xc3\xbcn", "str", "grün"),
        (1.5, "str", "1.5"),
        (np.str_("x"), "str", "x"),
        ("2030-01-31T12:00:00.5Z", "datetime64[ms]", T0),
        (np.datetime64("2030-01-31T12:00:00.500000000", "ns"), "datetime64[ms]", T0),
        (1896091200500, "datetime64[ms]", T0),
        (dt.datetime.fromisoformat("2030-01-31T12:00:00.5"), "datetime64[ms]", T0),
        (dt.datetime.fromisoformat("2030-01-31T13:00:00.5+01:00"), "datetime64[ms]", T0),
        (dt.date(2030, 1, 31), "datetime64[D]", np.datetime64("2030-01-31")),
        (("npy", b"\0"), "bytes", ("npy", b"\0")),
        (["npy", "AAEC"], "bytes", ("npy", b"\0\1\2")),
        (bytearray(b"x"), "bytes", ("", b"x")),
        ((None, b"x"), "bytes", ("", b"x")),
        ({"a": [1, None]}, "object", {"a": [1, None]}),
        (None, "object", None),
    ],
)
def test_what_loses_nothing_is_converted(value: object, dtype: str, expected: object) -> None:
    found = convert(value, dtype)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, "int32"),
        (300, "uint8"),
        (-1, "uint64"),
        (2**63, "int64"),
        (1e30, "int64"),
        (math.nan, "int64"),
        ("1.0", "int64"),
        ("9" * 10_000, "int64"),
        pytest.param(10**10_000, "float64", id="huge"),
        ("maybe", "bool"),
        (2, "bool"),
        (math.nan, "bool"),
        ([], "bool"),
        (2**53 + 1, "float64"),
        (2**24 + 1, "float32"),
        (1e39, "float32"),
        ("1e999", "float64"),
        ("one", "float64"),
        (1j, "float64"),
        (None, "float64"),
        ([1.0], "float64"),
        (np.ones(1), "float64"),
        ({}, "float64"),
        (1e39 + 0j, "complex64"),
        ([1, 2, 3], "complex64"),
        (b"\xff", "str"),
        (["a"], "str"),
        (None, "str"),
        ("abcde", "U4"),
        ("now", "datetime64[ms]"),
        ("2030-13-01", "datetime64[ms]"),
        ("2030-01-31T12:00:00+02:00", "datetime64[ms]"),
        ("9999-01-01", "datetime64[ns]"),
        ("2030-01-31T12:00:00.0005", "datetime64[ms]"),
        (1.5, "datetime64[ms]"),
        (True, "datetime64[ms]"),
        (-(2**63), "datetime64[ms]"),
        (np.datetime64(1, "s"), "int64"),
        ("text", "bytes"),
        (["npy", "no base64!"], "bytes"),
        ([1, b""], "bytes"),
        ({1, 2}, "object"),
        (np.array([object()]), "object"),
    ],
)
def test_what_would_lose_is_refused(value: object, dtype: str) -> None:
    with pytest.raises(RecordError):
        convert(value, dtype)


def test_a_refusal_names_what_was_found_and_what_is_allowed() -> None:
    with pytest.raises(RecordError, match=r"found 300 of type int.*dtype uint8.*0 to 255"):
        convert(300, "uint8")
    with pytest.raises(RecordError, match=r"shape \[2, 2\]; the shape is \[3\]"):
        convert([[1, 2], [3, 4]], "float64", [3])


def test_floats_are_rounded_to_single_precision() -> None:
    assert convert(0.1, "float32") == float(np.float32(0.1))
    assert convert([0.1], "float32", [1]).tolist() == [float(np.float32(0.1))]


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_not_a_number_is_data(dtype: str) -> None:
    assert np.isnan(convert(math.nan, dtype))
    assert np.isnan(convert([math.nan, 1], dtype, [2])[0])


def test_not_a_time_is_data() -> None:
    assert np.isnat(convert("NaT", "datetime64[ms]"))
    assert np.isnat(convert(["NaT", T0], "datetime64[ns]", [2])[0])


@pytest.mark.parametrize("dtype", [*INTEGERS, "float64", "complex64", "bool", "datetime64[ns]"])
def test_an_array_that_is_right_already_is_not_copied(dtype: str) -> None:
    array = np.zeros((2, 3), dtype)
    array.flags.writeable = False
    assert convert(array, dtype, [2, 3]) is array
    assert convert(array, dtype, [-1, 3]) is array


def test_text_arrays_keep_their_length() -> None:
    array = np.array(["a", "grün"])
    assert convert(array, "str", [2]) is array
    assert convert(("a", "grün"), "str", [-1]).tolist() == ["a", "grün"]
    assert convert(("a", "b"), "U4", [-1]).dtype == np.dtype("U4")
    for value, dtype in ((["abcde"], "U4"), (np.array(["abcde"]), "U4"), (["a\0"], "str")):
        with pytest.raises(RecordError):
            convert(value, dtype, [-1])


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "expected"),
    [
        ([1, 2.0, "3"], "int16", [3], [1, 2, 3]),
        (np.array([1.0, 2.0]), "uint8", [2], [1, 2]),
        ([[1, 2], (3, 4)], "float64", [2, -1], [[1.0, 2.0], [3.0, 4.0]]),
        ([np.array([1, 2]), [3, 4]], "int64", [2, 2], [[1, 2], [3, 4]]),
        ([True, False], "bool", [2], [True, False]),
        ([0, 1], "bool", [2], [False, True]),
        ([[0.0, 1.0], 2], "complex128", [2], [1j, 2 + 0j]),
        ([2**64 - 1, 0], "uint64", [2], [2**64 - 1, 0]),
        ([1.5, 2], "str", [2], ["1.5", "2"]),
        (np.array(["1", "2"]), "int64", [2], [1, 2]),
        ([], "int64", [-1], []),
        ([], "float64", [-1, 3], []),
        (np.array([1, None], object)[:1], "int64", [1], [1]),
        (np.arange(4.0)[::2], "float32", [2], [0.0, 2.0]),
        (np.array([1.0], ">f8"), "float64", [1], [1.0]),
    ],
)
def test_lists_and_other_arrays_become_arrays_of_the_dtype(
    value: object, dtype: str, shape: list[int], expected: list[Any]
) -> None:
    found = convert(value, dtype, shape)
    spec = DataSpec.of(dtype, shape)
    assert found.tolist() == expected
    assert spec.matches(found.shape)
    assert found.dtype == spec.dtype or spec.dtype == np.dtype("U")


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        ([1.5, 2.0], "int32", [2]),
        (np.array([1.5, 2.0]), "int32", [2]),
        ([300], "uint8", [1]),
        (np.array([300]), "uint8", [1]),
        (np.array([2.0**63]), "int64", [1]),
        (np.array([2.0**64]), "uint64", [1]),
        (np.array([2**63], "uint64"), "int64", [1]),
        (np.array([-1]), "uint64", [1]),
        (np.array([math.nan]), "int64", [1]),
        (np.array([2**63 - 1]), "float64", [1]),
        ([2**53 + 1, 0.5], "float64", [2]),
        ([2**63, -1], "int64", [2]),
        (np.array([1e39]), "float32", [1]),
        (np.array([1 + 0j]), "float64", [1]),
        (np.array([2]), "bool", [1]),
        (["a"], "float64", [1]),
        ([None], "float64", [1]),
        ([[1, 2], [3]], "float64", [2, 2]),
        ([1, 2], "float64", [3]),
        (np.zeros((2, 2)), "float64", [4]),
        (np.zeros((2, 2)), "float64", [-1]),
        ([[1.0]], "float64", [1]),
        ([1.0], "float64", [1, 1]),
        (5.0, "float64", [1]),
        (np.array(None, object), "float64", [1]),
        ("ab", "str", [2]),
        (np.array(["1970-01-01T00:00:00.5"], "M8[ms]"), "datetime64[s]", [1]),
        (np.array(["9999-01-01"], "M8[D]"), "datetime64[ns]", [1]),
        (np.array([1], "M8[s]"), "int64", [1]),
    ],
)
def test_arrays_that_would_lose_are_refused(value: object, dtype: str, shape: list[int]) -> None:
    with pytest.raises(RecordError):
        convert(value, dtype, shape)


def test_rows_are_read_by_name_or_by_order() -> None:
    row = ("SKA1", "2030-01-31T12:00:00.5", [1, 2])
    by_name = dict(zip(("pos", "at", "name"), reversed(row), strict=True))
    array = convert([row, by_name, list(row)], ROW, [3])
    assert array.dtype == DataSpec.of(ROW).dtype
    assert array["name"].tolist() == ["SKA1"] * 3
    assert (array["at"] == T0).all()
    assert array["pos"].tolist() == [[1.0, 2.0]] * 3
    scalar = convert(row, ROW)
    assert isinstance(scalar, np.void)
    assert scalar == array[0]
    assert convert(scalar, ROW) is scalar


def test_rows_of_another_dtype_are_converted_by_name() -> None:
    other = np.zeros(2, [("pos", "f8", (2,)), ("at", "M8[ns]"), ("name", "U9")])
    other["at"] = T0
    array = convert(other, ROW, [-1])
    assert array.dtype == DataSpec.of(ROW).dtype
    assert (array["at"] == T0).all()
    assert (convert([other[0], other[1]], ROW, [2]) == array).all()
    assert (convert([other], ROW, [1, 2]) == array).all()


def test_lists_of_arrays_of_dates_keep_their_unit() -> None:
    found = convert([np.array([T0, T0])], "datetime64[us]", [1, 2])
    assert (found == T0).all()


@pytest.mark.parametrize(
    "row",
    [
        ("SKA1", T0),
        {"name": "SKA1", "at": T0},
        {"name": "SKA1", "at": T0, "pos": [1, 2], "more": 1},
        ("SKA001", T0, [1, 2]),
        ("SKA1", T0, [1, 2, 3]),
        ("SKA1", T0, [1, 1e39]),
        np.zeros(1, [("name", "U4")])[0],
        5,
        None,
    ],
)
def test_rows_that_do_not_fit_are_refused(row: object) -> None:
    for value, shape in ((row, []), ([row], [1])):
        with pytest.raises(RecordError):
            convert(value, ROW, shape)


def test_smaller_values_are_repeated_where_broadcasting_is_asked_for() -> None:
    for value, expected in (
        (2.5, [[2.5, 2.5], [2.5, 2.5]]),
        ([1, 2], [[1.0, 2.0], [1.0, 2.0]]),
        ([[1], [2]], [[1.0, 1.0], [2.0, 2.0]]),
        (np.array([1, 2]), [[1.0, 2.0], [1.0, 2.0]]),
    ):
        assert convert(value, "float64", [2, 2], broadcast=True).tolist() == expected
    too_large: list[object] = [[1, 2, 3], [[[1]]], np.zeros((1, 1, 1))]
    for wrong in too_large:
        with pytest.raises(RecordError):
            convert(wrong, "float64", [2, 2], broadcast=True)
    assert convert(("SKA1", T0, [1, 2]), ROW, [3], broadcast=True).shape == (3,)


@pytest.mark.parametrize(
    ("dtype", "shape", "expected"),
    [
        ("int32", [], 0),
        ("bool", [], False),
        ("str", [], ""),
        ("bytes", [], ("", b"")),
        ("object", [], {}),
        ("datetime64[s]", [], np.datetime64(0, "s")),
        ("float64", [2], [0.0, 0.0]),
        ("str", [2], ["", ""]),
        ("float64", [2, -1], [[], []]),
    ],
)
def test_the_zero_of_a_dtype_is_one_of_its_values(
    dtype: str, shape: list[int], expected: object
) -> None:
    spec = DataSpec.of(dtype, shape)
    found = zero(spec)
    assert (found.tolist() if isinstance(found, np.ndarray) and shape else found) == expected
    assert converter(spec)(found) is found or shape == []


def test_the_zero_of_rows_has_all_fields() -> None:
    found = zero(DataSpec.of(ROW))
    assert isinstance(found, np.void)
    assert found.dtype.names == ("name", "at", "pos")


def test_defaults_fill_the_shape() -> None:
    image = DataSpec.of("float64", [2, 2])
    found = convert_default(0, image)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert convert_default("", DataSpec.of("str")) == ""
    assert convert_default("-1", DataSpec.of("str")) == "-1"


@pytest.mark.parametrize("value", [None, ""])
def test_no_default_where_nothing_was_given(value: object) -> None:
    assert convert_default(value, DataSpec.of("float64")) is None
    assert convert_default(value, DataSpec.of("bytes")) is None


def test_a_default_that_does_not_fit_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"found 1\.5"):
        convert_default(1.5, DataSpec.of("int32"))


def nested_lists(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth - 1):
        found = [found]
    return found


def test_containers_are_no_deeper_than_everybody_downstream_can_follow() -> None:
    wraps: list[Callable[[list[Any]], Any]] = [list, tuple, lambda items: {"a": items[0]}]
    for wrap in wraps:
        assert convert(wrap([nested_lists(199)]), "object") is not None
        with pytest.raises(RecordError, match="nested deeper than 200 levels"):
            convert(wrap([nested_lists(200)]), "object")


@given(
    array=hnp.arrays(
        st.sampled_from([*INTEGERS, "float64", "float32", "bool"]),
        hnp.array_shapes(max_dims=2, max_side=4),
    ),
    target=st.sampled_from([*INTEGERS, "float64", "float32", "bool"]),
)
def test_arrays_are_converted_exactly_as_their_items(array: Any, target: str) -> None:
    scalar = converter(DataSpec.of(target))
    shape = list(array.shape)
    try:
        expected = [scalar(item) for item in array.reshape(-1).tolist()]
    except RecordError:
        for value in (array, array.tolist()):
            with pytest.raises(RecordError):
                convert(value, target, shape)
        return
    for value in (array, array.tolist()):
        found = convert(value, target, shape)
        assert found.dtype == target
        assert repr(found.reshape(-1).tolist()) == repr(expected)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    value=ANYTHING | hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_side=3)),
    dtype=st.sampled_from(
        ["bool", "uint8", "float32", "complex64", "datetime64[us]", "str", "U2", "bytes", "object"]
    ),
    shape=st.sampled_from([[], [2], [-1], [-1, 2]]),
)
def test_anything_is_converted_or_a_record_error(value: Any, dtype: str, shape: list[int]) -> None:
    if dtype in {"bytes", "object"}:
        shape = []
    convert_any = converter(DataSpec.of(dtype, shape))
    try:
        found = convert_any(value)
    except RecordError:
        return
    assert repr(convert_any(found)) == repr(found)
