"""Pointings of dishes as structured rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_tango.pointing import antenna_of, check, row_maker

ROW = [["antenna_name", "U6"], ["ts", "datetime64[ns]"], ["az", "float64"], ["el", "float64"]]


@pytest.mark.parametrize(
    ("device_name", "antenna"),
    [
        ("mid-dish/dish-manager/SKA001", "SKA001"),
        ("ska001/elt/master", "SKA001"),
        ("mid_d0001/elt_ska100/master", "SKA100"),
        ("mkt063/elt/master", "MKT063"),
        ("tango://ska9.example:10000/mid-dish/dish-manager/ska036", "SKA036"),
        ("tango://127.0.0.1:4567/a/b/mkt001#dbase=no", "MKT001"),
        ("ska_mid/tm_leaf_node/d0001", ""),
        ("mid/askap1/skates", ""),
    ],
)
def test_the_antenna_is_the_word_that_begins_with_ska_or_mkt_and_a_digit(
    device_name: str, antenna: str
) -> None:
    assert antenna_of(device_name) == antenna


def test_the_fields_are_filled_by_name_in_any_order() -> None:
    make = row_maker(DataSpec.of([ROW[3], ["ts", "float64"], ROW[0], ROW[2]]), "SKA001")
    row = make(np.array([775853423.2247269, 180.0, 45.0]))
    assert isinstance(row, np.void)
    assert row.tolist() == (45.0, 775853423.2247269, "SKA001", 180.0)


@given(st.integers(-(10**9), 10**9), st.integers(0, 2**20 - 1))
def test_times_are_exact(seconds: int, fraction: int) -> None:
    # Multiples of 2**-20 s are exact in a float of this size.
    row = row_maker(DataSpec.of(ROW), "SKA001")([seconds + fraction / 2**20, 0.0, 0.0])
    assert isinstance(row, np.void)
    since = int((row["ts"] - np.datetime64("2000-01-01T00:00:00", "ns")).astype(int))
    assert since == seconds * 10**9 + round(fraction * 10**9 / 2**20)


@pytest.mark.parametrize("seconds", [np.nan, np.inf, -np.inf])
def test_a_time_that_is_no_number_is_no_time(seconds: float) -> None:
    row = row_maker(DataSpec.of(ROW), "SKA001")([seconds, 1.0, 2.0])
    assert isinstance(row, np.void)
    assert np.isnat(row["ts"])


@pytest.mark.parametrize("value", [[1.0, 2.0], [[1.0, 2.0, 3.0]], "abc", None, ["a", "b", "c"]])
def test_anything_else_is_a_record_error(value: object) -> None:
    with pytest.raises(RecordError, match="a pointing is"):
        row_maker(DataSpec.of(ROW), "SKA001")(value)


@pytest.mark.parametrize(
    ("dtype", "shape", "antenna", "told"),
    [
        ("float64", [3], "SKA001", "a pointing is a scalar of structured dtype"),
        (ROW, [1], "SKA001", "a pointing is a scalar of structured dtype"),
        ([*ROW, ["power", "float64"]], [], "SKA001", "found field 'power'"),
        ([["az", "float32"]], [], "SKA001", "found field 'az' of float32; allowed: float64"),
        ([["ts", "int64"]], [], "SKA001", "found field 'ts' of int64"),
        ([["antenna_name", "float64"]], [], "SKA001", "found field 'antenna_name'"),
        ([["antenna_name", "U4"]], [], "SKA001", "antenna_name: found 'SKA001', 6 letters"),
        (ROW, [], "", "antenna_name: is required"),
    ],
)
def test_a_dtype_that_a_pointing_does_not_fill_is_refused(
    dtype: object, shape: list[int], antenna: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        check(DataSpec.of(dtype, shape), antenna)
