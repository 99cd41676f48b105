"""One record over many attributes, as clients of the device see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tango

if TYPE_CHECKING:
    from tests.device.conftest import ConnectorServer


def run(
    server: ConnectorServer,
    dtype: object,
    shape: list[int],
    data: list[Any],
    sink: dict[str, Any],
    pipe: list[dict[str, Any]] | None = None,
) -> str:
    """Stream the values to their end; what Status says then."""
    source = {"type": "InMemorySource", "data": data}
    exchange = {"dtype": dtype, "shape": shape, "source": source, "sink": sink, "pipe": pipe or []}
    server.configure(exchange)
    server.proxy().Start()
    server.wait_for_state("OFF")
    return str(server.proxy().status())


def pick(name: str, path: str, dtype: str = "float64", **options: Any) -> dict[str, Any]:
    """An attribute of an object scatter sink."""
    return {"attribute_name": name, "dtype": dtype, "path": path, **options}


def objects(*attributes: dict[str, Any]) -> dict[str, Any]:
    """An object scatter sink."""
    return {"type": "TangoObjectScatterAttributeSink", "attributes": attributes}


def test_text_is_split_and_flattened_like_numbers(server: ConnectorServer) -> None:
    data = [[["a", "€"], ["c", "d"]], [["e", "f"], ["g", "h"]]]
    names = {"attribute_names": ["x", "y"], "attribute_shape_names": ["x_shape", "y_shape"]}
    sink = {"type": "TangoArrayScatterSink", **names, "axis": -1}
    run(server, "str", [2, 2, 2], [data], sink)
    assert server.read("x").value == ("a", "c", "e", "g")
    last = [text.encode("latin-1").decode() for text in server.read("y").value]
    assert last == ["€", "d", "f", "h"]
    np.testing.assert_array_equal(server.read("y_shape").value, [2, 2, 1])


def test_a_part_that_cannot_be_shown_does_not_keep_the_others(server: ConnectorServer) -> None:
    sink = {
        "type": "TangoArrayScatterAttributeSink",
        "attribute_names": ["x", "y", "z"],
        "default_value": "-",
    }
    status = run(server, "str", [3], [["a", "b\0c", "d"]], sink)
    assert [server.read(name).value for name in "xyz"] == [("a",), ("-",), ("d",)]
    assert "1 received, 0 delivered, 1 dropped" in status
    assert "attribute y: " in status


def test_arrays_are_lists_to_a_path(server: ConnectorServer) -> None:
    image = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    attributes = (
        pick("all", "@", shape=[2, 3]),
        pick("row", "[1]", shape=[3]),
        pick("column", "[*][0]", shape=[2]),
        pick("corner", "[-1][-1]", "int"),
        pick("rows", "length(@)", "int"),
    )
    run(server, "float64", [2, 3], [image], objects(*attributes))
    np.testing.assert_array_equal(server.read("all").value, image)
    np.testing.assert_array_equal(server.read("row").value, image[1])
    np.testing.assert_array_equal(server.read("column").value, [1.0, 4.0])
    assert server.read("corner").value == 6
    assert server.read("rows").value == 2


def test_a_window_of_any_length_is_scattered(server: ConnectorServer) -> None:
    attributes = (pick("count", "length(@)", "int"), pick("last", "[-1].alt"))
    dtype = [["alt", "float64"], ["az", "float64"]]
    pipe = [{"type": "BufferWithTimePipe", "timespan": 60}]
    run(server, dtype, [], [[1.0, 2.0], [3.0, 4.0]], objects(*attributes), pipe)
    assert server.read("count").value == 2
    assert server.read("last").value == 3.0


def test_what_is_null_or_filtered_or_wrong_leaves_its_attribute_alone(
    server: ConnectorServer,
) -> None:
    attributes = (
        pick("scan_id", "scan_id", "int", default_value=7),
        pick("rate", "rate", filter="scan_id"),
        pick("level", "floor(level)", "int", default_value=0),
    )
    data = [
        {"scan_id": None, "rate": 1.0, "level": 2.5},
        {"rate": 2.0, "level": "nan"},
        {"scan_id": 0, "rate": 3.0, "level": 4.0},
    ]
    status = run(server, "object", [], data, objects(*attributes))
    assert server.read("scan_id").value == 0
    assert server.read("rate").value == 3.0, "0 is not false to JMESPath"
    assert server.read("level").value == 4
    assert "3 received, 2 delivered, 1 dropped" in status
    assert "level: " in status


def test_an_invalid_record_makes_every_attribute_invalid(server: ConnectorServer) -> None:
    empty = {"type": "InMemorySource", "data": []}
    subscription = {
        "type": "TangoSubscriptionSource",
        "device_name": server.trl(),
        "attribute_name": "unknown_yet",
    }
    split = {
        "type": "TangoArrayScatterAttributeSink",
        "attribute_names": ["x", "y"],
        "default_value": 1.0,
    }
    spec = {"dtype": "float64", "shape": [2]}
    local = {"type": "TangoLocalAttributeSink", "attribute_name": "unknown_yet"}
    server.configure(
        source=[{**spec, "source": empty, "sink": local}],
        array=[{**spec, "source": subscription, "sink": split}],
        object=[{
            **spec, "source": subscription, "sink": objects(pick("z", "[0]", default_value=1.0))
        }],
    )  # fmt: skip
    names = ("x", "y", "z")
    assert [server.read(name).quality for name in names] == [tango.AttrQuality.ATTR_VALID] * 3
    server.proxy().Start()
    server.process.wait_until(
        lambda: all(server.read(name).quality == tango.AttrQuality.ATTR_INVALID for name in names),
        10,
        "the value at subscription",
    )
    server.proxy().Stop()
    server.wait_for_state("OFF")
