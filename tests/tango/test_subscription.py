"""Events of real devices, read by the subscription source."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devservices.process import wait_until
from devservices.tango import TangoDatabase, TangoTest
from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_core.protocols import Source
from queueconnector_core.record import Quality, TimestampOrigin
from queueconnector_tango.dtypes import TANGO_TYPES

if TYPE_CHECKING:
    from tests.tango.conftest import Publisher, Reading

MakeSource = Callable[[dict[str, Any], object, list[int]], Source]
AWAY = {
    "type": "TangoSubscriptionSource",
    "device_name": "tango://127.0.0.1:1/no/such/device#dbase=no",
    "attribute_name": "x",
}


def edges(dtype: str) -> list[Any]:
    if dtype == "bool":
        return [True, False, True, True, False, False]
    if dtype.startswith("float"):
        floats = np.finfo(np.dtype(dtype))
        return [float(floats.max), float(floats.tiny), -0.0, 0.1, math.inf, math.nan]
    limits = np.iinfo(np.dtype(dtype))
    return [int(limits.min), int(limits.max), 0, 1, 2, 3]


@pytest.mark.parametrize("dtype", [*TANGO_TYPES])
async def test_scalars_of_every_type_are_read_exactly(
    publisher: Publisher, reading: Reading, dtype: str
) -> None:
    name = f"{TANGO_TYPES[dtype]}_scalar"
    await publisher.publish(name, 1)
    async with reading(publisher.options(name), dtype) as reader:
        await publisher.publish(name, *edges(dtype))
        await reader.wait_for(lambda: len(reader.values) == 7)
    expected = np.array(edges(dtype), dtype).tolist()
    np.testing.assert_equal(reader.values[1:], expected)
    assert [type(value) for value in reader.values[1:]] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("form", "shape"), [("spectrum", [6]), ("image", [2, 3]), ("image", [3, 2])]
)
@pytest.mark.parametrize("dtype", [*TANGO_TYPES])
async def test_arrays_of_every_type_are_read_exactly_and_not_transposed(
    publisher: Publisher, reading: Reading, dtype: str, form: str, shape: list[int]
) -> None:
    name = f"{TANGO_TYPES[dtype]}_{form}"
    expected = np.array(edges(dtype), dtype).reshape(shape)
    plain = np.array(edges(dtype), object).reshape(shape).tolist()
    await publisher.publish(name, plain)
    async with reading(publisher.options(name), dtype, shape) as reader:
        await publisher.publish(name, plain)
        await reader.wait_for(lambda: len(reader.values) == 2)
    for value in reader.values:
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)


async def test_text_is_read_as_utf_8_and_else_as_latin_1(
    publisher: Publisher, reading: Reading
) -> None:
    texts = ["", "plain", "café", "€ 望 🔭", "line\nbreak"]
    await publisher.publish("DevString_scalar", "first")
    async with reading(publisher.options("DevString_scalar"), "str") as reader:
        await publisher.publish("DevString_scalar", *texts)
        await reader.wait_for(lambda: len(reader.values) == 6)
    assert reader.values == ["first", *texts]


@pytest.mark.parametrize(
    ("form", "value"), [("spectrum", ["a", "€"]), ("image", [["a", "€"], ["", "b"]])]
)
async def test_text_in_arrays(
    publisher: Publisher, reading: Reading, form: str, value: list[Any]
) -> None:
    name = f"DevString_{form}"
    await publisher.publish(name, value)
    async with reading(publisher.options(name), "str", list(np.shape(value))) as reader:
        await reader.wait_for(lambda: len(reader.values) == 1)
    assert np.asarray(reader.values[0]).tolist() == value


async def test_pairs_of_label_and_octets(publisher: Publisher, reading: Reading) -> None:
    await publisher.publish("DevEncoded_scalar", ["msgpack", "\0\1\xff"])
    async with reading(publisher.options("DevEncoded_scalar"), "bytes") as reader:
        await reader.wait_for(lambda: len(reader.values) == 1)
    assert reader.values == [("msgpack", b"\0\1\xff")]


async def test_time_stamp_and_quality_come_from_the_device(
    publisher: Publisher, reading: Reading
) -> None:
    await publisher.publish("DevDouble_scalar", 1.0, time=1_700_000_000.25, quality="WARNING")
    async with reading(publisher.options("DevDouble_scalar")) as reader:
        await reader.wait_for(lambda: len(reader.values) == 1)
    metadata = reader.records[0].metadata
    assert metadata.timestamp_ns == 1_700_000_000_250_000_000
    assert metadata.timestamp_origin is TimestampOrigin.SOURCE
    assert metadata.quality is Quality.WARNING


async def test_an_invalid_value_is_a_record_without_value(
    publisher: Publisher, reading: Reading
) -> None:
    await publisher.publish("DevDouble_scalar", 1.0)
    async with reading(publisher.options("DevDouble_scalar")) as reader:
        await publisher.publish("DevDouble_scalar", 2.0, quality="INVALID")
        await publisher.publish("DevDouble_scalar", math.nan)
        await reader.wait_for(lambda: len(reader.values) == 3)
    np.testing.assert_equal(reader.values, [1.0, None, math.nan])
    assert [record.metadata.quality for record in reader.records] == [
        Quality.VALID,
        Quality.INVALID,
        Quality.VALID,
    ]


async def test_a_value_that_is_not_of_the_exchange_is_a_failure(
    publisher: Publisher, reading: Reading
) -> None:
    await publisher.publish("DevDouble_scalar", 1.0)
    async with reading(publisher.options("DevDouble_scalar"), "int32") as reader:
        await publisher.publish("DevDouble_scalar", 1.5, 2.0)
        await reader.wait_for(lambda: len(reader.values) == 2)
    assert reader.values == [1, 2]
    assert len(reader.failures) == 1
    assert "1.5" in reader.failures[0]


@pytest.mark.parametrize("kind", ["archive", "alarm"])
async def test_other_kinds_of_events(publisher: Publisher, reading: Reading, kind: str) -> None:
    await publisher.publish("DevShort_scalar", 1)
    async with reading(publisher.options("DevShort_scalar", etype=kind), "int16") as reader:
        await publisher.publish("DevShort_scalar", 2)
        await publisher.publish("DevShort_scalar", 3, kind=kind)
        await reader.wait_for(lambda: len(reader.values) == 2)
    assert reader.values == [1, 3]


@pytest.mark.parametrize("stateless", [True, False])
async def test_what_is_pushed_after_start_is_read_without_a_loss(
    publisher: Publisher, reading: Reading, stateless: bool
) -> None:
    count = 20_000
    options = publisher.options("DevLong64_scalar", stateless=stateless)
    await publisher.publish("DevLong64_scalar", 0)
    async with reading(options, "int64") as reader:
        await asyncio.to_thread(lambda: publisher.proxy().Burst(count))
        await reader.wait_for(lambda: reader.values[-1:] == [count], 20)
    assert reader.values == list(range(count + 1))
    assert len(reader.batches) < count / 3


async def test_stopping_gives_what_was_received_and_starting_again_repeats_nothing(
    publisher: Publisher, make_source: MakeSource
) -> None:
    await publisher.publish("DevLong64_scalar", 1)
    source = make_source(publisher.options("DevLong64_scalar"), "int64", [])
    await source.stop()
    await source.start()
    await publisher.publish("DevLong64_scalar", 2, 3)
    await asyncio.sleep(0.2)
    await source.stop()
    assert [value async for batch in source.read() for value in batch.values] == [1, 2, 3]
    await source.start()
    await publisher.publish("DevLong64_scalar", 4)
    await asyncio.sleep(0.2)
    await source.stop()
    await source.stop()
    assert [value async for batch in source.read() for value in batch.values] == [4]


async def test_stateless_starts_while_the_device_is_away_and_finds_it_later(
    own_publisher: Publisher, reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    begun = time.monotonic()
    async with reading(own_publisher.options("DevLong64_scalar"), "int64") as reader:
        assert time.monotonic() - begun < 4
        await asyncio.to_thread(own_publisher.start)
        await own_publisher.publish("DevLong64_scalar", 7)
        await reader.wait_for(lambda: reader.values == [7], 25)
        await own_publisher.publish("DevLong64_scalar", 8)
        await reader.wait_for(lambda: reader.values == [7, 8])
    assert caplog.text.count("no events") == 1


async def test_a_device_that_dies_and_comes_back_is_read_on(
    own_publisher: Publisher, reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    own_publisher.start()
    await own_publisher.publish("DevLong64_scalar", 1)
    async with reading(own_publisher.options("DevLong64_scalar"), "int64") as reader:
        await own_publisher.publish("DevLong64_scalar", 2)
        await reader.wait_for(lambda: reader.values == [1, 2])
        await asyncio.to_thread(own_publisher.kill)
        await reader.wait_for(lambda: "no events" in caplog.text, 25)
        await asyncio.to_thread(own_publisher.start)
        await own_publisher.publish("DevLong64_scalar", 3)
        await reader.wait_for(lambda: reader.values == [1, 2, 3], 25)
    assert caplog.text.count("no events") == 1


async def test_not_stateless_a_device_that_is_away_is_fatal(make_source: MakeSource) -> None:
    source = make_source({**AWAY, "stateless": False}, "float64", [])
    with pytest.raises(
        FatalError, match=r"cannot subscribe to tango://127\.0\.0\.1:1/no/such/device/x"
    ):
        await source.start()
    await source.stop()


async def test_not_stateless_a_missing_attribute_is_fatal(
    publisher: Publisher, make_source: MakeSource
) -> None:
    source = make_source(publisher.options("nothing", stateless=False), "float64", [])
    with pytest.raises(FatalError, match="API_AttrNotFound"):
        await source.start()


async def test_a_device_that_the_database_does_not_know_may_be_registered_later(
    tango_database: TangoDatabase, make_source: MakeSource
) -> None:
    name = f"tango://{tango_database.tango_host}/no/such/device"
    source = make_source({**AWAY, "device_name": name}, "float64", [])
    with pytest.raises(RetryableError, match="DB_DeviceNotDefined"):
        await source.start()


async def test_a_start_that_is_cancelled_leaves_no_subscription(
    own_publisher: Publisher, make_source: MakeSource
) -> None:
    own_publisher.start()
    own_publisher.pause()
    source = make_source(own_publisher.options("DevLong64_scalar"), "int64", [])
    starting = asyncio.create_task(source.start())
    await asyncio.sleep(0.1)
    starting.cancel()
    await asyncio.wait((starting,))
    assert starting.cancelled()
    own_publisher.resume()
    await source.stop()


async def test_a_polled_attribute_of_a_foreign_device_is_followed(
    tango_test: TangoTest, reading: Reading
) -> None:
    tango_test.poll("double_scalar_w", 50, abs_change=0.5)
    options = {
        "type": "TangoSubscriptionSource",
        "device_name": tango_test.trl(),
        "attribute_name": "double_scalar_w",
    }
    proxy = tango_test.proxy()
    proxy.double_scalar_w = 0.0
    # A change of less than abs_change is no event: polling must have seen it before.
    wait_until(lambda: proxy.read_attribute("double_scalar_w").value == 0.0, 10, "polling")
    async with reading(options) as reader:
        await reader.wait_for(lambda: reader.values[-1:] == [0.0])
        for value in (1.0, 2.0, 3.0):
            proxy.double_scalar_w = value
            await reader.wait_for(lambda value=value: reader.values[-1] == value)  # type: ignore[misc]
    assert reader.values[-4:] == [0.0, 1.0, 2.0, 3.0]


async def test_the_state_of_a_device_is_text(tango_test: TangoTest, reading: Reading) -> None:
    tango_test.poll("State", 50)
    options = {
        "type": "TangoSubscriptionSource",
        "device_name": tango_test.trl(),
        "attribute_name": "State",
    }
    async with reading(options, "str") as reader:
        await reader.wait_for(lambda: bool(reader.values))
        first = reader.values[-1]
        tango_test.proxy().SwitchStates()
        await reader.wait_for(lambda: reader.values[-1] != first)
    assert set(reader.values) == {"RUNNING", "FAULT"}


POINTING = [
    ["antenna_name", "U6"],
    ["ts", "datetime64[ns]"],
    ["az", "float64"],
    ["el", "float64"],
]


async def test_pointings_are_rows(publisher: Publisher, reading: Reading) -> None:
    options = {**publisher.options("DevDouble_spectrum"), "type": "TangoPointingSubscriptionSource"}
    await publisher.publish("DevDouble_spectrum", [775853423.5, 12.25, 45.5])
    async with reading(options, POINTING) as reader:
        await publisher.publish("DevDouble_spectrum", [0.0, math.nan, -1.0], [1.0, 2.0])
        await reader.wait_for(lambda: bool(reader.failures))
    first, second = reader.values
    assert first.tolist()[0] == "SKA001"
    assert first["ts"] == np.datetime64("2024-08-01T18:50:23.5", "ns")
    assert (first["az"], first["el"]) == (12.25, 45.5)
    assert second["ts"] == np.datetime64("2000-01-01T00:00:00", "ns")
    assert np.isnan(second["az"])
    assert "a pointing is [seconds, azimuth, elevation]" in reader.failures[0]


@pytest.mark.parametrize(
    ("options", "path", "told"),
    [
        ({"etype": 1}, "etype", "quality events"),
        ({"etype": 5}, "etype", "carry no value"),
        ({"etype": 42}, "etype", "found 42; allowed: 0 or change"),
        ({"etype": "chnge"}, "etype", "found 'chnge'"),
        ({"device_name": "a/b"}, "device_name", "domain/family/member"),
        ({"attribute_name": "a/b"}, "attribute_name", "the name of one attribute"),
    ],
)
def test_wrong_options_are_refused(
    make_source: MakeSource, options: dict[str, Any], path: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_source({**AWAY, **options}, "float64", [])
    (problem,) = caught.value.problems
    assert problem.path == path
    assert told in problem.message
