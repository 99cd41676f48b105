"""Records on their way, as a viewer sees them over HTTP."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime
from typing import Any

import hypothesis.extra.numpy as arrays
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queueconnector_core.expression import compile_expression
from queueconnector_core.record import Metadata, Quality, Record, TimestampOrigin
from queueconnector_core.tap import MAX_KEPT
from queueconnector_core.testing.doubles import until
from queueconnector_core.web.shown import Look, plain
from tests.web.conftest import Serving, streaming

ENDLESS = list(range(5_000))


async def test_a_view_gives_records_until_its_limit_and_then_nobody_looks(site: Serving) -> None:
    host = await site(a=[streaming("view", ENDLESS, 0.001)])
    records = await host.tap("a[0]", "stage=sink[0]&limit=5")
    values = [record["value"] for record in records]
    assert values == list(range(values[0], values[0] + 5))
    assert not host.connector.exchanges[0].taps.are_watched


async def test_select_shows_what_it_finds_and_leaves_out_the_rest(site: Serving) -> None:
    data = [{"n": n, "name": "odd"} if n % 2 else {"n": n} for n in range(3_000)]
    host = await site(a=[streaming("select", data, 0.001, dtype="object")])
    records = await host.tap("a[0]", "stage=source&limit=4&select=name%20%26%26%20n")
    assert all(record["value"] % 2 for record in records)


@pytest.mark.parametrize(
    ("query", "code", "told"),
    [
        ("stage=pipe", 400, "stage: found 'pipe'; allowed: source, sink"),
        ("limit=0", 400, "limit: found '0'"),
        ("limit=x", 400, "limit: found 'x'"),
        ("max_items=10000000", 400, "max_items: found"),
        ("select=a%5B", 400, "select: found 'a[', which is no JMESPath"),
        ("select=" + "a" * 1001, 400, "select: has more than 1000 characters"),
    ],
)
async def test_a_view_that_cannot_be_is_refused(
    site: Serving, query: str, code: int, told: str
) -> None:
    host = await site(start=False, a=[streaming("refused", [])])
    found, text, _ = await host.ask(f"api/exchanges/a%5B0%5D/tap?{query}")
    assert found == code
    assert told in json.loads(text)["error"]


async def test_a_view_of_nothing_is_not_found(site: Serving) -> None:
    host = await site()
    assert (await host.ask("api/exchanges/a%5B0%5D/tap"))[0] == 404


async def test_a_viewer_who_does_not_read_loses_only_records_of_the_view(site: Serving) -> None:
    data = [[float(n)] * 2000 for n in range(200)]
    exchange = streaming("slow", data, 0.0005, dtype="float64", shape=[2000])
    host = await site(a=[exchange])
    statistics = host.connector.exchanges[0].statistics
    async with host.client.get(f"{host.address}api/exchanges/a%5B0%5D/tap") as answer:
        await until(lambda: statistics.delivered == 200, 30)
        rest = await asyncio.wait_for(answer.content.readline(), 5)
        first = json.loads(rest)
    assert statistics.dropped == statistics.in_flight == 0
    assert first["value"][0] < 200


async def test_a_fast_stream_is_shown_in_part_and_the_rest_is_counted(site: Serving) -> None:
    host = await site(start=False, a=[streaming("fast", list(range(20_000)))])
    watching = asyncio.create_task(host.tap("a[0]", f"limit={MAX_KEPT + 1}&stage=source"))
    await until(lambda: host.connector.exchanges[0].taps.are_watched)
    await host.connector.start()
    await until(lambda: host.connector.exchanges[0].statistics.delivered == 20_000, 30)
    await host.connector.settled()
    await host.connector.start()
    records = await watching
    assert records[-1]["skipped"] > 1000
    assert [record["value"] for record in records[:MAX_KEPT]] == list(range(MAX_KEPT))


async def test_a_view_of_an_exchange_that_is_replaced_ends(site: Serving) -> None:
    host = await site(start=False, a=[streaming("gone", [])])
    watching = asyncio.create_task(host.tap("a[0]", ""))
    await until(lambda: host.connector.exchanges[0].taps.are_watched)
    await host.connector.configure("")
    assert await asyncio.wait_for(watching, 10) == []


async def test_a_viewer_who_goes_is_noticed(site: Serving) -> None:
    host = await site(start=False, a=[streaming("left", [])])
    taps = host.connector.exchanges[0].taps
    answer = await host.client.get(f"{host.address}api/exchanges/a%5B0%5D/tap")
    assert taps.are_watched
    answer.close()
    await until(lambda: not taps.are_watched, 10)


# How a record is shown


def shown(value: Any, **look: Any) -> Any:
    """A value as it arrives at the viewer."""
    told = Look(**look).shown(Record(value))
    return json.loads(msgspec.json.encode(told), parse_constant=pytest.fail)


def test_all_that_is_known_of_a_record_is_shown() -> None:
    moment_ns = 1_700_000_000_123_456_789
    metadata = Metadata(
        moment_ns, TimestampOrigin.SOURCE, b"ska\xff001", (("ce_id", b"7"),), Quality.ALARM,
        "topic[3]@1042", "tango://host/a", "change",
    )  # fmt: skip
    told = Look().shown(Record(1, metadata))
    assert told is not None
    assert datetime.fromisoformat(told["time"][:26]).replace(tzinfo=UTC).timestamp() > 1.69e9
    assert told | {"time": None} == {
        "time": None, "time_origin": "source", "quality": "ALARM", "key": "ska\\xff001",
        "headers": [["ce_id", "7"]], "position": "topic[3]@1042", "source": "tango://host/a",
        "event": "change", "value": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (2**63, 2**63), (True, True), ("é", "é"), (1.5, 1.5), (None, None),
        (math.nan, "NaN"), (-math.inf, "-Infinity"), (1 + 2j, [1.0, 2.0]),
        (("json", b"\x00\x01"), {"format": "json", "octets": 2, "base64": "AAE="}),
        (np.array([1.0, math.inf]), [1.0, "Infinity"]),
        (np.array([[1, 2], [3, 4]], "uint8"), [[1, 2], [3, 4]]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.datetime64("2026-01-01T00:00:00", "ns"), "2026-01-01T00:00:00.000000000"),
        (np.array([(1, 2.5)], [("n", "i4"), ("x", "f8")]), [{"n": 1, "x": 2.5}]),
        (np.array([1j]), [[0.0, 1.0]]),
        ({"a": [np.float64(1), {"b": b"x"}]}, {"a": [1.0, {"b": {"octets": 1, "base64": "eA=="}}]}),
    ],
    ids=str,
)  # fmt: skip
def test_every_kind_of_value_has_a_json_form(value: Any, wanted: Any) -> None:
    assert shown(value)["value"] == wanted


@settings(max_examples=50)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_an_object_holds_is_valid_json(value: Any) -> None:
    shown(value)


@settings(max_examples=50)
@given(
    arrays.arrays(
        st.sampled_from(["f4", "f8", "i8", "u1", "?", "c16", "U3", "M8[ns]"]),
        arrays.array_shapes(max_dims=4, max_side=40),
    ),
    st.integers(1, 200),
)
def test_an_array_is_shown_in_no_more_than_so_many_items(
    array: np.ndarray[Any, Any], most: int
) -> None:
    told = shown(array, max_items=most)
    step = told.get("step", 1)
    assert told["shape"] == list(array.shape)
    kept = array[(slice(None, None, step),) * array.ndim]
    assert kept.size <= max(most, 1)
    assert told["value"] == json.loads(msgspec.json.encode(plain(kept, None)))


def test_what_is_nested_too_deeply_is_cut() -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    assert json.dumps(shown(value)).count("[") < 600


def test_long_text_is_cut_unless_it_is_searched() -> None:
    text = "x" * 20_000
    assert len(shown(text)["value"]) == 10_001
    assert shown({"a": text}, select=compile_expression("length(a)"))["value"] == 20_000


def test_a_search_that_fails_in_a_value_is_told() -> None:
    told = shown({"a": 1}, select=compile_expression("length(a)"))
    assert told["value"] is None
    assert told["error"].startswith("select: ")
