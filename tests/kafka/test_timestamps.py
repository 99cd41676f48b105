"""Which time stamp is found in a value, to the millisecond, and what is no time."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Value
from queueconnector_kafka.timestamps import TimestampOptions, extractor

NOW = np.datetime64("2024-06-17T14:32:06.200", "ns")
NOW_MS = 1718634689200
ROWS = np.array([("SKA001", 5, NOW), ("SKA002", 7, NOW + 2)], "U8, i4, M8[ns]")
TRACK = np.array([([1.0, 2.0, 3.0],), ([4.0, 5.0, 6.0],)], [("t", "f8", 3)])


def time_ms(value: Value, **options: Any) -> int:
    return extractor(TimestampOptions(**options))(value)


# The TAI scale


@pytest.mark.parametrize(
    ("tai", "unix_ms"),
    [
        ("2024-06-17T14:32:06.200", 1718634689200),
        ("2000-01-01T00:00:00.000", 946684768000),
        ("2016-12-31T23:59:59.000", 1483228763000),
        ("2017-01-01T00:00:35.000", 1483228799000),  # 23:59:59
        ("2017-01-01T00:00:35.999", 1483228799999),
        ("2017-01-01T00:00:36.000", 1483228800000),  # 23:59:60, in Unix time the next second
        ("2017-01-01T00:00:36.999", 1483228800999),
        ("2017-01-01T00:00:37.000", 1483228800000),  # 00:00:00
        ("2017-01-01T00:00:38.000", 1483228801000),
        ("1972-01-01T00:00:10.000", 63072000000),
        ("1972-07-01T00:00:09.999", 78796799999),
        ("1972-07-01T00:00:11.000", 78796800000),
        ("2200-01-01T00:00:37.000", 7258118400000),  # as long as no leap second is announced
    ],
)
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_an_instant_on_the_tai_scale_is_told_in_utc(tai: str, unit: str, unix_ms: int) -> None:
    assert time_ms(np.array(tai, f"M8[{unit}]")[()]) == unix_ms
    assert time_ms(np.array(tai, f">M8[{unit}]")) == unix_ms


INSERTED = [
    "1972-06-30", "1972-12-31", "1973-12-31", "1974-12-31", "1975-12-31", "1976-12-31",
    "1977-12-31", "1978-12-31", "1979-12-31", "1981-06-30", "1982-06-30", "1983-06-30",
    "1985-06-30", "1987-12-31", "1989-12-31", "1990-12-31", "1992-06-30", "1993-06-30",
    "1994-06-30", "1995-12-31", "1997-06-30", "1998-12-31", "2005-12-31", "2008-12-31",
    "2012-06-30", "2015-06-30", "2016-12-31",
]  # fmt: skip
"""The days with a second 23:59:60, as the IERS announced them in its Bulletins C."""


@pytest.mark.parametrize(("number", "day"), list(enumerate(INSERTED)))
def test_around_each_inserted_second(number: int, day: str) -> None:
    # The second 23:59:60 begins this long after midnight on the TAI scale.
    midnight = np.datetime64(day, "ms") + np.timedelta64(1, "D")
    leap = midnight + np.timedelta64(10 + number, "s")
    unix_ms = int(midnight.astype(int))
    assert time_ms(leap - 1) == unix_ms - 1
    assert time_ms(leap) == unix_ms  # Unix time has no place for it: the next second is used
    assert time_ms(leap + 999) == unix_ms + 999
    assert time_ms(leap + 1000) == unix_ms
    assert time_ms(leap + 2000) == unix_ms + 1000


def test_a_real_dish_tells_seconds_since_2000_on_the_tai_scale() -> None:
    # achievedPointing of ska-mid-dish-manager, taken in 2024, as the pointing source gives it.
    since_2000_ns = round(775853423.2247269 * 1e9)
    tai = np.datetime64("2000-01-01T00:00:00", "ns") + np.timedelta64(since_2000_ns, "ns")
    utc_ms = np.datetime64("2024-08-01T18:49:46.224", "ms").astype(int)
    assert time_ms(tai) == utc_ms
    rows = np.array([(tai, 1.0, 2.0)], [("time", "M8[ns]"), ("az", "f8"), ("el", "f8")])
    assert time_ms(rows[0], key="time") == utc_ms


@pytest.mark.parametrize(
    ("unit", "unix_ms"),
    [
        ("Y", 1704067163000),
        ("M", 1717199963000),
        ("W", 1718236763000),
        ("D", 1718582363000),
        ("h", 1718632763000),
        ("m", 1718634683000),
        ("s", 1718634689000),
        ("25s", 1718634688000),
        ("100ms", 1718634689200),
    ],
)
def test_coarse_units_count_from_their_beginning(unit: str, unix_ms: int) -> None:
    assert time_ms(NOW.astype(f"datetime64[{unit}]")) == unix_ms


def test_the_finest_unit_cannot_reach_1972() -> None:
    with pytest.raises(RecordError, match="allowed: from 1972 on"):
        time_ms(np.datetime64(9_000_000_000_000_000_000, "as"))


@settings(deadline=None)  # astropy prepares itself at the first call
@given(st.integers(63_158_400_000, 1_735_689_600_000))  # 1972-01-02 to 2025
def test_astropy_finds_the_same_utc(tai_ms: int) -> None:
    tai = np.datetime64(tai_ms, "ms")
    day, _, time = Time(str(tai), scale="tai", precision=3).utc.isot.partition("T")
    hours, minutes, seconds = time.split(":")
    # Put together by hand, since a second 60 is the next minute in Unix time.
    milliseconds = int(seconds.replace(".", "")) + 60_000 * (int(minutes) + 60 * int(hours))
    expected = np.datetime64(day, "ms").astype(int) + milliseconds
    assert time_ms(tai) == expected


@given(st.lists(st.integers(0, 10**17), min_size=1))
def test_the_mean_of_datetimes_is_exact(offsets_ns: list[int]) -> None:
    first = np.datetime64("2017-01-02T00:00:00", "ns")
    times = first + np.array(offsets_ns, "m8[ns]")
    mean_ms = Fraction(sum(offsets_ns), len(offsets_ns) * 10**6)
    expected = 1483315200000 - 37000 + mean_ms.__floor__()
    assert time_ms(times, reducer="mean") == expected


def test_the_mean_is_not_one_less_where_it_is_a_whole_millisecond() -> None:
    times = NOW + np.array([-100, 0, 100], "m8[ns]")
    assert time_ms(times, reducer="mean") == NOW_MS
    times[0] -= 1
    assert time_ms(times, reducer="mean") == NOW_MS - 1


def test_the_mean_of_coarse_units_is_finer_than_they_are() -> None:
    times = np.array(["2024-01-01T00:00:00", "2024-01-01T00:00:01"], "M8[s]")
    assert time_ms(times, reducer="mean") == 1704067163500


# Numbers


@pytest.mark.parametrize(
    ("value", "unix_ms"),
    [
        (0, 0),
        (1, 1),
        (NOW_MS, NOW_MS),
        (2**63 - 1, 2**63 - 1),
        (1.999, 1),
        (-0.0, 0),
        (1718634689200.75, NOW_MS),
        (np.array([NOW_MS], "uint64"), NOW_MS),
        (np.array([[65504.0]], "float16"), 65504),
    ],
)
def test_a_number_is_milliseconds_of_unix_time(value: Value, unix_ms: int) -> None:
    assert time_ms(value) == unix_ms


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("int64", 2**62 + 1), ("uint64", 2**62 + 1), ("float64", 2**62)],
)
def test_the_mean_of_numbers_does_not_overflow(dtype: str, expected: int) -> None:
    values = np.array([2**62, 2**62 + 2, 2**62 + 1], dtype)
    assert time_ms(values, reducer="mean") == expected


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1))
def test_reducers_of_integers(numbers: list[int]) -> None:
    results = {"min": min(numbers), "max": max(numbers), "mean": sum(numbers) // len(numbers)}
    for reducer, expected in results.items():
        if expected >= 0:
            assert time_ms(np.array(numbers), reducer=reducer) == expected
            assert time_ms(list(numbers), reducer=reducer) == expected
        else:
            with pytest.raises(RecordError, match=f"found {expected} ms; allowed: 0 to"):
                time_ms(np.array(numbers), reducer=reducer)


# What is picked


@pytest.mark.parametrize(
    ("value", "options", "unix_ms"),
    [
        (np.arange(12).reshape(3, 4), {"slices": (1, 2)}, 6),
        (np.arange(12).reshape(3, 4), {"slices": (-1, -1)}, 11),
        (np.arange(12).reshape(3, 4), {"slices": (1, (2, 3, None))}, 6),
        (np.arange(12).reshape(3, 4), {"slices": (1, (None, None, 2)), "reducer": "max"}, 6),
        (np.arange(12).reshape(3, 4), {"slices": ((None, None, -1), 3), "reducer": "min"}, 3),
        (np.arange(12).reshape(3, 4), {"reducer": "mean"}, 5),
        (np.arange(24).reshape(2, 3, 4), {"slices": (1, 2, 3)}, 23),
        (ROWS[0], {"key": "f1"}, 5),
        (ROWS[0], {"key": "f2"}, NOW_MS),
        (ROWS, {"key": "f1", "slices": (1,)}, 7),
        (ROWS, {"key": "f1", "reducer": "max"}, 7),
        (ROWS, {"key": "f2", "reducer": "mean"}, NOW_MS),
        (TRACK, {"key": "t", "slices": (1, 0)}, 4),
        (TRACK[0], {"key": "t", "slices": (2,)}, 3),
        (TRACK, {"key": "t", "reducer": "mean"}, 3),
        ({"time": 5, "state": "new"}, {"key": "time"}, 5),
        ({"time": 5.5}, {"key": "time"}, 5),
        ({"time": [[1, 2], [3, 4]]}, {"key": "time", "slices": (1, 0)}, 3),
        ({"time": ["text", 2]}, {"key": "time", "slices": (1,)}, 2),
        ({"time": [[1, 2], 3]}, {"key": "time", "slices": (1,)}, 3),
        ({"time": [1, 2.5]}, {"key": "time", "reducer": "max"}, 2),
        ({"time": np.arange(3)}, {"key": "time", "reducer": "max"}, 2),
        ({"time": NOW}, {"key": "time"}, NOW_MS),
        ({"time": np.float64(8)}, {"key": "time"}, 8),
        ({"time": ROWS}, {"key": "time", "slices": (0,)}, None),
        ([{"time": 1}, {"time": 9}], {"key": "time", "reducer": "max"}, 9),
        ([{"time": NOW}, {"time": NOW + 2}], {"key": "time", "reducer": "min"}, NOW_MS),
        ([1, 2], {"slices": (0,)}, 1),
        (4, {}, 4),
    ],
)
def test_what_key_slices_and_reducer_pick(
    value: Value, options: dict[str, Any], unix_ms: int | None
) -> None:
    if unix_ms is None:
        with pytest.raises(RecordError):
            time_ms(value, **options)
    else:
        assert time_ms(value, **options) == unix_ms


# No time


@pytest.mark.parametrize(
    ("value", "options", "reason"),
    [
        (-1, {}, "found -1 ms; allowed: 0 to"),
        (-0.5, {}, "found -1 ms"),
        (2**63, {}, "found 9223372036854775808 ms"),
        (1e19, {}, "found 10000000000000000000 ms"),
        (float("nan"), {}, "finite"),
        (float("inf"), {}, "finite"),
        (np.array([1e308, 1e308]), {"reducer": "mean"}, "finite"),
        (np.array([np.inf, -np.inf]), {"reducer": "mean"}, "finite"),
        (np.datetime64("NaT", "ns"), {}, "NaT"),
        (np.datetime64("1972-01-01T00:00:09.999"), {}, "from 1972 on"),
        (np.datetime64("0001-01-01", "D"), {}, "from 1972 on"),
        (np.datetime64(9_000_000_000_000_000_000, "Y"), {}, "out of range"),
        (np.datetime64(9_000_000_000_000_000_000, "D"), {}, "allowed: 0 to"),
        (np.array([], "int64"), {"reducer": "max"}, "no value is left"),
        (np.array([], "M8[ns]"), {"reducer": "mean"}, "no value is left"),
        (np.arange(3), {"slices": ((5, None, None),)}, "no value is left"),
        (np.arange(3), {"slices": (3,)}, r"outside of the shape \[3\]"),
        (np.arange(3), {"slices": (10**30,)}, "outside of the shape"),
        (np.arange(3), {}, "3 values are left and there is no reducer"),
        (np.arange(3), {"slices": (0, 0)}, "2 slices for an array of 1 dimensions"),
        (5, {"slices": (0,)}, "1 slices for an array of 0 dimensions"),
        ({"a": 1}, {}, "found dict"),
        ({"a": 1}, {"key": "b"}, r"no key 'b' among \['a'\]"),
        ([{"a": 1}, 2], {"key": "a", "reducer": "max"}, "found int, which has no key 'a'"),
        ([10**5000], {"key": "a"}, "found int, which has no key"),
        ({"a": 10**5000}, {"key": "a"}, "too large"),
        ({"a": [10**5000, 0.5]}, {"key": "a", "reducer": "max"}, "too large"),
        ({"a": None}, {"key": "a"}, "found NoneType"),
        ({"a": True}, {"key": "a"}, "found bool"),
        ({"a": [1, True]}, {"key": "a", "reducer": "max"}, "found bool, int"),
        ({"a": "2024-06-17"}, {"key": "a"}, "found str"),
        ({"a": [[1, 2], 3]}, {"key": "a", "reducer": "max"}, "found int, list"),
        ({"a": np.array(["now"])}, {"key": "a"}, "found dtype <U3"),
        ({"a": [np.zeros((2, 3)), np.zeros((2, 2))]}, {"key": "a"}, "found list"),
        (None, {}, "found NoneType"),
    ],
)
def test_a_value_without_one_time_is_a_record_error(
    value: Value, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RecordError, match=f"no time stamp: .*{reason}"):
        time_ms(value, **options)


@pytest.mark.parametrize("reducer", ["min", "max", "mean"])
@pytest.mark.parametrize(
    "times", [np.array([1.0, np.nan, 2.0]), np.array([NOW, np.datetime64("NaT"), NOW], "M8[ns]")]
)
def test_one_missing_time_leaves_no_reduced_one(times: Value, reducer: str) -> None:
    with pytest.raises(RecordError, match="no time stamp"):
        time_ms(times, reducer=reducer)


def test_a_long_text_beside_many_numbers_is_not_multiplied() -> None:
    # As an array of text this would be 400 GB.
    value: Value = {"time": [*range(100_000), "x" * 1_000_000]}
    with pytest.raises(RecordError, match="found int, str"):
        time_ms(value, key="time", reducer="max")


# What a configuration shows


shapes = st.lists(st.integers(-1, 4), max_size=3).filter(lambda shape: shape.count(-1) <= 1)
bounds = st.none() | st.integers(-6, 6)
items = st.integers(-6, 6) | st.tuples(bounds, bounds, bounds.filter(lambda step: step != 0))


@given(
    shapes,
    st.lists(items, max_size=3).map(tuple),
    st.sampled_from([None, "min", "max", "mean"]),
    st.integers(0, 5),
)
def test_the_check_refuses_exactly_what_can_never_have_a_time(
    shape: list[int], slices: tuple[Any, ...], reducer: Any, size: int
) -> None:
    options = TimestampOptions(slices, reducer=reducer)
    value = np.ones([size if length < 0 else length for length in shape], "int64")
    try:
        found = extractor(options)(value)
    except RecordError:
        found = 0
    try:
        options.check(DataSpec.of("int64", shape))
    except Exception:  # noqa: BLE001 - whatever it is, no value may have a time
        assert found == 0
    else:
        assert found == 1 or -1 in shape


# The library of leap seconds


WITHOUT_ERFA = """
import sys
sys.modules["erfa"] = None  # any import of it fails
import numpy as np
from queueconnector_kafka.timestamps import TimestampOptions, extractor
time_of = extractor(TimestampOptions())
print(time_of(5))
try:
    time_of(np.datetime64("2024-06-17"))
except ImportError:
    print("needs erfa")
"""


def test_only_datetime64_needs_the_table_of_leap_seconds() -> None:
    command = [sys.executable, "-c", WITHOUT_ERFA]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "5\nneeds erfa\n", result.stderr
