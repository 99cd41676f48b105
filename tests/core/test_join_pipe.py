"""JoinPipe: records of several sources that belong together (component contract, 5.1 to 5.4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError
from queueconnector_core.record import Batch, Metadata
from tests.core.piping import FLOAT, OBJECT, SECOND_NS, Flow, cut, made, output, passed, through

SOURCES = {"az": "*/azimuth", "el": "*/elevation"}
NAMES = {"az": "tango://db:10000/mid/dish/1/azimuth", "el": "tango://db:10000/mid/dish/1/elevation"}


def of(name: str, time: float | None = None, key: bytes | None = None) -> Metadata:
    stamp = None if time is None else round(time * SECOND_NS)
    return Metadata(stamp, key=key, source=NAMES.get(name, name))


@given(
    st.lists(st.tuples(st.sampled_from(["az", "el"]), st.integers(0, 3)), max_size=30),
    st.lists(st.integers(0, 4), max_size=4),
)
def test_by_key_each_record_is_joined_once_or_refused(
    records: list[tuple[str, int]], sizes: list[int]
) -> None:
    values = [{"id": key, "n": n} for n, (_, key) in enumerate(records)]
    batches = cut(values, sizes)
    known = iter([of(name) for name, _ in records])
    batches = [Batch(batch.values, [next(known) for _ in batch.values]) for batch in batches]
    flow = passed(made("JoinPipe", OBJECT, sources=SOURCES, key_path="id"), *batches)

    waiting: dict[int, dict[str, int]] = {}
    expected = []
    for n, (name, key) in enumerate(records):
        parts = waiting.setdefault(key, {})
        parts[name] = n
        if len(parts) == 2:
            expected.append({side: values[parts[side]] for side in ("az", "el")})
            del waiting[key]
    assert flow.values == expected
    assert len(flow.failures) == len(records) - 2 * len(expected)


@given(
    st.lists(st.integers(0, 60), unique=True), st.lists(st.integers(0, 60), unique=True),
    st.integers(0, 3), st.randoms(use_true_random=False),
)  # fmt: skip
def test_by_time_the_result_is_that_of_sorted_lists(
    az: list[int], el: list[int], tolerance: int, random: Any
) -> None:
    """However the two sources are mixed, the join is that of their time stamps."""
    left, right = sorted(az), sorted(el)
    order = ["az"] * len(left) + ["el"] * len(right)
    random.shuffle(order)
    times = {"az": iter(left), "el": iter(right)}
    known = [of(name, next(times[name])) for name in order]
    values = [(metadata.timestamp_ns or 0) / SECOND_NS for metadata in known]
    pipe = made("JoinPipe", sources=SOURCES, tolerance_s=tolerance, form="array")
    flow = passed(pipe, *[Batch([v], [m]) for v, m in zip(values, known, strict=True)])

    expected = []
    while left and right:
        if abs(left[0] - right[0]) <= tolerance:
            expected.append([left.pop(0), right.pop(0)])
        else:
            (left if left[0] < right[0] else right).pop(0)
    assert [value.tolist() for value in flow.values] == expected
    assert len(flow.failures) == len(order) - 2 * len(expected)


async def test_arrays_are_stacked_in_the_order_of_the_sources() -> None:
    spec = DataSpec.of("int16", [2])
    pipe = made("JoinPipe", spec, sources=SOURCES, key="record", form="array")
    values = [np.array([3, 4], "i2"), np.array([1, 2], "i2")]

    flow = await through(pipe, Batch(values, [of("el", 1, b"k"), of("az", 2, b"k")]))

    (joined,) = [record for batch in flow.outputs for record in batch.records()]
    assert output("JoinPipe", spec, sources=SOURCES, key="record", form="array") == DataSpec.of(
        "int16", [2, 2]
    )
    assert joined.value.tolist() == [[1, 2], [3, 4]]  # type: ignore[union-attr]
    assert joined.value.dtype == np.int16  # type: ignore[union-attr]
    assert joined.metadata.timestamp_ns == 2 * SECOND_NS
    assert len(list(joined.metadata.originals())) == 2


async def test_records_that_belong_nowhere_are_refused() -> None:
    pipe = made("JoinPipe", sources=SOURCES, tolerance_s=1)
    known = [of("az", 1), of("other", 1), of("el"), Metadata(SECOND_NS), of("el", 1.5)]

    flow = await through(pipe, Batch([0.0, 1.0, 2.0, 3.0, 4.0], known))

    assert flow.values == [{"az": 0.0, "el": 4.0}]
    assert len(flow.failures) == 3


@pytest.mark.parametrize("unmatched", ["refuse", "leave_out"])
async def test_what_finds_no_partners_is_let_go_in_time(unmatched: str) -> None:
    ended = asyncio.Event()

    async def stream() -> AsyncIterator[Batch]:
        (batch,) = flow.acknowledging([Batch([1.0], [of("az", key=b"k")])])
        yield batch
        await ended.wait()

    flow = Flow()
    pipe = made("JoinPipe", sources=SOURCES, key="record", timeout_s=0.05, unmatched=unmatched)
    output = pipe.process(stream())
    async with asyncio.timeout(10):
        flow.settle(await anext(output))
    await output.aclose()  # type: ignore[attr-defined]

    refused = unmatched == "refuse"
    assert flow.released == [0]
    assert (len(flow.failures), flow.filtered) == ((1, 0) if refused else (0, 1))


async def test_a_key_that_is_replaced_for_ever_does_not_hold_up_the_others() -> None:
    last = asyncio.Event()

    async def stream() -> AsyncIterator[Batch]:
        yield Batch([0.0], [of("az", key=b"again")])
        yield Batch([1.0], [of("az", key=b"once")])
        while not last.is_set():
            await asyncio.sleep(0.01)
            yield Batch([0.0], [of("az", key=b"again")])

    given_up: set[bytes | None] = set()
    pipe = made("JoinPipe", sources=SOURCES, key="record", timeout_s=0.05)
    async with asyncio.timeout(10):
        async for batch in pipe.process(stream()):
            given_up |= {each.key for failure in batch.failures for each in failure.origins}
            if b"once" in given_up:
                last.set()

    assert given_up == {b"again", b"once"}


@pytest.mark.parametrize("by", [{"key": "record"}, {"tolerance_s": 0}])
async def test_what_waits_is_bounded(by: dict[str, Any]) -> None:
    pipe = made("JoinPipe", sources=SOURCES, max_keys=3, **by)
    known = [of("az", n, str(n).encode()) for n in range(10)]

    flow = await through(pipe, Batch(list(map(float, range(10))), known))
    first = [len(batch.failures) for batch in flow.outputs]

    assert sum(first) == 10
    assert first[:7] == [1] * 7, "one by one, before the end"


@pytest.mark.parametrize(
    ("spec", "options", "told"),
    [
        (FLOAT, {}, "needs either tolerance_s or one of key and key_path"),
        (FLOAT, {"tolerance_s": 1, "key": "record"}, "needs either tolerance_s or one of key"),
        (FLOAT, {"key": "source"}, "key: found source"),
        (OBJECT, {"key_path": "a["}, "key_path: found 'a['"),
        (OBJECT, {"key": "record", "form": "array"}, "form: found object"),
    ],
)
def test_what_cannot_work_is_told_when_it_is_configured(
    spec: DataSpec, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        output("JoinPipe", spec, sources=SOURCES, **options)

    assert told in str(refused.value)
