"""`explain` tells everything about every type, and its examples are accepted as they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from queueconnector_core.cli.checking import check_text
from queueconnector_core.cli.explain import explain, facts_named
from queueconnector_core.component import ComponentKind
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.hints import options_of
from queueconnector_core.structure import structure_as

REPORT = discover()
TYPES = {component.name: component for component in REPORT.registry.walk()}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_explained_with_all_its_options(name: str) -> None:
    facts, component = facts_named(name, REPORT), TYPES[name]

    assert facts["purpose"]
    assert facts["promise"]
    assert facts["distribution"]
    if component.descriptor is not None:
        told = {option["name"]: option for option in facts["options"]}
        assert list(told) == list(options_of(component.descriptor))
        assert all(option["description"] and option["type"] for option in told.values())
        assert all("default" in o or o["required"] for o in told.values())
    else:
        assert facts["carries"]


@pytest.mark.parametrize("name", TYPES)
def test_the_example_is_accepted_and_has_the_type_in_it(name: str) -> None:
    example = facts_named(name, REPORT)["example"]

    assert f'"{name}"' in json.dumps(example)
    if TYPES[name].kind is ComponentKind.CONFIG_SOURCE:
        structure_as(example, ConfigSourceDescriptor, REPORT.registry).check()
    else:
        assert check_text(json.dumps(example), REPORT.registry).findings == ()


def test_bounds_units_and_groups_of_options_are_told() -> None:
    options = {o["name"]: o for o in facts_named("KafkaConsumerSource", REPORT)["options"]}

    assert options["session_timeout_s"]["unit"] == "s"
    assert options["session_timeout_s"]["allowed"] == "more than 0, at most 1800"
    assert options["fetch_max_wait_ms"]["unit"] == "ms"
    assert options["servers"]["type"] == "text or list of text"
    inner = {o["name"]: o for o in options["security"]["options"]}
    assert inner["mechanism"]["type"] == '"PLAIN" or "SCRAM-SHA-256" or "SCRAM-SHA-512" or null'


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("TangoSplitAttributeSink", "TangoArrayScatterAttributeSink"),
        ("TangoJsonScatterAttributeSink", "TangoObjectScatterAttributeSink"),
        ("Exchange", "exchange"),
        ("configuration", "configuration"),
        ("etcd", "EtcdConfigSource"),
    ],
)
def test_older_names_and_parts_of_the_configuration_are_explained(name: str, found: str) -> None:
    assert facts_named(name, REPORT)["name"] == found


@pytest.mark.parametrize(
    ("name", "near"),
    [("KafkaConsumerSorce", "KafkaConsumerSource"), ("jsn", "json"), ("exchnge", "exchange")],
)
def test_a_name_that_is_nearly_right_is_answered(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=near):
        facts_named(name, REPORT)


@pytest.mark.parametrize("name", [None, "npy", "KafkaProducerSink", "exchange"])
def test_it_is_told_to_people_and_to_programs(
    name: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(name) == 0
    text = capsys.readouterr().out
    assert explain(name, as_json=True) == 0
    told: Any = json.loads(capsys.readouterr().out)

    names = (
        [row["name"] for row in told]
        if name is None
        else [o["name"] for o in told.get("options", [])]
    )
    assert all(each in text for each in names)
    assert text.strip()
