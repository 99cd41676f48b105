"""Pipes that look at one record after the other (component contract, rules 5.1 to 5.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError
from queueconnector_core.record import Acknowledgement, Batch, Metadata, Quality
from tests.core.piping import FLOAT, OBJECT, Flow, cut, made, output, passed, through

FLOATS = st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0, -2.0, np.nan, np.inf, -np.inf])
SIZES = st.lists(st.integers(0, 4), max_size=4)


def equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


# dead band


def far(now: Any, last: Any, absolute: float, relative: float) -> bool:
    """The definition, in numpy."""
    now, last = np.asarray(now, "f8"), np.asarray(last, "f8")
    with np.errstate(all="ignore"):
        change = np.abs(now - last)
        beyond = (change > absolute) & (change > relative * np.abs(last))
    same = (now == last) | (np.isnan(now) & np.isnan(last))
    return bool(np.where(np.isfinite(change), beyond, ~same).any())


def banded(values: Sequence[Any], absolute: float, relative: float) -> list[Any]:
    left: list[Any] = []
    for value in values:
        if not left or far(value, left[-1], absolute, relative):
            left.append(value)
    return left


@given(st.lists(FLOATS), SIZES, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5]))
def test_a_dead_band_passes_what_is_far_from_the_last(
    values: list[float], sizes: list[int], absolute: float, relative: float
) -> None:
    pipe = made("DeadbandPipe", absolute=absolute, relative=relative)
    flow = passed(pipe, *cut(values, sizes))

    assert equal(flow.values, banded(values, absolute, relative))
    assert flow.filtered == len(values) - len(flow.values)


@given(st.lists(st.lists(FLOATS, min_size=2, max_size=2)), st.sampled_from([0.0, 0.5]))
def test_of_arrays_any_element_may_be_far(rows: list[list[float]], absolute: float) -> None:
    arrays = [np.array(row) for row in rows]
    flow = passed(
        made("DeadbandPipe", DataSpec.of("float64", [2]), absolute=absolute), Batch(arrays)
    )

    assert equal(flow.values, banded(arrays, absolute, 0.0))


async def test_unsigned_numbers_do_not_wrap() -> None:
    spec = DataSpec.of("uint8", [1])
    arrays = [np.array([n], "u1") for n in (10, 9, 4)]

    flow = await through(made("DeadbandPipe", spec, absolute=3), Batch(arrays))

    assert [value.tolist() for value in flow.values] == [[10], [4]]


async def test_each_key_has_a_dead_band_of_its_own() -> None:
    readings = [
        {"id": i, "t": t} for i, t in [("a", 1), ("b", 9), ("a", 1.4), ("b", 9.6), ("a", 2)]
    ]
    pipe = made("DeadbandPipe", OBJECT, path="t", key_path="id", absolute=0.5)

    flow = await through(pipe, Batch([*readings, {"id": [], "t": 1}, {"id": "a", "t": "hot"}]))

    assert flow.values == [readings[0], readings[1], readings[3], readings[4]]
    assert len(flow.failures) == 2
    assert flow.filtered == 1


async def test_a_change_to_invalid_and_back_passes() -> None:
    invalid = Metadata(quality=Quality.INVALID)
    values = [1.0, None, None, 1.0]
    known = [Metadata(), invalid, invalid, Metadata()]

    flow = await through(made("DeadbandPipe", absolute=5), Batch(values, known))

    assert flow.values == [1.0, None, 1.0]


async def test_a_key_that_is_forgotten_begins_anew() -> None:
    records = [{"id": n, "t": 0} for n in (1, 2, 1, 2, 2)]
    pipe = made("DeadbandPipe", OBJECT, path="t", key_path="id", max_keys=1)

    flow = await through(pipe, Batch(records))

    assert [value["id"] for value in flow.values] == [1, 2, 1, 2]


# duplicates


@given(st.lists(FLOATS), SIZES)
def test_by_value_runs_of_the_same_are_one(values: list[float], sizes: list[int]) -> None:
    flow = passed(made("DeduplicatePipe"), *cut(values, sizes))

    array = np.array(values)
    same = (array[1:] == array[:-1]) | (np.isnan(array[1:]) & np.isnan(array[:-1]))
    assert equal(flow.values, array[np.concatenate([[True], ~same])[: len(array)]])


@pytest.mark.parametrize(
    ("spec", "values", "left"),
    [
        (DataSpec.of("str"), ["a", "a", "b", "a"], [0, 2, 3]),
        (OBJECT, [{"a": [1]}, {"a": [1]}, {"a": [True]}, {"a": (1,)}, [1]], [0, 2, 3, 4]),
        (OBJECT, [{"a": np.ones(2)}, {"a": np.ones(2)}, {"a": np.ones(3)}], [0, 2]),
        (OBJECT, [[np.nan], [np.nan], None, None], [0, 2]),
        (DataSpec.of("bytes"), [("a", b"1"), ("a", b"1"), ("b", b"1")], [0, 2]),
        (DataSpec.of("str", [1]), [np.array(["a"]), np.array(["a"]), np.array(["abc"])], [0, 2]),
        (
            DataSpec.of([["t", "float64"]]),
            list(np.array([(np.nan,), (np.nan,), (1,)], [("t", "f8")])),
            [0, 2],
        ),
    ],
)
async def test_values_of_every_kind_are_compared(
    spec: DataSpec, values: list[Any], left: list[int]
) -> None:
    flow = await through(made("DeduplicatePipe", spec), Batch(values))

    assert [id(value) for value in flow.values] == [id(values[place]) for place in left]


@given(st.lists(st.integers(0, 6)), st.integers(1, 4), SIZES)
def test_by_key_the_latest_are_remembered(ids: list[int], limit: int, sizes: list[int]) -> None:
    pipe = made("DeduplicatePipe", OBJECT, by="key", key_path="id", max_keys=limit)
    flow = passed(pipe, *cut([{"id": n} for n in ids], sizes))

    known: list[int] = []
    left = []
    for n in ids:
        if n not in known:
            left.append(n)
            known = [*known, n][-limit:]
    assert [value["id"] for value in flow.values] == left


async def test_by_header_what_has_none_passes() -> None:
    names = [b"1", None, b"1", None, b"2"]
    known = [Metadata(headers=() if n is None else (("x", b"0"), ("id", n))) for n in names]
    pipe = made("DeduplicatePipe", by="header")

    flow = await through(pipe, Batch([0.0, 1.0, 2.0, 3.0, 4.0], known), Batch([5.0, 5.0]))

    assert flow.values == [0.0, 1.0, 3.0, 4.0, 5.0, 5.0]


async def test_after_a_time_the_same_is_told_again() -> None:
    pause = asyncio.Event()

    async def stream() -> AsyncIterator[Batch]:
        yield Batch([1.0, 1.0])
        asyncio.get_running_loop().call_later(0.05, pause.set)
        await pause.wait()
        yield Batch([1.0])

    flow = Flow()
    async for batch in made("DeduplicatePipe", within_s=0.05).process(stream()):
        flow.settle(batch)

    assert flow.values == [1.0, 1.0]


# rate


@given(st.integers(0, 30), SIZES, st.integers(1, 5))
def test_what_comes_too_early_is_left_out(number: int, sizes: list[int], burst: int) -> None:
    pipe = made("RateLimitPipe", max_per_s=1e-6, burst=burst)
    flow = passed(pipe, *cut(list(range(number)), sizes))

    assert flow.values == list(range(min(number, burst)))


@given(st.integers(0, 30), SIZES)
def test_the_latest_passes_when_it_may(number: int, sizes: list[int]) -> None:
    pipe = made("RateLimitPipe", max_per_s=1e-6, mode="latest")
    batches = cut(list(range(number)), sizes)
    flow = passed(pipe, *batches)

    first = next((list(batch.values) for batch in batches if batch.values), None)
    expected = [] if first is None else sorted({len(first) - 1, number - 1})
    assert flow.values == expected, "at the end at once"


async def test_the_latest_comes_by_itself() -> None:
    ended = asyncio.Event()

    async def stream() -> AsyncIterator[Batch]:
        yield Batch([1.0])
        yield Batch([2.0])
        yield Batch([3.0])
        await ended.wait()

    output = made("RateLimitPipe", max_per_s=20, mode="latest").process(stream())
    found: list[Any] = []
    began_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        while len(found) < 2:
            found += (await anext(output)).values
    elapsed_s = asyncio.get_running_loop().time() - began_s
    await output.aclose()  # type: ignore[attr-defined]

    assert found == [1.0, 3.0]
    assert elapsed_s >= 0.05 - 1e-3


@pytest.mark.parametrize("per_s", [200.0, 2000.0])
async def test_delayed_records_all_pass_at_the_rate(per_s: float) -> None:
    number = int(per_s / 10)
    began_s = asyncio.get_running_loop().time()
    pipe = made("RateLimitPipe", max_per_s=per_s, mode="delay")

    flow = await through(pipe, Batch(list(range(number))), Batch([number]))

    elapsed_s = asyncio.get_running_loop().time() - began_s
    burst = max(1, per_s / 100)
    assert flow.values == list(range(number + 1))
    assert elapsed_s >= (number + 1 - burst) / per_s - 1e-3
    assert len(flow.outputs) <= number / burst + 2, "not a wait for each record"


# latest only


@given(st.lists(st.integers(0, 4)), SIZES)
def test_the_newest_of_each_key_is_left(ids: list[int], sizes: list[int]) -> None:
    pipe = made("LatestOnlyPipe", OBJECT, key_path="id")
    records = [{"id": n, "at": at} for at, n in enumerate(ids)]
    flow = passed(pipe, *cut(records, sizes))

    newest = {record["id"]: record for record in records}
    left = [value["at"] for value in flow.values]
    assert left == sorted(left)
    assert {value["id"]: value for value in flow.values} == newest


async def test_while_the_sink_is_busy_only_the_newest_is_kept() -> None:
    gates = [asyncio.Event() for _ in range(2)]

    async def stream() -> AsyncIterator[Batch]:
        yield Batch([0.0])
        await gates[0].wait()
        for number in range(1, 100):
            yield Batch([float(number)])
        gates[1].set()

    output = made("LatestOnlyPipe").process(stream())
    flow = Flow()
    async with asyncio.timeout(10):
        flow.settle(await anext(output))
        gates[0].set()
        await gates[1].wait()
        async for batch in output:
            flow.settle(batch)

    assert flow.values == [0.0, 99.0]
    assert flow.source_records == 100


async def test_the_source_is_held_up_when_too_much_waits() -> None:
    read: list[int] = []

    async def stream() -> AsyncIterator[Batch]:
        for number in range(50):
            read.append(number)
            yield Batch([float(number)])

    output = made("LatestOnlyPipe", max_records=5).process(stream())
    async with asyncio.timeout(10):
        first = await anext(output)
        while len(read) < 5:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        ahead = len(read)
        rest = [batch async for batch in output]

    assert ahead <= 11
    assert sum(batch.source_records for batch in [first, *rest]) == 50
    assert rest[-1].values == [49.0]


async def test_an_error_of_the_source_comes_behind_what_it_gave() -> None:
    async def stream() -> AsyncIterator[Batch]:
        yield Batch([1.0])
        raise ZeroDivisionError

    output = made("LatestOnlyPipe").process(stream())
    assert (await anext(output)).values == [1.0]
    with pytest.raises(ZeroDivisionError):
        await anext(output)


# split


@given(st.lists(st.integers(0, 3)), SIZES)
def test_elements_are_numpys(lengths: list[int], sizes: list[int]) -> None:
    spec = DataSpec.of("int16", [-1, 2])
    wholes = [np.arange(2 * n, dtype="i2").reshape(n, 2) for n in lengths]
    flow = passed(made("SplitPipe", spec), *cut(wholes, sizes))

    assert equal(np.array(flow.values).reshape(-1, 2), np.concatenate([np.empty((0, 2)), *wholes]))
    assert flow.filtered == lengths.count(0)
    assert output("SplitPipe", spec) == DataSpec.of("int16", [2])


async def test_elements_of_a_vector_are_scalars_with_the_metadata_of_the_whole() -> None:
    spec = DataSpec.of("float32", [2])
    batch = Batch([np.array([1, 2], "f4")], [Metadata(key=b"k")], weights=[5])

    flow = await through(made("SplitPipe", spec), batch)

    (parts,) = flow.outputs
    assert [type(value) for value in flow.values] == [float, float]
    assert [record.metadata.key for record in parts.records()] == [b"k", b"k"]
    assert parts.weights == [0, 5]


async def test_lists_are_split_and_other_objects_are_refused() -> None:
    flow = await through(made("SplitPipe", OBJECT), Batch([[1, {"a": 2}], {"b": 3}, [], "text"]))

    assert flow.values == [1, {"a": 2}]
    assert (len(flow.failures), flow.filtered) == (2, 1)


async def test_a_whole_is_acknowledged_with_its_elements() -> None:
    released: list[bool] = []
    batch = Batch([[1, 2]], acknowledgements=(Acknowledgement(lambda: released.append(True)),))

    async def stream() -> AsyncIterator[Batch]:
        yield batch

    (parts,) = [part async for part in made("SplitPipe", OBJECT).process(stream())]

    assert not released
    assert len(parts.acknowledgements) == 1


# what is told when it is configured


@pytest.mark.parametrize(
    ("name", "spec", "options", "told"),
    [
        ("DeadbandPipe", OBJECT, {}, "allowed: numbers"),
        ("DeadbandPipe", OBJECT, {"path": "a["}, "path: found 'a['"),
        ("DeadbandPipe", FLOAT, {"key_path": "a["}, "key_path: found 'a['"),
        ("DeadbandPipe", FLOAT, {"key": "record", "key_path": "a"}, "key_path: there is a key"),
        ("DeduplicatePipe", FLOAT, {"by": "key"}, "by: needs a key"),
        ("DeduplicatePipe", FLOAT, {"by": "header", "key": "source"}, "key: has no use"),
        ("LatestOnlyPipe", FLOAT, {"key_path": "nope(@)"}, "key_path: found 'nope(@)'"),
        ("SplitPipe", FLOAT, {}, "only arrays and lists have elements"),
        ("RateLimitPipe", FLOAT, {"max_per_s": 0}, "max_per_s: found 0"),
    ],
)
def test_what_cannot_work_is_told_when_it_is_configured(
    name: str, spec: DataSpec, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        output(name, spec, **options)

    assert told in str(refused.value)
