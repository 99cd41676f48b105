"""TumblingWindowPipe and SlidingWindowPipe against numpy (component contract, 5.1 to 5.4)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.protocols import HoldingPipe
from queueconnector_core.record import Batch, Metadata, Quality
from tests.core.piping import FLOAT, OBJECT, Flow, at, cut, made, output, passed, through

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "mean": np.mean, "min": np.min, "max": np.max, "sum": np.sum, "median": np.median,
    "std": np.std, "count": lambda a, **_: len(a), "first": lambda a, **_: a[0],
    "last": lambda a, **_: a[-1],
}  # fmt: skip
SIZES = st.lists(st.integers(0, 5), max_size=4)
FLOATS = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan))


def reduced(name: str, windows: Sequence[Sequence[Any]], spec: DataSpec) -> list[Any]:
    return [REDUCTIONS[name](np.array(window, spec.dtype), axis=0) for window in windows]


@given(FLOATS, SIZES, st.integers(1, 6), st.sampled_from(list(REDUCTIONS)))
def test_tumbling_by_count_is_numpy_over_slices(
    values: list[float], sizes: list[int], count: int, reduce: str
) -> None:
    flow = passed(made("TumblingWindowPipe", reduce=reduce, count=count), *cut(values, sizes))

    slices = [values[at : at + count] for at in range(0, len(values), count)]
    np.testing.assert_array_equal(flow.values, reduced(reduce, slices, FLOAT))
    assert [batch.source_records for batch in flow.outputs if len(batch)] == list(map(len, slices))


@given(FLOATS, SIZES, st.integers(1, 6), st.integers(1, 6))
def test_sliding_by_count_is_numpy_over_overlapping_slices(
    values: list[float], sizes: list[int], count: int, step: int
) -> None:
    step = min(step, count)
    pipe = made("SlidingWindowPipe", reduce="sum", count=count, step_count=step)
    flow = passed(pipe, *cut(values, sizes))

    ends = range(step, len(values) + count, step)
    slices = [values[max(0, end - count) : end] for end in ends]
    np.testing.assert_array_equal(
        flow.values, reduced("sum", [part for part in slices if part], FLOAT)
    )


@st.composite
def stamped(draw: st.DrawFn) -> tuple[list[tuple[int, float]], int]:
    """Records (time in s, value) in an order that is off by at most the lateness."""
    times = sorted(draw(st.lists(st.integers(0, 40), max_size=25)))
    lateness = draw(st.integers(0, 6))
    shifted = [(time + draw(st.integers(0, lateness)), number) for number, time in enumerate(times)]
    return [(times[number], float(number)) for _, number in sorted(shifted)], lateness


@given(stamped(), SIZES, st.integers(1, 12), st.integers(1, 12))
def test_windows_of_event_time_hold_what_belongs_to_them(
    records: tuple[list[tuple[int, float]], int], sizes: list[int], span: int, step: int
) -> None:
    step = min(step, span)
    known, lateness = records
    pipe = made("SlidingWindowPipe", reduce="sum", span_s=span, step_s=step, event_time=True,
                lateness_s=lateness)  # fmt: skip
    times = iter(at(*(time for time, _ in known)))
    parts = cut([value for _, value in known], sizes)
    flow = passed(pipe, *(Batch(part.values, [next(times) for _ in part.values]) for part in parts))

    ends = range(step, 40 + span + step, step)
    windows = [[v for time, v in known if end - span <= time < end] for end in ends]
    assert flow.failures == []
    assert flow.values == [sum(window) for window in windows if window]


async def test_a_record_that_comes_too_late_is_refused() -> None:
    pipe = made("TumblingWindowPipe", reduce="sum", span_s=10, event_time=True, lateness_s=5)
    batches = [
        Batch([value], at(time))
        for time, value in [(3, 1.0), (12, 2.0), (9, 4.0), (15, 8.0), (9, 16.0), (31, 32.0)]
    ]

    flow = await through(pipe, *batches)

    assert flow.values == [5.0, 10.0, 32.0]
    assert flow.failures == ["it came too late: its windows are closed"]


async def test_a_record_without_a_time_stamp_belongs_to_no_window() -> None:
    pipe = made("TumblingWindowPipe", reduce="sum", span_s=10, event_time=True)

    flow = await through(pipe, Batch([1.0, 2.0], [Metadata(), Metadata(5)]), Batch([4.0]))

    assert flow.values == [2.0]
    assert len(flow.failures) == 2


@pytest.mark.parametrize("event_time", [False, True])
async def test_a_window_closes_by_itself(event_time: bool) -> None:
    ended = asyncio.Event()

    async def stream() -> AsyncIterator[Batch]:
        yield Batch([1.0, 2.0], at(1.0, 1.0))
        await ended.wait()

    pipe = made("TumblingWindowPipe", reduce="sum", span_s=0.05, event_time=event_time)
    output = pipe.process(stream())
    began_s = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        window = await anext(output)
    elapsed_s = asyncio.get_running_loop().time() - began_s
    await output.aclose()  # type: ignore[attr-defined]

    assert window.values == [3.0]
    assert elapsed_s >= 0.05 - 1e-3


async def test_windows_of_arrival_slide_with_the_clock() -> None:
    step = asyncio.Event()

    async def stream() -> AsyncIterator[Batch]:
        yield Batch([1.0])
        await step.wait()
        yield Batch([2.0])

    flow = Flow()
    pipe = made("SlidingWindowPipe", reduce="sum", span_s=0.2, step_s=0.1)
    async with asyncio.timeout(10):
        async for batch in pipe.process(stream()):
            flow.settle(batch)
            step.set()

    assert flow.values[0] == 1.0
    assert flow.values[-1] == 2.0
    assert sum(flow.values) in {6.0, 7.0}, "each record is in two windows, but at the very edge"


async def test_records_are_acknowledged_with_the_last_of_their_windows() -> None:
    pipe = made("SlidingWindowPipe", reduce="count", count=4, step_count=2)

    flow = await through(pipe, Batch([0.0] * 3), Batch([0.0] * 3), Batch([0.0] * 2))

    assert flow.values == [2, 4, 4, 4, 2]
    assert [batch.source_records for batch in flow.outputs] == [0, 2, 2, 2, 2]
    assert flow.settled_at == [3, 4, 5]


async def test_a_window_has_the_metadata_of_its_newest_record_and_remembers_all() -> None:
    pipe = made("TumblingWindowPipe", reduce="mean", count=2)

    flow = await through(pipe, Batch([1.0], at(1)), Batch([2.0], at(2)))

    (record,) = [record for batch in flow.outputs for record in batch.records()]
    assert record.metadata.timestamp_ns == at(2)[0].timestamp_ns
    assert list(record.metadata.originals()) == at(1, 2)


async def test_failures_pass_at_once_and_invalid_values_are_left_out() -> None:
    pipe = made("TumblingWindowPipe", reduce="sum", count=10)
    known = [Metadata(), Metadata(quality=Quality.INVALID)]

    flow = await through(pipe, Batch([1.0, None], known, [RecordError("garbled", 3)]), Batch([2.0]))

    assert [len(batch) for batch in flow.outputs] == [0, 1]
    assert flow.values == [3.0]
    assert flow.filtered == 1
    assert flow.released == [0, 1]
    assert flow.settled_at == [2, 2], "nothing is acknowledged before its window"


async def test_what_is_held_is_bounded() -> None:
    pipe = made("TumblingWindowPipe", reduce="sum", span_s=3600, max_records=3)

    flow = await through(pipe, Batch([1.0, 2.0]), Batch([3.0, 4.0, 5.0]))

    assert flow.values == [6.0]
    assert len(flow.failures) == 2


async def test_a_batch_may_be_larger_than_a_window() -> None:
    pipe = made("TumblingWindowPipe", reduce="sum", count=2, max_records=2)

    flow = await through(pipe, Batch([1.0] * 7))

    assert flow.values == [2.0, 2.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("dtype", "shape", "reduce", "result"),
    [
        ("float32", [], "mean", "float32"),
        ("int16", [3], "mean", "float64"),
        ("int16", [3], "sum", "int64"),
        ("bool", [], "sum", "int64"),
        ("bool", [], "std", "float64"),
        ("uint8", [2, 2], "max", "uint8"),
        ("uint8", [2], "median", "float64"),
        ("complex64", [], "mean", "complex64"),
        ("complex64", [], "std", "float32"),
        ("datetime64[ms]", [], "min", "datetime64[ms]"),
        ("str", [], "last", "str"),
        ("float64", [-1], "first", "float64"),
    ],
)
async def test_a_reduction_has_numpys_dtype(
    dtype: str, shape: list[int], reduce: str, result: str
) -> None:
    spec = DataSpec.of(dtype, shape)
    sizes = tuple(2 if size < 0 else size for size in shape)
    array = np.arange(4 * math.prod(sizes)).reshape(4, *sizes).astype(spec.dtype)
    values = array.tolist() if not shape and dtype != "datetime64[ms]" else list(array)

    flow = await through(made("TumblingWindowPipe", spec, reduce=reduce, count=4), Batch(values))

    stated = output("TumblingWindowPipe", spec, reduce=reduce, count=4)
    assert stated == DataSpec.of(result, shape)
    np.testing.assert_array_equal(flow.values[0], REDUCTIONS[reduce](array, axis=0))
    if shape:
        assert flow.values[0].dtype == stated.dtype


def test_how_long_records_are_held_is_stated() -> None:
    def longest(**options: Any) -> float:
        pipe = made("TumblingWindowPipe", reduce="sum", **options)
        assert isinstance(pipe, HoldingPipe)
        return pipe.longest_hold_s

    assert longest(span_s=5) == 5
    assert longest(span_s=5, event_time=True, lateness_s=1) == 12
    assert longest(count=5) == math.inf


@pytest.mark.parametrize(
    ("name", "spec", "options", "told"),
    [
        ("TumblingWindowPipe", FLOAT, {}, "needs either count or span_s"),
        ("TumblingWindowPipe", FLOAT, {"count": 1, "span_s": 1}, "needs either count or span_s"),
        ("TumblingWindowPipe", FLOAT, {"count": 1, "event_time": True}, "event_time: has no use"),
        ("TumblingWindowPipe", FLOAT, {"span_s": 1, "lateness_s": 1}, "lateness_s: has no use"),
        ("TumblingWindowPipe", FLOAT, {"count": 9, "max_records": 5}, "count: allowed: at most"),
        ("TumblingWindowPipe", OBJECT, {"count": 1}, "reduce: there is no mean of object"),
        ("TumblingWindowPipe", DataSpec.of("float64", [-1]), {"count": 1}, "reduce: there is no"),
        ("SlidingWindowPipe", FLOAT, {"span_s": 1}, "step_s: is required"),
        ("SlidingWindowPipe", FLOAT, {"span_s": 1, "step_s": 2}, "step_s: allowed: from a"),
        ("SlidingWindowPipe", FLOAT, {"count": 2, "step_count": 3}, "step_count: allowed: from a"),
        ("SlidingWindowPipe", FLOAT, {"count": 2, "step_s": 3}, "step_s: has no use here"),
    ],
)
def test_what_cannot_work_is_told_when_it_is_configured(
    name: str, spec: DataSpec, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        output(name, spec, reduce="mean", **options)

    assert told in str(refused.value)
