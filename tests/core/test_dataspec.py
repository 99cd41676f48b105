"""The words of a configuration become dtypes and shapes, and errors name the place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.dataspec import (
    LITERALS,
    NUMPY_WORD,
    DataSpec,
    dtype_literal,
    parse_dtype,
)
from queueconnector_core.errors import ConfigError

WORDS = {
    "bool": "?",
    "uint8": "u1",
    "int": "i8",
    "int16": "i2",
    "float": "f8",
    "float32": "f4",
    "complex64": "c8",
    "datetime64[ms]": "M8[ms]",
    "datetime64": "M8[ns]",
    "str": "U",
    "str_": "U",
    "string": "U",
    "U8": "U8",
    "bytes": "S",
    "object": "O",
    "object_": "O",
    "U": "U",
    "<U0": "U",
    "double": "f8",
    "uint": "u8",
    "d": "f8",
    "DevBoolean": "?",
    "DevUChar": "u1",
    "DevUShort": "u2",
    "DevULong": "u4",
    "DevULong64": "u8",
    "DevShort": "i2",
    "DevLong": "i4",
    "DevLong64": "i8",
    "DevFloat": "f4",
    "DevDouble": "f8",
    "DevString": "U",
    "DevEncoded": "S",
    ">f8": ">f8",
}


@pytest.mark.parametrize(("word", "expected"), WORDS.items())
def test_each_word_names_a_dtype(word: str, expected: str) -> None:
    assert parse_dtype(word) == np.dtype(expected)


@pytest.mark.parametrize("word", WORDS)
def test_the_canonical_word_is_read_back(word: str) -> None:
    dtype = parse_dtype(word)
    assert parse_dtype(dtype_literal(dtype)) == dtype


def test_fields_with_and_without_a_shape_make_a_structured_dtype() -> None:
    literal = [["name", "U8"], ["pos", "float64", [3]], ["flag", [["on", "bool"]]]]
    dtype = parse_dtype(literal)
    assert dtype == np.dtype([("name", "U8"), ("pos", "f8", (3,)), ("flag", [("on", "?")])])
    assert dtype_literal(dtype) == literal


@pytest.mark.parametrize(
    ("literal", "path", "says"),
    [
        ("flaot64", "dtype", "did you mean 'float64'"),
        ("dict", "dtype", 'use "object"'),
        ("S8", "dtype", "unknown dtype"),
        ("a8", "dtype", "unknown dtype"),
        ("\0", "dtype", "unknown dtype"),
        ("i4,f4", "dtype", "unknown dtype"),
        ("complex256", "dtype", "unknown dtype"),
        ("f8\n", "dtype", "unknown dtype"),
        ("U0", "dtype", "unknown dtype"),
        ("datetime64[0s]", "dtype", "unknown dtype"),
        ("longdouble", "dtype", "unknown dtype"),
        ("timedelta64[s]", "dtype", "unknown dtype"),
        ("datetime64[foo]", "dtype", "unknown dtype"),
        (5, "dtype", "found 5"),
        ([], "dtype", "list of fields"),
        ([["a", "f8"], ["b", "nope"]], "dtype[1][1]", "unknown dtype 'nope'"),
        ([["a", "str"]], "dtype[0][1]", "fixed size"),
        ([["a", "f8"], ["a", "f8"]], "dtype", "not a structured dtype"),
        ([["a"]], "dtype[0]", "a field is"),
        ([["", "f8"]], "dtype[0][0]", "a field name"),
        ([["a", "f8", [-1]]], "dtype[0][2][0]", "no negative"),
        ([["a", "f8", "3"]], "dtype[0][2]", "list of integers"),
    ],
)
def test_a_wrong_dtype_is_refused_with_its_path(literal: object, path: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        DataSpec.of(literal)
    problems = error.value.problems
    assert says in problems[0].message
    assert problems[0].path == path


def test_a_size_without_a_fraction_is_an_integer_as_in_json() -> None:
    assert DataSpec.of([["a", "f8", 2.0]], [3.0]) == DataSpec.of([["a", "f8", 2]], [3])


@pytest.mark.parametrize("word", LITERALS)
def test_each_named_dtype_is_read(word: str) -> None:
    assert parse_dtype(word) == LITERALS[word]


@given(st.from_regex(NUMPY_WORD, fullmatch=True))
def test_numpy_knows_each_word_of_the_grammar(word: str) -> None:
    assert parse_dtype(word) == np.dtype(word)


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        ([2.5], "shape[0]"),
        ([True], "shape[0]"),
        ([-1, -1], "shape[1]"),
        ([10**30], "shape[0]"),
        ("3", "shape"),
    ],
)
def test_a_wrong_shape_is_refused_with_its_path(shape: object, path: str) -> None:
    with pytest.raises(ConfigError) as error:
        DataSpec.of("float64", shape)
    assert [problem.path for problem in error.value.problems] == [path]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        DataSpec.of([["a", "x"], ["b", "y"]], [1.5])
    assert [p.path for p in error.value.problems] == ["dtype[0][1]", "dtype[1][1]", "shape[0]"]


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        ("float64", [2**31 - 1]),
        ("bool", [2**31 - 1] * 4),
        ("uint8", [0, 2**31 - 1, 2**31 - 1]),
        ("uint8", [-1, 2**31 - 1]),
        ("str", [2**31 - 1]),
        ("U8", [2**27]),
        ([["a", "U90000000", [3]]], []),
        ([["a", "float64", [2**14]]], [2**14]),
        ("uint8", [1] * 33),
    ],
    ids=str,
)
def test_a_value_that_no_machine_should_hold_is_refused(dtype: object, shape: list[int]) -> None:
    with pytest.raises(ConfigError, match="at most") as error:
        DataSpec.of(dtype, shape)
    assert [problem.path for problem in error.value.problems] == ["shape"]


def test_large_images_are_values() -> None:
    assert DataSpec.of("complex128", [8192, 8192]).shape == (8192, 8192)


@pytest.mark.parametrize("dtype", ["bytes", "object"])
def test_pairs_and_containers_are_scalars(dtype: str) -> None:
    with pytest.raises(ConfigError, match="always a scalar"):
        DataSpec.of(dtype, [3])


@pytest.mark.parametrize(
    ("shape", "found", "fits"),
    [
        ([], (), True),
        ([3], (3,), True),
        ([3], (4,), False),
        ([-5], (4,), True),
        ([2, -1], (2, 0), True),
        ([2, -1], (3, 0), False),
        ([-1], (2, 2), False),
    ],
)
def test_one_dimension_may_have_any_size(
    shape: list[int], found: tuple[int, ...], fits: bool
) -> None:
    assert DataSpec.of("float64", shape).matches(found) is fits


@given(st.one_of(st.text(), st.recursive(st.text() | st.integers(), st.lists, max_leaves=8)))
def test_any_other_literal_is_a_config_error_or_a_dtype(literal: object) -> None:
    try:
        dtype = parse_dtype(literal)
    except ConfigError:
        return
    assert parse_dtype(dtype_literal(dtype)) == dtype
