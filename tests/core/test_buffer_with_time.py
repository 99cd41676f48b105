"""BufferWithTimePipe: windows of time (component contract, rules 5.1 to 5.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.pipes.buffer_with_time import (
    BufferWithTimePipe,
    BufferWithTimePipeDescriptor,
)
from queueconnector_core.record import Acknowledgement, Batch, Metadata, Quality
from queueconnector_core.registry import Registry

FLOAT = DataSpec.of("float64")
LONG_S = 3600.0


def pipe(spec: DataSpec = FLOAT, **options: Any) -> BufferWithTimePipe:
    """A pipe as a configuration builds it."""
    descriptor = BufferWithTimePipeDescriptor(**options)
    return BufferWithTimePipe(descriptor, BuildContext(spec, Registry()))


async def stream(*batches: Batch) -> AsyncIterator[Batch]:
    """Batches that are all there at once, then the end."""
    for batch in batches:
        yield batch


async def windows(made: BufferWithTimePipe, *batches: Batch) -> list[Any]:
    """The values of all windows."""
    return [
        value for out in [b async for b in made.process(stream(*batches))] for value in out.values
    ]


@pytest.mark.parametrize(
    ("dtype", "shape", "output"),
    [
        ("float64", [], [-1]),
        ("int32", [3], [-1, 3]),
        ("str", [], [-1]),
        ("bool", [2, 4], [-1, 2, 4]),
        ([["a", "int32"], ["b", "U8"]], [2], [-1, 2]),
        ("object", [], []),
    ],
)
def test_the_output_has_one_dimension_more(
    dtype: object, shape: list[int], output: list[int]
) -> None:
    spec = DataSpec.of(dtype, shape)

    assert BufferWithTimePipeDescriptor().output(spec) == DataSpec.of(dtype, output)


@pytest.mark.parametrize(("dtype", "shape"), [("bytes", []), ("float64", [-1])])
def test_what_has_no_such_output_is_refused(dtype: str, shape: list[int]) -> None:
    with pytest.raises(ConfigError):
        BufferWithTimePipeDescriptor().output(DataSpec.of(dtype, shape))


@pytest.mark.parametrize(
    ("spec", "values", "expected"),
    [
        (FLOAT, [1.0, np.nan, 3.0], np.array([1.0, np.nan, 3.0])),
        (DataSpec.of("int16", [2]), [np.array([1, 2], "i2")] * 2, np.array([[1, 2]] * 2, "i2")),
        (DataSpec.of("str"), ["é", "long text"], np.array(["é", "long text"])),
        (
            DataSpec.of([["a", "int32"]]),
            [np.array((1,), [("a", "i4")])[()], np.array((2,), [("a", "i4")])[()]],
            np.array([(1,), (2,)], [("a", "i4")]),
        ),
        (
            DataSpec.of([["a", "int32"]], [1]),
            [np.array([(1,)], [("a", "i4")])] * 2,
            np.array([[(1,)], [(1,)]], [("a", "i4")]),
        ),
    ],
)
async def test_values_are_gathered_in_one_array(
    spec: DataSpec, values: list[Any], expected: np.ndarray[Any, Any]
) -> None:
    (gathered,) = await windows(pipe(spec, timespan=LONG_S), *(Batch([value]) for value in values))

    assert gathered.dtype == expected.dtype
    np.testing.assert_array_equal(gathered, expected)


async def test_objects_are_gathered_in_a_list() -> None:
    values = [{"a": 1}, [2], None]

    assert await windows(pipe(DataSpec.of("object"), timespan=LONG_S), Batch(values)) == [values]


@pytest.mark.parametrize(
    ("spec", "good"),
    [
        (DataSpec.of("int32"), [1, 2]),
        (DataSpec.of("bool"), [True, False]),
        (DataSpec.of("str"), ["a", "b"]),
        (DataSpec.of("float64", [2]), [np.zeros(2), np.ones(2)]),
    ],
    ids=str,
)
async def test_an_invalid_value_that_an_array_cannot_hold_is_in_none(
    spec: DataSpec, good: list[Any]
) -> None:
    qualities = [Quality.VALID, Quality.INVALID, Quality.VALID]
    metadata = [Metadata(quality=quality) for quality in qualities]
    batch = Batch([good[0], None, good[1]], metadata)
    alone = Batch([None], metadata[1:2])

    (out, rest) = [b async for b in pipe(spec).process(stream(batch, alone))]

    (value,) = out.values
    np.testing.assert_array_equal(value, np.array(good, spec.dtype))
    assert (out.filtered, out.source_records) == (1, 3)
    assert (len(rest), rest.filtered) == (0, 1)


async def test_an_invalid_float_is_not_a_number() -> None:
    batch = Batch([1.0, None], [Metadata(), Metadata(quality=Quality.INVALID)])

    np.testing.assert_array_equal(await windows(pipe(), batch), [[1.0, np.nan]])


async def test_a_timespan_of_zero_passes_each_batch_at_once() -> None:
    found = await windows(pipe(), Batch([1.0, 2.0]), Batch([3.0]))

    assert [value.tolist() for value in found] == [[1.0, 2.0], [3.0]]


async def test_a_window_closes_on_time_when_nothing_more_arrives() -> None:
    endless = asyncio.Event()

    async def silent_after_one() -> AsyncIterator[Batch]:
        yield Batch([1.0])
        await endless.wait()

    output = pipe(timespan=0.05).process(silent_after_one())
    started = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        window = await anext(output)
    elapsed_s = asyncio.get_running_loop().time() - started
    await output.aclose()  # type: ignore[attr-defined]

    assert window.values[0].tolist() == [1.0]  # type: ignore[union-attr]
    assert elapsed_s >= 0.05


async def test_no_window_is_empty() -> None:
    refused = Batch([], failures=[RecordError("no value")])
    outputs = [batch async for batch in pipe(timespan=0.001).process(stream(refused))]

    assert [list(batch.values) for batch in outputs] == [[]]
    assert outputs[0].failures == refused.failures


async def test_the_open_window_is_flushed_when_the_input_ends() -> None:
    assert [v.tolist() for v in await windows(pipe(timespan=LONG_S), Batch([1.0]))] == [[1.0]]
    assert await windows(pipe(timespan=LONG_S)) == []


@given(
    sizes=st.lists(st.integers(1, 30), max_size=8),
    max_records=st.integers(1, 10),
)
def test_a_full_window_closes_and_nothing_is_lost(sizes: Sequence[int], max_records: int) -> None:
    numbers = iter(range(1000))
    released: list[int] = []
    batches = [
        Batch(
            [float(next(numbers)) for _ in range(size)],
            acknowledgements=(Acknowledgement(lambda i=i: released.append(i)),),  # type: ignore[misc]
        )
        for i, size in enumerate(sizes)
    ]

    async def run() -> list[Batch]:
        made = pipe(timespan=LONG_S, max_records=max_records)
        outputs = []
        async for output in made.process(stream(*batches)):
            outputs.append(output)
            for acknowledgement in output.acknowledgements:
                acknowledgement.release()
        return outputs

    outputs = asyncio.run(run())
    gathered = [value for output in outputs for value in output.values[0].tolist()]  # type: ignore[union-attr]

    assert gathered == [float(n) for n in range(sum(sizes))]
    assert all(len(output.values[0]) == max_records for output in outputs[:-1])  # type: ignore[arg-type]
    assert sum(output.source_records for output in outputs) == sum(sizes)
    assert released == list(range(len(sizes)))


async def test_acknowledgements_are_held_with_the_records() -> None:
    released: list[str] = []
    first, second = (
        Batch([value], acknowledgements=(Acknowledgement(lambda n=name: released.append(n)),))  # type: ignore[misc]
        for name, value in (("first", 1.0), ("second", 2.0))
    )
    (window,) = [b async for b in pipe(timespan=LONG_S).process(stream(first, second))]

    before = list(released)
    for acknowledgement in window.acknowledgements:
        acknowledgement.release()

    assert (before, released) == ([], ["first", "second"])


async def test_a_window_has_the_metadata_of_its_newest_record() -> None:
    batches = [Batch([1.0], [Metadata(timestamp_ns=1)]), Batch([2.0], [Metadata(timestamp_ns=2)])]

    (window,) = [b async for b in pipe(timespan=LONG_S).process(stream(*batches))]

    assert [record.metadata.timestamp_ns for record in window.records()] == [2]
