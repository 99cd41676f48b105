"""Configurations of older releases: what still works, and the answers where something was dropped.

Release numbers are those of the SKA LMC Queue Connector.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from queueconnector_core.component import ComponentKind, Services
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import Plan, read_plan
from queueconnector_tango.host import AttributeHost
from write_schema import standard_registry

REGISTRY = standard_registry()
DEVICE = Services({AttributeHost: object()})
SOURCE = {"type": "InMemorySource", "data": []}
LOCAL = {"type": "TangoLocalAttributeSink", "attribute_name": "a"}
SCATTER = {"type": "TangoArrayScatterAttributeSink", "attribute_names": ["a", "b"]}
OBJECT = {
    "type": "TangoObjectScatterAttributeSink",
    "attributes": [{"attribute_name": "a", "dtype": "int"}],
}


def planned(**exchange: Any) -> Plan:
    document = {"exchanges": [{"source": SOURCE, "sink": LOCAL} | exchange]}
    return read_plan(json.dumps(document), REGISTRY, DEVICE)


def refused(**exchange: Any) -> dict[str, str]:
    """The message at each path."""
    with pytest.raises(ConfigError) as error:
        planned(**exchange)
    return {problem.path: problem.message for problem in error.value.problems}


@pytest.mark.parametrize(
    ("alias", "sink"),
    [
        ("TangoSplitAttributeSink", SCATTER),
        ("TangoArrayScatterSink", SCATTER),
        ("TangoAttributeSink", LOCAL),
    ],
)
def test_an_alias_changes_nothing_else(alias: str, sink: dict[str, Any]) -> None:
    values = {"dtype": "float64", "shape": [2, 3]}
    assert planned(sink=sink | {"type": alias}, **values) == planned(sink=sink, **values)


def test_the_renamed_scatter_sink_is_told_with_what_else_changes() -> None:
    found = refused(sink=OBJECT | {"type": "TangoJsonScatterAttributeSink"})
    assert found == {
        "exchanges[0].sink.type": "sink type 'TangoJsonScatterAttributeSink' is now called "
        "'TangoObjectScatterAttributeSink'; for JSON out of Kafka give the exchange dtype "
        '"object" and the source encoding "json"'
    }


@pytest.mark.parametrize(
    ("end", "former", "name"),
    [
        ("source", "InMemoryDataSource", "InMemorySource"),
        ("source", "InMemorySourceDescriptor", "InMemorySource"),
        ("source", "KafkaConsumerSourceDescriptor", "KafkaConsumerSource"),
        ("source", "TangoSubscriptionDataSourceDescriptor", "TangoSubscriptionSource"),
        ("sink", "KafkaProducerDataSinkDescriptor", "KafkaProducerSink"),
        ("sink", "TangoAttributeDataSinkDescriptor", "TangoAttributeSink"),
        ("pipe", "DefaultDataPipe", "DefaultPipe"),
    ],
)
def test_names_with_the_words_data_and_descriptor_are_told_without_them(
    end: str, former: str, name: str
) -> None:
    found = refused(**{end: {"type": former}})
    told = f"{end} type {former!r} is now called {name!r}"
    assert found.pop(f"exchanges[0].{end}.type") == told
    assert set(found.values()) <= {"is required"}


@pytest.mark.parametrize("name", ["DataSource", "DescriptorSource", "NewDataSource"])
def test_a_name_that_nothing_is_left_of_is_just_unknown(name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown source type '{name}'"):
        REGISTRY.lookup(ComponentKind.SOURCE, name)


@pytest.mark.parametrize(
    ("sink", "option", "reason"),
    [
        (LOCAL, "access", "read-only"),
        (LOCAL, "poll_period", "pushed as a change event"),
        (LOCAL, "abs_change", "pushed as a change event"),
        (LOCAL, "rel_change", "pushed as a change event"),
        (SCATTER, "access", "read-only"),
    ],
)
def test_an_option_that_release_4_dropped_is_told_with_the_reason(
    sink: dict[str, Any], option: str, reason: str
) -> None:
    message = refused(sink=sink | {option: 1})[f"exchanges[0].sink.{option}"]
    assert message.startswith("is no longer an option: ")
    assert reason in message
    assert message.endswith("leave it out")


def test_access_of_one_attribute_of_many_is_told_too() -> None:
    attributes = [{"attribute_name": "a", "dtype": "int", "access": "READ_WRITE"}]
    assert list(refused(sink=OBJECT | {"attributes": attributes})) == [
        "exchanges[0].sink.attributes[0].access"
    ]


@pytest.mark.parametrize(
    ("dtype", "way_out"),
    [
        ("json", 'use "object" with encoding "json"'),
        ("dict", 'use "object"'),
        ("list", 'use "object"'),
        ("bytearray", 'use "bytes"'),
    ],
)
def test_a_dtype_that_release_2_dropped_is_told_with_the_way_out(dtype: str, way_out: str) -> None:
    assert refused(dtype=dtype) == {
        "exchanges[0].dtype": f"dtype {dtype!r} is no longer supported: {way_out}"
    }


@pytest.mark.parametrize("end", ["source", "sink", "pipe"])
def test_a_type_is_asked_for_with_the_names_to_choose_from(end: str) -> None:
    message = refused(**{end: {}})[f"exchanges[0].{end}.type"]
    names = REGISTRY.names(ComponentKind(end.capitalize()))
    assert message == f"is required (installed: {', '.join(names)})"
