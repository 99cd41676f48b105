"""The demo's configuration of the connector, and the options of its command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from pointing_loop.configuration import configuration
from pointing_loop.messages import offset_dtype
from pointing_loop.options import Options
from queueconnector_core.dataspec import parse_dtype
from queueconnector_core.discovery import discover
from queueconnector_core.structure import structure

DISHES = {f"SKA{n:03d}": f"tango://127.0.0.1:20000/mid-dish/x/ska{n:03d}#dbase=no" for n in (1, 36)}


def test_the_connector_accepts_the_configuration() -> None:
    document = json.loads(json.dumps(configuration("127.0.0.1:9092", DISHES)))
    assert structure(document, discover().registry).exchanges is not None


def test_there_is_one_source_and_one_attribute_for_each_dish() -> None:
    pointings, offsets = configuration("127.0.0.1:9092", DISHES)["exchanges"]
    assert [source["device_name"] for source in pointings["source"]] == list(DISHES.values())
    attributes = offsets["sink"]["attributes"]
    assert [one["attribute_name"] for one in attributes] == [
        "pointing_cal_SKA001",
        "pointing_cal_SKA036",
    ]
    assert all(one["default_value"] == [0.0, 0.0, 0.0] for one in attributes)


def test_the_connector_reads_the_rows_that_the_processor_writes() -> None:
    _, offsets = configuration("127.0.0.1:9092", DISHES)["exchanges"]
    assert parse_dtype(offsets["dtype"]) == offset_dtype()
    assert offsets["shape"] == [len(DISHES)]


def options(tmp_path: Path, **changes: Any) -> Options:
    usual: dict[str, Any] = {
        "dishes": 4,
        "duration": 60.0,
        "rate": 10.0,
        "scan": 5.0,
        "kafka": None,
        "picture": tmp_path / "picture.png",
        "seed": 0,
    }
    return Options(**usual | changes)


def test_a_run_has_as_many_scans_as_fit(tmp_path: Path) -> None:
    assert options(tmp_path).scans == 12
    assert options(tmp_path, duration=64.9).scans == 12
    assert options(tmp_path, duration=2.1, scan=0.3, rate=50.0).scans == 7


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dishes": 0}, "--dishes 0: at least 1"),
        ({"web_port": 65536}, "--web-port 65536: allowed are 0 .any free port. to 65535"),
        ({"rate": 1000.0}, "--rate 1000: allowed are 2 to 100"),
        ({"scan": 0.5}, "--scan 0.5: too short for 10 pointings at --rate 10"),
        ({"duration": 19.0}, "--duration 19: too short .* at least 4 scans of 5 s"),
        ({"picture": Path("/no/such/place.png")}, "no directory /no/such"),
        ({"picture": Path("picture.bmp")}, "allowed endings are .png"),
    ],
)
def test_options_that_make_no_run_are_refused_with_the_way_out(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        options(tmp_path, **changes)
