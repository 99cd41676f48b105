"""JMESPath over values that are not JSON, and expressions that cannot work."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.expression import compile_expression, holds, key_search, plain

ROWS = np.array(
    [("SKA001", "2024-08-01T18:50:23.5", [1.5, math.nan]), ("SKA002", "NaT", [3.0, -0.0])],
    [("name", "U8"), ("at", "datetime64[ms]"), ("pair", "f8", 2)],
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, 1.5),
        (None, None),
        (np.float32(0.5), 0.5),
        ((1, (2, [3])), [1, [2, [3]]]),
        (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]),
        (np.zeros((0, 3)), []),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array("2024-01-01", "M8[D]"), "2024-01-01"),
        ({"a": (np.int16(1), {"b": np.array([True])})}, {"a": [1, {"b": [True]}]}),
        (ROWS[:1]["name"], ["SKA001"]),
    ],
)
def test_values_are_objects_lists_and_scalars(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_rows_of_a_structured_array_are_objects_by_field_name() -> None:
    first = {"name": "SKA001", "at": "2024-08-01T18:50:23.500", "pair": [1.5, math.nan]}
    second = {"name": "SKA002", "at": "NaT", "pair": [3.0, -0.0]}
    np.testing.assert_equal(plain(ROWS), [first, second])
    np.testing.assert_equal(plain(ROWS.reshape(2, 1)), [[first], [second]])
    np.testing.assert_equal(plain(ROWS[0]), first)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("@", plain(ROWS)),
        ("[0].pair", [1.5, math.nan]),
        ("[*].name", ["SKA001", "SKA002"]),
        ("[?name=='SKA002'] | [0].pair[0]", 3.0),
        ("[?name=='SKA009'] | [0].pair", None),
        ("length(@)", 2),
    ],
)
def test_a_path_finds_a_part_of_it(path: str, found: Any) -> None:
    np.testing.assert_equal(compile_expression(path)(plain(ROWS)), found)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", "which is no JMESPath"),
        ("a.", "which is no JMESPath: Expecting"),
        ("state = 'new'", "Unknown token"),
        ("nosuch(@)", "there is no function 'nosuch' (allowed: abs, avg"),
        ("[?a].{b: map(&c(@), d)}", "there is no function 'c'"),
        ("abs(a, b)", "abs() takes 1 arguments, found 2"),
        ("join(a)", "join() takes 2 arguments, found 1"),
        ("not_null()", "not_null() takes 1 or more arguments, found 0"),
        ("a[::0]", "the step of a slice cannot be 0"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_would_fail_in_every_record_is_refused_at_once(path: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_expression(path)
    (problem,) = caught.value.problems
    assert problem.path == ""
    assert told in problem.message


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("floor(@)", math.nan),
        ("ceil(@)", math.inf),
        ("abs(@)", "text"),
        ("abs(@)", 1j),
        ("a > b", {"a": 1j, "b": 2}),
        ("max_by(@, &@)", [1, "text"]),
        ("sum(@)", [10**400, 0.5]),
        ("keys(@)", [1]),
    ],
)
def test_what_fails_in_one_record_is_an_error_of_that_record(path: str, document: Any) -> None:
    with pytest.raises(RecordError):
        compile_expression(path)(document)


@pytest.mark.parametrize("false", [None, False, "", [], {}])
def test_null_false_and_what_is_empty_does_not_hold(false: Any) -> None:
    assert not holds(false)


@pytest.mark.parametrize("true", [True, 0, 0.0, math.nan, "false", [0], {"a": None}])
def test_everything_else_does(true: Any) -> None:
    assert holds(true)


@pytest.mark.parametrize(
    ("value", "key"),
    [({"id": "é"}, "é".encode()), ({"id": 7}, b"7"), ({"id": True}, b"true"), ({}, None)],
)
def test_a_key_is_text_or_the_json_of_a_number(value: Any, key: bytes | None) -> None:
    assert key_search("id")(value) == key


@pytest.mark.parametrize("value", [{"id": [1]}, {"id": {}}])
def test_containers_are_no_keys(value: Any) -> None:
    with pytest.raises(RecordError, match="no key: found"):
        key_search("id")(value)


def test_a_key_may_be_a_time_of_a_structured_value() -> None:
    assert key_search("at")(ROWS[0]) == b"2024-08-01T18:50:23.500"
