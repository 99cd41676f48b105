"""The JSON schema says exactly what the reading of a configuration accepts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import Meta

import write_schema
from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.descriptors import (
    ConfigSourceDescriptor,
    DtypeLiteral,
    OneOrMany,
    PipeDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry
from queueconnector_core.schema import Schema, config_sources_schema, json_schema
from queueconnector_core.structure import make_converter, structure
from queueconnector_core.testing.documents import Documents, Validator, mutated, words_of


@attrs.frozen
class Part:
    """A part that may hold parts."""

    name: Annotated[str, Meta(pattern="^[a-z]+$", max_length=4)] = "a"
    parts: tuple[Part, ...] = ()


@attrs.frozen
class FormsSourceDescriptor(SourceDescriptor):
    """Has an option of every form.

    And a second paragraph.
    """

    count: Annotated[int, Meta(description="How many.", ge=0, lt=5, title="Count")]
    share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    flag: bool = False
    level: Literal[1, 2, "high"] = 1
    words: Annotated[tuple[str, ...], OneOrMany(), Meta(min_length=1, max_length=2)] = ("a",)
    either: Annotated[int | str | list[int] | None, Meta(ge=0), Meta(min_length=1)] = None
    number: float | list[float] | None = None
    settings: Annotated[Mapping[str, float], Meta(min_length=1, max_length=1)] = {"a": 1.0}
    parts: Annotated[Sequence[Part], Meta(max_length=2)] = attrs.field(factory=list)
    kind: Annotated[Any, DtypeLiteral()] = "str"
    other: Annotated[Any, DtypeLiteral(optional=True)] = None
    anything: Annotated[Any, Meta(max_length=2), Meta(le=9)] = None
    inner: SourceDescriptor | None = None


@attrs.frozen
class PlainPipeDescriptor(PipeDescriptor):
    pass


@attrs.frozen
class PlainSinkDescriptor(SinkDescriptor):
    pass


def never(*_: object) -> object:
    raise AssertionError("nothing is built here")


FORMS = Registry().with_(
    [
        ComponentType(
            "FormsSource", ComponentKind.SOURCE, never, FormsSourceDescriptor, aliases=("Forms",)
        ),
        ComponentType("PlainPipe", ComponentKind.PIPE, never, PlainPipeDescriptor),
        ComponentType("PlainSink", ComponentKind.SINK, never, PlainSinkDescriptor),
    ]
)
REGISTRIES = {"installed": discover().registry, "forms": FORMS}
SCHEMAS = {name: json_schema(registry) for name, registry in REGISTRIES.items()}
VALIDATORS = {name: Validator(schema) for name, schema in SCHEMAS.items()}
DOCUMENTS = {name: Documents(schema).of(schema) for name, schema in SCHEMAS.items()}
CONFIG_SOURCES = config_sources_schema(REGISTRIES["installed"])
CONFIG_SOURCES_VALIDATOR = Validator(CONFIG_SOURCES)
CONFIG_SOURCE_DOCUMENTS = Documents(CONFIG_SOURCES).of(CONFIG_SOURCES)
EXCHANGE = {"$ref": "#/$defs/ExchangeDescriptor"}
CONFIGURATIONS = {
    name: Documents(schema).of(EXCHANGE).map(lambda exchange: {"exchanges": [exchange]})
    for name, schema in SCHEMAS.items()
}
PART = {"$ref": "#/$defs/Part"}
FORM: dict[str, Any] = SCHEMAS["forms"]["$defs"]["FormsSource"]


def refusal(document: object, registry: Registry) -> str:
    """Why a document is not accepted; empty when it is."""
    try:
        structure(document, registry)
    except ConfigError as error:
        return str(error)
    return ""


thorough = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", REGISTRIES)
@given(data=st.data())
@thorough
def test_what_the_schema_describes_is_accepted(name: str, data: st.DataObject) -> None:
    document = data.draw(DOCUMENTS[name])
    assume(VALIDATORS[name].is_valid(document))  # bounds beside anyOf are not generated
    assert not refusal(document, REGISTRIES[name])


@pytest.mark.parametrize("name", REGISTRIES)
@given(data=st.data())
@thorough
def test_a_changed_configuration_is_valid_exactly_when_it_is_accepted(
    name: str, data: st.DataObject
) -> None:
    document = data.draw(mutated(CONFIGURATIONS[name], words_of(SCHEMAS[name])))
    reason = refusal(document, REGISTRIES[name])
    event("refused" if reason else "accepted")
    errors = [error.message for error in VALIDATORS[name].iter_errors(document)]
    assert bool(errors) == bool(reason), f"schema: {errors}; reading: {reason}"


@pytest.mark.parametrize("name", REGISTRIES)
def test_the_schema_is_a_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert json.loads(json.dumps(SCHEMAS[name])) == SCHEMAS[name]


def test_a_component_is_a_closed_object_chosen_by_its_names() -> None:
    assert FORM["properties"]["type"] == {"enum": ["FormsSource", "Forms"]}
    assert SCHEMAS["forms"]["$defs"]["PlainSink"]["properties"]["type"] == {"const": "PlainSink"}
    assert FORM["required"] == ["type", "count"]
    assert FORM["additionalProperties"] is False
    assert FORM["description"] == "Has an option of every form.\n\nAnd a second paragraph."


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (
            "count",
            {
                "title": "Count",
                "description": "How many.",
                "type": "integer",
                "minimum": 0,
                "exclusiveMaximum": 5,
            },
        ),
        ("share", {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.5}),
        ("flag", {"type": "boolean", "default": False}),
        ("level", {"enum": [1, 2, "high"], "default": 1}),
        (
            "number",
            {
                "anyOf": [
                    {"type": "number"},
                    {"type": "array", "items": {"type": "number"}},
                    {"type": "null"},
                ],
                "default": None,
            },
        ),
        ("parts", {"type": "array", "items": PART, "maxItems": 2, "default": []}),
        ("kind", {"$ref": "#/$defs/dtype", "default": "str"}),
        ("other", {"anyOf": [{"$ref": "#/$defs/dtype"}, {"type": "null"}], "default": None}),
        ("inner", {"anyOf": [{"$ref": "#/$defs/source"}, {"type": "null"}], "default": None}),
    ],
)
def test_an_option_is_told_with_type_bounds_default_and_words(
    option: str, expected: dict[str, Any]
) -> None:
    assert FORM["properties"][option] == expected


def test_one_or_many_is_a_value_or_a_list_of_them() -> None:
    one, many = FORM["properties"]["words"]["anyOf"]
    assert one == {"type": "string"}
    assert many == {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}


@pytest.mark.parametrize("schema_of", write_schema.SCHEMAS.values())
def test_every_option_of_the_project_is_described(schema_of: Callable[[Registry], Schema]) -> None:
    described = schema_of(write_schema.standard_registry())
    options = {
        f"{name}.{option}": part
        for name, definition in described["$defs"].items()
        for option, part in definition.get("properties", {}).items()
        if option != "type"
    }
    assert [name for name, part in options.items() if not part.get("description")] == []


def test_where_no_pipe_is_installed_none_is_valid() -> None:
    exchange = {"source": {"type": "FormsSource", "count": 1}, "sink": {"type": "PlainSink"}}
    piped = exchange | {"pipe": {"type": "PlainPipe"}}
    without = Validator(json_schema(FORMS.without("PlainPipe")))
    assert without.is_valid({"exchanges": [exchange]})
    assert not without.is_valid({"exchanges": [piped]})
    assert VALIDATORS["forms"].is_valid({"exchanges": [piped]})


def test_two_classes_of_one_name_are_told_apart() -> None:
    other = attrs.make_class("Part", {"size": attrs.field(type=int)}, frozen=True)
    options = {"mine": attrs.field(type=Part), "theirs": attrs.field(type=other)}
    descriptor = attrs.make_class("Both", options, bases=(SinkDescriptor,), frozen=True)
    registry = Registry().with_([ComponentType("BothSink", ComponentKind.SINK, never, descriptor)])
    properties = json_schema(registry)["$defs"]["BothSink"]["properties"]
    assert properties["mine"] != properties["theirs"]


def test_an_annotation_without_a_meaning_in_json_is_refused() -> None:
    descriptor = attrs.make_class(
        "Odd", {"octets": attrs.field(type=bytes)}, bases=(SinkDescriptor,), frozen=True
    )
    registry = Registry().with_([ComponentType("OddSink", ComponentKind.SINK, never, descriptor)])
    with pytest.raises(TypeError, match="bytes"):
        json_schema(registry)


@pytest.mark.parametrize("name", write_schema.SCHEMAS)
def test_the_shipped_file_is_that_of_the_project(name: str) -> None:
    text = (write_schema.FOLDER / name).read_text("utf-8")
    assert text == write_schema.schema_text(name), "an option changed: run `make reference`"


@given(data=st.data())
@thorough
def test_configuration_sources_are_valid_exactly_when_they_are_accepted(
    data: st.DataObject,
) -> None:
    document = data.draw(mutated(CONFIG_SOURCE_DOCUMENTS, words_of(CONFIG_SOURCES)))
    reason = ""
    try:
        make_converter(REGISTRIES["installed"]).structure(document, list[ConfigSourceDescriptor])
    except ConfigError as error:
        reason = str(error)
    event("refused" if reason else "accepted")
    errors = [error.message for error in CONFIG_SOURCES_VALIDATOR.iter_errors(document)]
    assert bool(errors) == bool(reason), f"schema: {errors}; reading: {reason}"


def test_the_command_prints_the_schema_of_what_is_installed() -> None:
    command = Path(sys.executable).parent / "queueconnector"
    printed = subprocess.run([command, "schema"], capture_output=True, text=True, check=True)
    assert json.loads(printed.stdout) == SCHEMAS["installed"]
