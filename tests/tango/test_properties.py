"""What stands in device properties is checked like a configuration, each problem with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queueconnector_core.dataspec import DataSpec
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_tango.dtypes import TANGO_TYPES
from queueconnector_tango.properties import (
    COMMAND_SETS,
    FixedAttribute,
    database_source,
    hidden_commands,
    read_config_sources,
    read_fixed_attributes,
)

REGISTRY = discover().registry.without("EtcdConfigSource", "SdpConfigSource")


def declared(*attributes: Any) -> list[FixedAttribute]:
    return read_fixed_attributes(json.dumps(attributes), REGISTRY)


def problems(*attributes: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as refusal:
        declared(*attributes)
    return {problem.path: problem.message for problem in refusal.value.problems}


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, []),
        ({"data_format": "SPECTRUM"}, [1024]),
        ({"data_format": "SPECTRUM", "max_dim_x": 3}, [3]),
        ({"data_format": "IMAGE", "max_dim_x": 3, "max_dim_y": 2}, [2, 3]),
        ({"data_format": "SCALAR", "max_dim_x": 3}, []),
    ],
)
@pytest.mark.parametrize("dtype", [*TANGO_TYPES, "str"])
def test_each_type_in_each_format(dtype: str, options: dict[str, Any], shape: list[int]) -> None:
    (found,) = declared({"name": "x", "data_type": dtype, **options})
    assert found.spec == DataSpec.of(dtype, shape)
    assert found.writeable is False


@pytest.mark.parametrize("name", [*TANGO_TYPES.values(), "DevString", "DevEncoded"])
def test_tangos_own_names_of_types(name: str) -> None:
    (found,) = declared({"name": "x", "data_type": name})
    assert found.spec.shape == ()


@pytest.mark.parametrize("text", ["", "  \n", "[]"])
def test_nothing_is_no_attribute(text: str) -> None:
    assert read_fixed_attributes(text, REGISTRY) == []


@pytest.mark.parametrize(
    ("attribute", "path"),
    [
        ({"data_type": "int32"}, "attributes[0].name"),
        ({"name": "x"}, "attributes[0].data_type"),
        ({"name": "a b", "data_type": "int32"}, "attributes[0].name"),
        ({"name": "State", "data_type": "int32"}, "attributes[0].name"),
        ({"name": "x", "data_type": "int8"}, "attributes[0].data_type"),
        ({"name": "x", "data_type": "object"}, "attributes[0].data_type"),
        ({"name": "x", "data_type": "nothing"}, "attributes[0].data_type"),
        ({"name": "x", "data_type": "int32", "data_format": "CUBE"}, "attributes[0].data_format"),
        ({"name": "x", "data_type": "int32", "writeable": 1}, "attributes[0].writeable"),
        ({"name": "x", "data_type": "int32", "max_dim_x": 0}, "attributes[0].max_dim_x"),
        ({"name": "x", "data_type": "int32", "size": 4}, "attributes[0].size"),
        ({"name": "x", "data_type": "bytes", "writeable": True}, "attributes[0].writeable"),
        (
            {"name": "x", "data_type": "bytes", "data_format": "SPECTRUM"},
            "attributes[0].data_format",
        ),
    ],
)
def test_a_mistake_is_told_at_its_place(attribute: dict[str, Any], path: str) -> None:
    assert list(problems(attribute)) == [path]


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(
        {"name": "x", "data_type": "int32"},
        {"name": "X", "data_type": "int32"},
        {"name": "a b", "data_type": "int8"},
    )
    assert list(found) == ["attributes[1].name", "attributes[2].name", "attributes[2].data_type"]
    assert "names must differ, case ignored" in found["attributes[1].name"]


@pytest.mark.parametrize("text", ["{", "{}", "5"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_fixed_attributes(text, REGISTRY)
    assert [problem.path for problem in refusal.value.problems] == ["attributes"]


def test_commands_that_are_hidden() -> None:
    assert hidden_commands("full") == ()
    assert set(hidden_commands("configuration")) == {"Start", "Stop", "Standby", "Abort"}
    assert set(hidden_commands("none")) > set(hidden_commands("configuration"))
    with pytest.raises(ConfigError, match=f"allowed: {', '.join(COMMAND_SETS)}"):
        hidden_commands("some")


@pytest.mark.parametrize("text", ['[{"type": "EtcdConfigSource"}]', '[{"type": "Nothing"}]'])
def test_an_unknown_kind_of_configuration_source_is_told_at_its_place(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_config_sources(text, REGISTRY)
    assert [problem.path for problem in refusal.value.problems] == ["config_sources[0].type"]


def test_a_path_without_the_plugin_names_the_command_that_installs_it() -> None:
    with pytest.raises(ConfigError, match="pip install queueconnector-sdp"):
        database_source("/component/lmc", "", REGISTRY)


@pytest.mark.parametrize("subarray", ["", "  "])
def test_a_path_with_a_subarray_needs_its_number(subarray: str) -> None:
    with pytest.raises(ConfigError, match="needs the property subarray_id"):
        database_source("/component/lmc-{}", subarray, REGISTRY)
