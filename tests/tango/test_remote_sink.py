"""Values written to attributes of other devices: in order, at least once, never changed."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tango

from devservices.tango import TangoDatabase, TangoDeviceServer, TangoTest
from queueconnector_core.component import BuildContext, Services
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, FatalError
from queueconnector_core.exchange import Exchange
from queueconnector_core.plan import read_plan
from queueconnector_core.protocols import Sink
from queueconnector_core.record import Batch
from queueconnector_tango.dtypes import TANGO_TYPES

if TYPE_CHECKING:
    from tests.tango.conftest import Reading

REGISTRY = discover().registry


class Receiver(TangoDeviceServer):
    """A device server that notes in a file what is written to its attributes."""

    def __init__(self, notes: Path, database: TangoDatabase | None = None) -> None:
        script = str(Path(__file__).parent / "receiver_device.py")
        super().__init__(
            [sys.executable, script],
            "receiver_device",
            "test",
            "Receiver",
            ["test/receiver/1"],
            database=database,
            environment={"RECEIVER_NOTES": str(notes)},
        )
        self.notes = notes

    def written(self, name: str) -> list[Any]:
        """All values of one attribute, in order."""
        noted = [json.loads(line) for line in self.notes.read_text().splitlines()]
        return [value for attribute, value in noted if attribute == name]


@pytest.fixture(scope="module")
def shared_receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One receiver for the tests that do not end it."""
    with Receiver(tmp_path_factory.mktemp("receiver") / "notes") as server:
        yield server


@pytest.fixture
def receiver(shared_receiver: Receiver) -> Receiver:
    """A running receiver without notes."""
    shared_receiver.notes.write_text("")
    return shared_receiver


@pytest.fixture
def own_receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver that the test starts and ends."""
    (tmp_path / "notes").write_text("")
    server = Receiver(tmp_path / "notes")
    yield server
    server.stop()


def configuration(
    device: str, attribute: str, dtype: str, shape: list[int], data: list[Any], **options: Any
) -> str:
    """In-memory values that are written to an attribute."""
    exchange = {
        "dtype": dtype,
        "shape": shape,
        "source": {"type": "InMemorySource", "data": data},
        "sink": {
            "type": "TangoRemoteAttributeSink",
            "device_name": device,
            "attribute_name": attribute,
            **options,
        },
    }
    return json.dumps({"exchanges": [exchange]})


def build(text: str) -> Exchange:
    """The exchange of a configuration, on a host that offers no services."""
    (plan,) = read_plan(text, REGISTRY, Services()).groups["default"]
    return plan.build(REGISTRY, Services())


def build_sink(text: str) -> Sink:
    """The sink alone, to be given batches by the test."""
    (plan,) = read_plan(text, REGISTRY, Services()).groups["default"]
    (sink,) = plan.sinks
    made: Sink = sink.type.factory(sink.descriptor, BuildContext(sink.spec, REGISTRY))
    return made


async def write(
    server: TangoDeviceServer,
    attribute: str,
    dtype: str,
    shape: list[int],
    data: list[Any],
    **options: Any,
) -> Exchange:
    """Run an exchange to its end."""
    exchange = build(configuration(server.trl(), attribute, dtype, shape, data, **options))
    try:
        async with asyncio.timeout(20):
            await exchange.start()
            await exchange.run()
    finally:
        await exchange.stop()
    return exchange


@asynccontextmanager
async def running(text: str) -> AsyncIterator[Exchange]:
    """An exchange that is started and run in the background; it must have ended with the block."""
    exchange = build(text)

    async def run() -> None:
        await exchange.start()
        await exchange.run()

    task = asyncio.create_task(run())
    try:
        yield exchange
        async with asyncio.timeout(30):
            await task
    finally:
        task.cancel()
        await asyncio.wait((task,))
        await exchange.stop()


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def edges(dtype: str) -> list[Any]:
    """Six values of a dtype, its limits among them."""
    if dtype == "bool":
        return [True, False, True, True, False, False]
    if dtype.startswith("float"):
        floats = np.finfo(np.dtype(dtype))
        return [float(floats.max), float(floats.min), float(floats.tiny), -0.0, 0.5, 1.0]
    limits = np.iinfo(np.dtype(dtype))
    return [int(limits.min), int(limits.max), 0, 1, 2, 3]


@pytest.mark.parametrize("dtype", [*TANGO_TYPES])
async def test_scalars_of_every_type_arrive_exactly(receiver: Receiver, dtype: str) -> None:
    name = f"{TANGO_TYPES[dtype]}_scalar"
    exchange = await write(receiver, name, dtype, [], edges(dtype))
    np.testing.assert_equal(receiver.written(name), edges(dtype))
    assert exchange.statistics.delivered == 6


@pytest.mark.parametrize(
    ("form", "shape"), [("spectrum", [6]), ("image", [2, 3]), ("image", [3, 2])]
)
@pytest.mark.parametrize("dtype", [*TANGO_TYPES])
async def test_arrays_of_every_type_arrive_exactly_and_not_transposed(
    receiver: Receiver, dtype: str, form: str, shape: list[int]
) -> None:
    name = f"{TANGO_TYPES[dtype]}_{form}"
    plain = np.array(edges(dtype), object).reshape(shape).tolist()
    await write(receiver, name, dtype, shape, [plain])
    np.testing.assert_equal(receiver.written(name), [plain])


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", "café € 望 🔭"), ("latin-1", "café")])
async def test_text_arrives_in_the_octets_of_its_encoding(
    receiver: Receiver, encoding: str, text: str
) -> None:
    texts = ["", "plain", text, "line\nbreak"]
    await write(receiver, "DevString_scalar", "str", [], texts, string_encoding=encoding)
    # The device reads them as Latin-1, as every PyTango program does.
    seen = [text.encode(encoding).decode("latin-1") for text in texts]
    assert receiver.written("DevString_scalar") == seen


@pytest.mark.parametrize(
    ("form", "value"), [("spectrum", ["a", "", "c"]), ("image", [["a", "b"], ["", "d"]])]
)
async def test_text_in_arrays_arrives(receiver: Receiver, form: str, value: list[Any]) -> None:
    await write(receiver, f"DevString_{form}", "str", list(np.shape(value)), [value])
    assert receiver.written(f"DevString_{form}") == [value]


async def test_pairs_of_label_and_octets_arrive(receiver: Receiver) -> None:
    octets = bytes(range(256))
    pairs = [["msgpack", base64.b64encode(octets).decode()], ["", ""]]
    await write(receiver, "DevEncoded_scalar", "bytes", [], pairs)
    expected = [["msgpack", octets.decode("latin-1")], ["", ""]]
    assert receiver.written("DevEncoded_scalar") == expected


@pytest.mark.parametrize(
    ("attribute", "dtype", "shape", "value"),
    [
        ("double_scalar_w", "float64", [], 0.1),
        ("boolean_scalar", "bool", [], True),
        ("uchar_scalar", "uint8", [], 255),
        ("ushort_scalar", "uint16", [], 65535),
        ("ulong_scalar", "uint32", [], 2**32 - 1),
        ("ulong64_scalar", "uint64", [], 2**64 - 1),
        ("short_scalar_w", "int16", [], -(2**15)),
        ("long_scalar_w", "int32", [], -(2**31)),
        ("long64_scalar", "int64", [], -(2**63)),
        ("string_scalar", "str", [], "hello"),
        ("double_spectrum", "float64", [3], [1.5, -0.5, 1e300]),
        ("ushort_spectrum", "uint16", [2], [0, 65535]),
        ("double_image", "float64", [2, 3], [[1, 2, 3], [4, 5, 6]]),
        ("long64_image_ro", "int64", [2, 3], None),
    ],
)
async def test_a_foreign_device_takes_them(
    tango_test: TangoTest, attribute: str, dtype: str, shape: list[int], value: Any
) -> None:
    if attribute.endswith("_ro"):
        with pytest.raises(FatalError, match="sys/tg_test/1/long64_image_ro is read-only"):
            await write(tango_test, attribute, dtype, shape, [])
        return
    await write(tango_test, attribute, dtype, shape, [value])
    proxy = tango_test.proxy()
    # Other tests have some attributes polled: what polling found last may be older than the write.
    proxy.set_source(tango.DevSource.DEV)
    read = proxy.read_attribute(attribute)
    np.testing.assert_equal(np.asarray(read.w_value).tolist(), value)


@pytest.mark.parametrize(
    ("attribute", "values", "written", "told"),
    [
        ("limited", [0.5, 2.0, -0.5], [0.5, -0.5], "API_WAttrOutsideLimit: Set value"),
        ("moody", [2, 3, 4, 5, 6], [2, 4, 6], "PyDs_PythonError: ValueError: 3 is odd"),
    ],
)
async def test_refused_values_are_counted_with_the_words_of_the_device(
    receiver: Receiver, attribute: str, values: list[Any], written: list[Any], told: str
) -> None:
    dtype = "float64" if attribute == "limited" else "int64"
    exchange = await write(receiver, attribute, dtype, [], values)
    assert receiver.written(attribute) == written
    statistics = exchange.statistics
    assert statistics.delivered == len(written)
    assert statistics.dropped == len(values) - len(written)
    assert f"test/receiver/1/{attribute}: {told}" in statistics.failures[0].text


async def test_a_tango_server_refuses_what_is_not_finite(receiver: Receiver) -> None:
    exchange = await write(receiver, "DevFloat_scalar", "float32", [], [1.0, math.nan, math.inf])
    assert receiver.written("DevFloat_scalar") == [1.0]
    assert exchange.statistics.dropped == 2
    assert "is a NaN or INF value" in exchange.statistics.failures[0].text


async def test_unless_its_control_system_allows_it(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("")
    with TangoDatabase() as database:
        database.client.put_property("CtrlSystem", {"WAttrNaNAllowed": ["true"]})
        with Receiver(tmp_path / "notes", database) as server:
            values = [math.nan, math.inf, -math.inf]
            await write(server, "DevDouble_scalar", "float64", [], values)
            await write(server, "DevFloat_spectrum", "float32", [3], [values])
            np.testing.assert_equal(server.written("DevDouble_scalar"), values)
            np.testing.assert_equal(server.written("DevFloat_spectrum"), [values])


async def test_values_that_tango_cannot_carry_are_counted(receiver: Receiver) -> None:
    sink = build_sink(configuration(receiver.trl(), "DevString_scalar", "str", [], []))
    await sink.start()
    with pytest.raises(Exception, match=r"record 1: .*NUL.*; record 2: .*INVALID") as caught:
        await sink.write(Batch(["a", "b\0c", None, "d"]))
    await sink.stop()
    assert list(caught.value.failures) == [1, 2]  # type: ignore[attr-defined]
    assert receiver.written("DevString_scalar") == ["a", "d"]


@pytest.mark.parametrize(
    ("attribute", "dtype", "shape", "told"),
    [
        ("fixed", "float64", [], "test/receiver/1/fixed is read-only"),
        ("DevLong_scalar", "int64", [], r"is DevLong, a scalar; .* carries int64 \(DevLong64\)"),
        ("DevLong_scalar", "float64", [], r"DevLong, a scalar; .* float64 \(DevDouble\)"),
        ("DevLong_scalar", "int32", [2], r"a scalar; the exchange carries int32\[2\]"),
        ("DevLong_spectrum", "int32", [], r"DevLong, at most \[7\]; the exchange carries int32 "),
        ("DevLong_spectrum", "int32", [8], r"at most \[7\]; the exchange carries int32\[8\]"),
        ("DevLong_image", "int32", [7, 5], r"at most \[5, 7\]; .* int32\[7, 5\]"),
        ("gear", "int16", [], "is DevEnum, a scalar"),
        ("State", "str", [], "State is read-only"),
    ],
)
async def test_an_attribute_that_does_not_fit_is_a_fault_at_start(
    receiver: Receiver, attribute: str, dtype: str, shape: list[int], told: str
) -> None:
    with pytest.raises(FatalError, match=told):
        await write(receiver, attribute, dtype, shape, [])


async def waiting_for(text: str) -> str:
    """Why an exchange waits at its start."""
    exchange = build(text)
    starting = asyncio.create_task(exchange.start())
    await until(lambda: exchange.statistics.degraded)
    degraded = exchange.statistics.degraded
    starting.cancel()
    await asyncio.wait((starting,))
    await exchange.stop()
    assert starting.cancelled()
    assert degraded is not None
    return degraded.text


async def test_a_missing_attribute_is_awaited_and_named(receiver: Receiver) -> None:
    reason = await waiting_for(configuration(receiver.trl(), "missing", "int64", [], []))
    assert "cannot find" in reason
    assert "test/receiver/1/missing: API_AttrNotFound" in reason


async def test_a_device_that_is_not_registered_is_awaited(tango_database: TangoDatabase) -> None:
    device = f"tango://{tango_database.tango_host}/no/such/device"
    reason = await waiting_for(configuration(device, "x", "int64", [], []))
    assert "no/such/device/x: DB_DeviceNotDefined" in reason


async def test_a_device_that_starts_later_is_awaited(own_receiver: Receiver) -> None:
    text = configuration(own_receiver.trl(), "DevLong64_scalar", "int64", [], [1, 2, 3])
    async with running(text) as exchange:
        await until(lambda: exchange.statistics.degraded)
        await asyncio.to_thread(own_receiver.start)
    assert own_receiver.written("DevLong64_scalar") == [1, 2, 3]
    assert exchange.statistics.degraded is None


def without_repeats(values: list[int]) -> list[int]:
    """The values without those that are equal to the one before."""
    return [b for a, b in zip([None, *values], values, strict=False) if a != b]


async def test_a_device_that_is_killed_twice_loses_nothing_and_keeps_the_order(
    own_receiver: Receiver,
) -> None:
    own_receiver.start()
    values = list(range(1500))
    text = configuration(own_receiver.trl(), "patient", "int64", [], values)
    async with running(text) as exchange:
        for count in (100, 800):
            await until(lambda count=count: len(own_receiver.written("patient")) > count)  # type: ignore[misc]
            await asyncio.to_thread(own_receiver.kill)
            await until(lambda: exchange.statistics.degraded)
            await asyncio.to_thread(own_receiver.start)
            await until(lambda: not exchange.statistics.degraded)
    written = own_receiver.written("patient")
    assert without_repeats(written) == values
    # Only what was on its way when the device was killed can be there twice.
    assert len(written) - len(values) <= 2
    assert exchange.statistics.delivered == len(values)


async def test_a_device_that_hangs_loses_nothing_and_keeps_the_order(
    own_receiver: Receiver,
) -> None:
    own_receiver.start()
    values = list(range(600))
    text = configuration(own_receiver.trl(), "patient", "int64", [], values)
    async with running(text) as exchange:
        await until(lambda: len(own_receiver.written("patient")) > 50)
        own_receiver.pause()
        await until(lambda: exchange.statistics.degraded)
        own_receiver.resume()
    assert without_repeats(own_receiver.written("patient")) == values


async def test_a_device_in_a_state_that_takes_no_value_is_awaited(receiver: Receiver) -> None:
    text = configuration(receiver.trl(), "gated", "int64", [], [1, 2, 3])
    async with running(text) as exchange:
        await until(lambda: exchange.statistics.degraded)
        assert "API_AttrNotAllowed" in exchange.statistics.degraded.text  # type: ignore[union-attr]
        assert receiver.written("gated") == []
        await asyncio.to_thread(lambda: receiver.proxy().Open())
    assert receiver.written("gated") == [1, 2, 3]
    assert exchange.statistics.dropped == 0


async def test_an_attribute_that_becomes_another_one_is_a_fault(own_receiver: Receiver) -> None:
    own_receiver.start()
    sink = build_sink(configuration(own_receiver.trl(), "DevShort_scalar", "int16", [], []))
    await sink.start()
    await sink.write(Batch([1]))
    await asyncio.to_thread(lambda: own_receiver.proxy().Replace())
    batch = Batch([2])
    with pytest.raises(Exception, match="API_IncompatibleAttrDataType"):
        await sink.write(batch)
    with pytest.raises(FatalError, match=r"is DevString, a scalar; .* int16 \(DevShort\)"):
        await sink.write(batch)
    await sink.stop()
    assert own_receiver.written("DevShort_scalar") == [1]


async def test_stop_ends_a_long_batch_after_the_value_that_is_written(
    receiver: Receiver,
) -> None:
    sink = build_sink(configuration(receiver.trl(), "patient", "int64", [], []))
    await sink.start()
    writing = asyncio.create_task(sink.write(Batch(list(range(100_000)))))
    await until(lambda: len(receiver.written("patient")) > 10)
    writing.cancel()
    async with asyncio.timeout(1):
        await sink.stop()
    count = len(receiver.written("patient"))
    await asyncio.sleep(0.1)
    assert receiver.written("patient") == list(range(count))


async def test_life(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    sink = build_sink(configuration(receiver.trl(), "DevLong64_scalar", "int64", [], []))
    await sink.stop()
    await sink.start()
    await sink.write(Batch([1, 2]))
    await sink.stop()
    await sink.stop()
    await sink.write(Batch([3]))
    assert "not open, 1 records not written" in caplog.text
    await sink.start()
    await sink.write(Batch([4]))
    await sink.stop()
    assert receiver.written("DevLong64_scalar") == [1, 2, 4]


async def test_a_device_that_hangs_holds_up_neither_the_loop_nor_the_stop(
    own_receiver: Receiver,
) -> None:
    own_receiver.start()
    sink = build_sink(configuration(own_receiver.trl(), "patient", "int64", [], []))
    await sink.start()
    own_receiver.pause()
    writing = asyncio.create_task(sink.write(Batch([1, 2, 3])))
    loop = asyncio.get_running_loop()
    slowest = 0.0
    for _ in range(50):
        before = loop.time()
        await asyncio.sleep(0.01)
        slowest = max(slowest, loop.time() - before)
    assert slowest < 0.5
    writing.cancel()
    async with asyncio.timeout(12):
        await sink.stop()
    assert own_receiver.written("patient") == []


@pytest.mark.parametrize(
    ("options", "dtype", "shape", "path", "told"),
    [
        ({"device_name": "a/b"}, "float64", [], "sink.device_name", "domain/family/member"),
        ({"attribute_name": "a/b"}, "float64", [], "sink.attribute_name", "of one attribute"),
        ({}, "object", [], "sink", "cannot carry dtype object"),
        ({}, "complex128", [], "sink", "cannot carry dtype complex128"),
        ({}, "float64", [2, 2, 2], "sink", "at most 2 dimensions"),
        ({}, "float64", [-1], "sink", "the largest size"),
    ],
)
def test_what_cannot_work_is_refused_at_configuration(
    options: dict[str, Any], dtype: str, shape: list[int], path: str, told: str
) -> None:
    text = configuration("a/b/c", "x", dtype, shape, [])
    document = json.loads(text)
    document["exchanges"][0]["sink"].update(options)
    with pytest.raises(ConfigError) as caught:
        read_plan(json.dumps(document), REGISTRY, Services())
    (problem,) = caught.value.problems
    assert problem.path == f"exchanges[0].{path}"
    assert told in problem.message


async def test_a_subscription_to_a_devenum_is_a_fault(receiver: Receiver, reading: Reading) -> None:
    options = {
        "type": "TangoSubscriptionSource",
        "device_name": receiver.trl(),
        "attribute_name": "gear",
    }
    with pytest.raises(FatalError, match="gear is of type DevEnum, which is not supported"):
        async with reading(options, "int16"):
            await asyncio.sleep(0.2)
