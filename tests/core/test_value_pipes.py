"""Pipes that look at each value on its own, against numpy (component contract, 5.2 and 5.4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Batch, Metadata, Quality
from tests.core.piping import FLOAT, OBJECT, cut, made, output, passed, through

NUMBERS = ("bool", "int8", "int32", "int64", "uint8", "uint64", "float32", "float64", "complex128")
ROWS = DataSpec.of([["id", "int32"], ["xy", "float64", [2]], ["name", "U4"]])
SHAPES: tuple[list[int], ...] = ([], [3], [2, 2], [-1])


@st.composite
def columns(draw: st.DrawFn, dtypes: tuple[str, ...] = NUMBERS) -> tuple[DataSpec, Any]:
    """A dtype and shape, and some values of it as one array."""
    spec = DataSpec.of(draw(st.sampled_from(dtypes)), draw(st.sampled_from(SHAPES)))
    shape = tuple(2 if size < 0 else size for size in spec.shape)
    return spec, draw(arrays.arrays(spec.dtype, (draw(st.integers(1, 5)), *shape)))


def values_in(array: Any) -> list[Any]:
    return array.tolist() if array.ndim == 1 else list(array)


def assert_are(found: list[Any], expected: Any, spec: DataSpec) -> None:
    """The values are those of the array, and exactly what records of `spec` are."""
    assert len(found) == len(expected)
    convert = converter(spec)
    for value, wanted in zip(found, expected, strict=True):
        assert convert(value) is value or spec.is_scalar
        assert type(value) is type(wanted.item()) if spec.is_scalar else value.dtype == spec.dtype
        np.testing.assert_array_equal(value, wanted)


# scale and offset


@given(columns(), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_scale_and_offset_is_what_numpy_computes(
    column: tuple[DataSpec, Any], scale: float, offset: float
) -> None:
    spec, array = column
    with np.errstate(all="ignore"):
        expected = array * scale + offset
    by_record = (np.isfinite(expected) | ~np.isfinite(array)).reshape(len(array), -1)
    good = by_record.all(axis=1)

    pipe = made("ScaleOffsetPipe", spec, scale=scale, offset=offset)
    flow = passed(pipe, Batch(values_in(array)))

    result = output("ScaleOffsetPipe", spec, scale=scale, offset=offset)
    assert (result.dtype, result.shape) == (expected.dtype, spec.shape)
    assert_are(flow.values, expected[good], result)
    assert len(flow.failures) == (~good).sum()


@given(st.lists(st.floats(-300, 300), min_size=1), st.sampled_from(["int8", "uint8", "float32"]))
def test_a_scaled_result_is_rounded_to_its_dtype(values: list[float], dtype: str) -> None:
    flow = passed(made("ScaleOffsetPipe", scale=0.7, dtype=dtype), Batch(values))

    with np.errstate(all="ignore"):
        scaled = np.array(values) * 0.7 + 0.0
        rounded = scaled if dtype == "float32" else np.rint(scaled)
    fitting = np.ones(len(values), bool)
    if dtype != "float32":
        info = np.iinfo(dtype)
        fitting = (rounded >= info.min) & (rounded <= info.max)
    assert_are(flow.values, rounded[fitting].astype(dtype), DataSpec.of(dtype))
    assert len(flow.failures) == (~fitting).sum()


# cast


@given(columns(), st.sampled_from(NUMBERS), st.sampled_from(["safe", "same_kind", "unsafe"]))
def test_a_cast_is_numpys_where_it_is_allowed_and_fits(
    column: tuple[DataSpec, Any], dtype: str, casting: str
) -> None:
    spec, array = column
    if not np.can_cast(spec.dtype, dtype, casting):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="casting: numpy does not cast"):
            output("CastPipe", spec, dtype=dtype, casting=casting)
        return
    flow = passed(made("CastPipe", spec, dtype=dtype, casting=casting), Batch(values_in(array)))

    real = array.real if np.dtype(dtype).kind not in "cb" else array
    good = np.array([all(fits(n, np.dtype(dtype)) for n in part.ravel().tolist()) for part in real])
    with np.errstate(all="ignore"):
        expected = real[good].astype(dtype)
    assert_are(flow.values, expected, DataSpec.of(dtype, spec.shape))
    assert len(flow.failures) == (~good).sum()


def fits(number: Any, dtype: np.dtype[Any]) -> bool:
    """Said in Python's own numbers, which have no limits."""
    if dtype.kind == "b":
        return True
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return bool(np.isfinite(number)) and int(limits.min) <= int(number) <= int(limits.max)
    with np.errstate(all="ignore"):
        return bool(np.isfinite(dtype.type(number)) or not np.isfinite(number))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2.0**63, "int64"), (-(2.0**63) * 1.1, "int64"), (2.0**64, "uint64"), (-1.0, "uint64"),
     (np.nan, "int8"), (np.inf, "uint8"), (128.0, "int8"), (1e39, "float32")],
)  # fmt: skip
async def test_what_is_out_of_range_is_refused(value: float, dtype: str) -> None:
    flow = await through(made("CastPipe", dtype=dtype, casting="unsafe"), Batch([1.0, value, 2.0]))

    assert flow.values == [1, 2]
    assert flow.failures == [f"{value!r} does not fit {dtype}"]


@pytest.mark.parametrize(("value", "dtype"), [(2.0**62, "int64"), (-(2.0**63), "int64")])
async def test_the_ends_of_the_range_are_not(value: float, dtype: str) -> None:
    flow = await through(made("CastPipe", dtype=dtype, casting="unsafe"), Batch([value]))

    assert flow.values == [int(value)]


# filter


@given(columns(("int32", "float64", "bool")), st.floats(-5, 5), st.sampled_from(["all", "any"]))
def test_limits_are_numpys_comparisons(column: tuple[DataSpec, Any], limit: float, of: str) -> None:
    spec, array = column
    flow = passed(
        made("FilterPipe", spec, when={"ge": limit, "ne": 1, "of": of}), Batch(values_in(array))
    )

    kept = ((array >= limit) & (array != 1)).reshape(len(array), -1)
    good = kept.all(axis=1) if of == "all" else kept.any(axis=1)
    assert_are(flow.values, array[good], spec)
    assert flow.filtered == (~good).sum()


@given(st.lists(st.integers(-5, 5)), st.lists(st.integers(0, 4), max_size=4))
def test_a_condition_leaves_out_what_it_does_not_hold_for(
    numbers: list[int], sizes: list[int]
) -> None:
    pipe = made("FilterPipe", OBJECT, when="n > `1` || ok")
    flow = passed(pipe, *cut([{"n": n, "ok": n == -1} for n in numbers], sizes))

    assert [value["n"] for value in flow.values] == [n for n in numbers if n > 1 or n == -1]
    assert flow.filtered == len(numbers) - len(flow.values)
    assert flow.released == sorted(flow.released), "in the order in which they came"


async def test_a_condition_that_fails_refuses_the_record() -> None:
    pipe = made("FilterPipe", OBJECT, when="starts_with(name, 'a')")
    flow = await through(pipe, Batch([{"name": "ab"}, {"name": 3}, {"name": "b"}]))

    assert flow.values == [{"name": "ab"}]
    assert len(flow.failures) == 1
    assert flow.filtered == 1


async def test_weights_of_what_is_left_out_are_kept_in_the_balance() -> None:
    flow = await through(
        made("FilterPipe", when={"gt": 1}),
        Batch(
            [1.0, 2.0, 0.0], weights=[5, 7, 11], failures=[RecordError("garbled", 3)], filtered=2
        ),
    )

    (batch,) = flow.outputs
    assert (list(batch.values), batch.weights, batch.filtered) == ([2.0], [7], 18)


async def test_an_invalid_value_keeps_no_condition_and_is_mapped_to_itself() -> None:
    invalid = Metadata(quality=Quality.INVALID)
    batch = Batch([1.0, None, 3.0], [Metadata(), invalid, Metadata()])

    scaled = await through(made("ScaleOffsetPipe", scale=2), batch)
    left = await through(made("FilterPipe", when={"gt": 0}), batch)

    assert scaled.values == [2.0, None, 6.0]
    assert [value for value in left.values if value is None] == []
    assert left.filtered == 1


# map and select


@given(st.lists(st.integers(-(2**40), 2**40)))
def test_what_is_found_is_converted_or_refused(numbers: list[int]) -> None:
    pipe = made("MapPipe", OBJECT, expression="a.b", dtype="int32")
    flow = passed(pipe, Batch([{"a": {"b": number}} for number in numbers]))

    assert flow.values == [n for n in numbers if -(2**31) <= n < 2**31]
    assert len(flow.failures) == len(numbers) - len(flow.values)


async def test_rows_are_mapped_to_arrays() -> None:
    rows = np.array([(1, [1.5, 2.5], "a"), (2, [3.5, 4.5], "b")], ROWS.dtype)
    pipe = made("MapPipe", ROWS, expression="xy", dtype="float32", shape=[2])

    flow = await through(pipe, Batch(list(rows)))

    np.testing.assert_array_equal(np.stack(flow.values), rows["xy"].astype("float32"))
    assert flow.values[0].dtype == np.float32


async def test_a_record_of_which_nothing_can_be_made_is_refused() -> None:
    pipe = made("MapPipe", OBJECT, expression="abs(n)", dtype="float64")
    flow = await through(pipe, Batch([{"n": -2}, {"n": "text"}, {}, {"n": 1}]))

    assert flow.values == [2.0, 1.0]
    assert len(flow.failures) == 2


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("field", ["id", "xy", "name"])
async def test_a_field_of_rows_is_numpys(field: str, shape: list[int]) -> None:
    spec = DataSpec(ROWS.dtype, tuple(shape))
    size = tuple(2 if n < 0 else n for n in shape)
    rows = np.zeros((3, *size), ROWS.dtype)
    rows["id"] = np.arange(rows.size).reshape(rows.shape)
    rows["name"] = "abc"
    result = output("SelectFieldPipe", spec, field=field)

    flow = await through(made("SelectFieldPipe", spec, field=field), Batch(list(rows)))

    assert result.matches(rows[field].shape[1:])
    assert result.dtype == rows[field].dtype
    np.testing.assert_array_equal(np.array(flow.values), rows[field])


async def test_a_member_of_objects_is_converted_or_refused() -> None:
    pipe = made("SelectFieldPipe", OBJECT, field="t", dtype="float64")
    flow = await through(pipe, Batch([{"t": 1}, {"t": "hot"}, [1], {}]))

    assert flow.values == [1.0]
    assert len(flow.failures) == 3


# what is told when it is configured


@pytest.mark.parametrize(
    ("name", "spec", "options", "told"),
    [
        ("MapPipe", OBJECT, {"expression": "a[?"}, "expression: found 'a[?', which is no JMESPath"),
        ("MapPipe", OBJECT, {"expression": "nope(@)"}, "there is no function 'nope'"),
        ("MapPipe", OBJECT, {"expression": "a", "dtype": "float65"}, "dtype: unknown dtype"),
        ("MapPipe", DataSpec.of("bytes"), {"expression": "a"}, "nothing can be found in octets"),
        ("FilterPipe", FLOAT, {"when": "a["}, "when: found 'a[', which is no JMESPath"),
        ("FilterPipe", FLOAT, {"when": {}}, "when: needs a limit"),
        ("FilterPipe", OBJECT, {"when": {"gt": 1}}, "when: only numbers have limits"),
        ("SelectFieldPipe", FLOAT, {"field": "a"}, "only structured values and objects"),
        ("SelectFieldPipe", ROWS, {"field": "z"}, "field: there is no field 'z' (allowed: id,"),
        ("SelectFieldPipe", ROWS, {"field": "id", "dtype": "int32"}, "dtype: a structured field"),
        ("CastPipe", OBJECT, {"dtype": "int32"}, "allowed: numbers"),
        ("CastPipe", FLOAT, {"dtype": "str"}, "dtype: found str; allowed: numbers"),
        ("CastPipe", FLOAT, {"dtype": "int32"}, "casting: numpy does not cast float64 to int32"),
        ("ScaleOffsetPipe", DataSpec.of("str"), {}, "allowed: numbers"),
        ("ScaleOffsetPipe", FLOAT, {"dtype": "bool"}, "dtype: a result of float64 cannot become"),
        (
            "ScaleOffsetPipe",
            DataSpec.of("complex64"),
            {"dtype": "float32"},
            "dtype: a result of complex64 cannot",
        ),
    ],
)
def test_what_cannot_work_is_told_when_it_is_configured(
    name: str, spec: DataSpec, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        output(name, spec, **options)

    assert told in str(refused.value)
