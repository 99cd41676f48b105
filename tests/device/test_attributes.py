"""What other processes see of the attributes: values of every type, by read and by event."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tango

from queueconnector_tango.dtypes import TANGO_TYPES

if TYPE_CHECKING:
    from tests.device.conftest import ConnectorServer

MakeExchange = Callable[..., dict[str, Any]]


def edges(dtype: str) -> list[Any]:
    """Six values of a dtype, its limits among them."""
    if dtype == "bool":
        return [True, False, True, True, False, False]
    if dtype.startswith("float"):
        floats = np.finfo(np.dtype(dtype))
        return [float(floats.max), float(floats.tiny), -0.0, 0.1, math.inf, math.nan]
    limits = np.iinfo(np.dtype(dtype))
    return [int(limits.min), int(limits.max), 0, 1, 2, 3]


def run(server: ConnectorServer, name: str, exchange: dict[str, Any]) -> tuple[list[Any], Any]:
    """The values by event, and the last one by read."""
    server.configure(exchange)
    listener = server.listen(name)
    server.proxy().Start()
    count = len(exchange["source"]["data"])
    heard = listener.wait_for(lambda values: len(values) > count)
    assert heard[0] is None, "a subscription begins with the present value, here none"
    server.wait_for_state("OFF")
    return heard[1:], server.read(name).value


@pytest.mark.parametrize("dtype", [*TANGO_TYPES])
def test_numbers_arrive_as_scalars(
    server: ConnectorServer, make_exchange: MakeExchange, dtype: str
) -> None:
    values = edges(dtype)
    heard, last = run(server, "x", make_exchange(values, "x", dtype=dtype))
    np.testing.assert_equal(heard, np.array(values, dtype).tolist())
    np.testing.assert_equal(last, np.array(values, dtype).tolist()[-1])


@pytest.mark.parametrize("shape", [[6], [2, 3], [3, 2], [1, 6]])
@pytest.mark.parametrize("dtype", [*TANGO_TYPES])
def test_numbers_arrive_as_spectra_and_as_images_that_are_not_transposed(
    server: ConnectorServer, make_exchange: MakeExchange, dtype: str, shape: list[int]
) -> None:
    data = np.array(edges(dtype), dtype).reshape(shape)
    plain = np.array(edges(dtype), object).reshape(shape).tolist()
    (heard,), last = run(server, "x", make_exchange([plain], "x", dtype=dtype, shape=shape))
    for seen in (heard, last):
        assert seen.dtype == data.dtype
        assert seen.shape == data.shape
        np.testing.assert_array_equal(seen, data)


def test_the_attribute_has_the_type_and_the_largest_sizes_of_the_configuration(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    server.configure(
        *(
            make_exchange([], f"{dtype}_{len(shape)}", dtype=dtype, shape=shape)
            for dtype in TANGO_TYPES
            for shape in ([], [5], [3, 7])
        )
    )
    for dtype, tango_type in TANGO_TYPES.items():
        for dimensions, sizes in enumerate([(1, 0), (5, 0), (7, 3)]):
            config = server.proxy().get_attribute_config(f"{dtype}_{dimensions}")
            assert tango.CmdArgType.values[config.data_type].name == tango_type
            assert (config.max_dim_x, config.max_dim_y) == sizes
            assert config.writable == tango.AttrWriteType.READ


TEXTS = ["", "plain", "line\nbreak", '{"a": 1}']


@pytest.mark.parametrize(
    ("shape", "value", "expected"),
    [
        ([4], TEXTS, tuple(TEXTS)),
        ([2, 2], [["a", "b"], ["c", ""]], (("a", "b"), ("c", ""))),
    ],
)
def test_text_arrives_in_spectra_and_images(
    server: ConnectorServer,
    make_exchange: MakeExchange,
    shape: list[int],
    value: list[Any],
    expected: tuple[Any, ...],
) -> None:
    seen = run(server, "x", make_exchange([value], "x", dtype="str", shape=shape))
    assert seen == ([expected], expected)


@pytest.mark.parametrize("text", [*TEXTS, "café", "€ 5", "望遠鏡", "🔭"])
def test_text_arrives_as_utf_8_octets(
    server: ConnectorServer, make_exchange: MakeExchange, text: str
) -> None:
    (heard,), last = run(server, "x", make_exchange([text], "x", dtype="str"))
    assert heard.encode("latin-1").decode("utf-8") == text
    assert last == heard


def test_text_in_latin_1_is_read_by_every_client(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    exchange = make_exchange(["café"], "x", dtype="str")
    exchange["sink"]["string_encoding"] = "latin-1"
    assert run(server, "x", exchange) == (["café"], "café")


def test_text_that_tango_would_cut_or_refuse_is_dropped_and_told(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    exchange = make_exchange(["fine", "a\0b", "€"], "x", dtype="str")
    exchange["sink"]["string_encoding"] = "latin-1"
    server.configure(exchange)
    server.proxy().Start()
    server.wait_for_state("OFF")
    assert server.read("x").value == "fine"
    status = server.proxy().status()
    assert "3 received, 1 delivered, 2 dropped" in status
    assert "attribute x: found " in status


def test_pairs_of_label_and_octets_arrive_unchanged(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    exchange = make_exchange([["msgpack_numpy", "AAH/"], ["", ""]], "x", dtype="bytes", delay=0.01)
    server.configure(exchange)
    listener = server.listen("x")
    server.proxy().Start()
    assert listener.wait_for(lambda heard: len(heard) == 3) == [
        None,
        ("msgpack_numpy", b"\0\1\xff"),
        ("", b""),
    ]
    assert server.read("x").value == ("", b"")


@pytest.mark.parametrize(
    ("dtype", "shape", "default", "expected"),
    [
        ("float64", [], 1.5, 1.5),
        ("float64", [3], 0.0, [0.0, 0.0, 0.0]),
        ("float64", [3], [1, 2, 3], [1.0, 2.0, 3.0]),
        ("int32", [2, 3], [1, 2, 3], [[1, 2, 3], [1, 2, 3]]),
        ("str", [], "", ""),
        ("str", [], "unknown", "unknown"),
        ("str", [2], "-", ("-", "-")),
        ("bool", [], False, False),
        ("bytes", [], ["json", "e30="], ("json", b"{}")),
    ],
)
def test_an_attribute_starts_with_its_default_value(
    server: ConnectorServer,
    make_exchange: MakeExchange,
    dtype: str,
    shape: list[int],
    default: Any,
    expected: Any,
) -> None:
    server.configure(make_exchange([], "x", dtype=dtype, shape=shape, default_value=default))
    read = server.read("x")
    assert read.quality == tango.AttrQuality.ATTR_VALID
    np.testing.assert_equal(
        read.value, np.array(expected) if isinstance(expected, list) else expected
    )
    assert server.listen("x").heard[0] is not None


@pytest.mark.parametrize("options", [{}, {"default_value": ""}])
@pytest.mark.parametrize("shape", [[], [3], [2, 2]])
def test_without_a_default_an_attribute_is_invalid_until_its_first_value(
    server: ConnectorServer,
    make_exchange: MakeExchange,
    shape: list[int],
    options: dict[str, Any],
) -> None:
    server.configure(make_exchange([1], "x", shape=shape, **options))
    read = server.read("x")
    assert (read.value, read.quality) == (None, tango.AttrQuality.ATTR_INVALID)
    server.proxy().Start()
    server.wait_for_state("OFF")
    read = server.read("x")
    assert np.all(read.value == 1)
    assert read.quality == tango.AttrQuality.ATTR_VALID


def test_each_value_is_one_event_also_when_it_does_not_change(
    server: ConnectorServer, make_exchange: MakeExchange
) -> None:
    server.configure(make_exchange([1.0, 1.0, math.nan, math.nan, 1.0], "x"))
    listener = server.listen("x")
    server.proxy().Start()
    heard = listener.wait_for(lambda values: len(values) == 6)
    np.testing.assert_equal(heard, [None, 1.0, 1.0, math.nan, math.nan, 1.0])


def test_one_array_is_scattered_over_attributes(server: ConnectorServer) -> None:
    server.configure(
        {
            "dtype": "int32",
            "shape": [2, 2, 3],
            "source": {"type": "InMemorySource", "data": [np.arange(12).reshape(2, 2, 3).tolist()]},
            "sink": {
                "type": "TangoArrayScatterAttributeSink",
                "attribute_names": ["low", "high"],
                "attribute_shape_names": ["low_shape", "high_shape"],
                "axis": 2,
                "indices": [1],
            },
        }
    )
    assert server.attributes() == {"low", "high", "low_shape", "high_shape"}
    server.proxy().Start()
    server.wait_for_state("OFF")
    array = np.arange(12).reshape(2, 2, 3)
    for name, part in (("low", array[:, :, :1]), ("high", array[:, :, 1:])):
        shape = server.read(f"{name}_shape").value
        np.testing.assert_array_equal(server.read(name).value.reshape(shape), part)


def test_parts_of_two_dimensions_keep_them(server: ConnectorServer) -> None:
    server.configure(
        {
            "dtype": "float32",
            "shape": [3, 2],
            "source": {"type": "InMemorySource", "data": [[[1, 2], [3, 4], [5, 6]]]},
            "sink": {"type": "TangoSplitAttributeSink", "attribute_names": ["a", "b"]},
        }
    )
    server.proxy().Start()
    server.wait_for_state("OFF")
    np.testing.assert_array_equal(server.read("a").value, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(server.read("b").value, [[5, 6]])


OFFSETS = [["antenna_name", "U8"], ["last_scan_index", "float64"], ["xel", "float64"]]


def picks(antenna: str) -> dict[str, Any]:
    return {
        "attribute_name": f"pointing_cal_{antenna}",
        "dtype": "float64",
        "shape": [2],
        "path": f"[?antenna_name=='{antenna}'] | [0].[last_scan_index, xel]",
        "default_value": 0.0,
    }


def test_rows_of_a_structured_array_are_scattered_by_name(server: ConnectorServer) -> None:
    rows = [["SKA001", 4.0, 0.5], ["SKA002", 4.0, math.nan]]
    server.configure(
        {
            "dtype": OFFSETS,
            "shape": [2],
            "source": {"type": "InMemorySource", "data": [rows]},
            "sink": {
                "type": "TangoObjectScatterAttributeSink",
                "attributes": [picks("SKA001"), picks("SKA002"), picks("MKT063")],
            },
        }
    )
    server.proxy().Start()
    server.wait_for_state("OFF")
    np.testing.assert_array_equal(server.read("pointing_cal_SKA001").value, [4.0, 0.5])
    np.testing.assert_array_equal(server.read("pointing_cal_SKA002").value, [4.0, math.nan])
    np.testing.assert_array_equal(server.read("pointing_cal_MKT063").value, [0.0, 0.0])
    assert "1 received, 1 delivered" in server.proxy().status()


def test_objects_are_scattered_where_their_filter_holds(server: ConnectorServer) -> None:
    def metric(name: str, dtype: str, path: str, default: Any) -> dict[str, Any]:
        return {
            "attribute_name": name,
            "dtype": dtype,
            "path": path,
            "filter": "type=='visibility_receive'",
            "default_value": default,
        }

    server.configure(
        {
            "dtype": "object",
            "source": {
                "type": "InMemorySource",
                "data": [
                    {"type": "visibility_receive", "state": "new", "scan_id": 34, "time": 2.5},
                    {"state": "ignored", "scan_id": -1},
                    {"type": "visibility_receive", "state": "on", "scan_id": None, "time": "bad"},
                ],
            },
            "sink": {
                "type": "TangoObjectScatterAttributeSink",
                "attributes": [
                    metric("receiver_state", "str", "state", "unknown"),
                    metric("scan_id", "int", "scan_id", 0),
                    metric("last_update", "float", "time", 0.0),
                ],
            },
        }
    )
    server.proxy().Start()
    server.wait_for_state("OFF")
    assert server.read("receiver_state").value == "on"
    assert server.read("scan_id").value == 34
    assert server.read("last_update").value == 2.5
    status = server.proxy().status()
    assert "3 received, 2 delivered, 1 dropped" in status
    assert "last_update: " in status
