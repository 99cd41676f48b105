"""The component types that are known: names, aliases, and answers about unknown ones."""

from __future__ import annotations

import attrs
import pytest

from queueconnector_core.component import BuildContext, ComponentKind, ComponentType
from queueconnector_core.descriptors import Descriptor, SinkDescriptor, SourceDescriptor
from queueconnector_core.errors import ConfigError, PluginError
from queueconnector_core.registry import Registry, install_hints
from tests.core.components import (
    CounterSourceDescriptor,
    Made,
    TopicSinkDescriptor,
    component_types,
    registry_of,
)

SOURCE, SINK = ComponentKind.SOURCE, ComponentKind.SINK


@attrs.frozen
class OneDescriptor(SourceDescriptor):
    """Of a first type."""


@attrs.frozen
class OtherDescriptor(SourceDescriptor):
    """Of a second type."""


@attrs.frozen
class EndDescriptor(SinkDescriptor):
    """Of a sink."""


def factory(_: Descriptor | None, __: BuildContext) -> object:
    return object()


def source(name: str, descriptor: type[Descriptor] = OneDescriptor, *aliases: str) -> ComponentType:
    return ComponentType(name, SOURCE, factory, descriptor, aliases=aliases)


def test_a_type_is_found_by_name_and_alias() -> None:
    registry = registry_of()
    assert registry.lookup(SOURCE, "CounterSource") is registry.lookup(SOURCE, "TickSource")
    assert registry.names(SOURCE) == ["AnySource", "CounterSource"]


def test_a_type_is_found_by_its_descriptor() -> None:
    assert registry_of().of_descriptor(CounterSourceDescriptor, SOURCE).name == "CounterSource"
    with pytest.raises(ConfigError, match="no source is registered for TopicSinkDescriptor"):
        registry_of().of_descriptor(TopicSinkDescriptor, SOURCE)


def test_each_type_is_walked_once_in_order_of_registration() -> None:
    registry = registry_of()
    names = [component.name for component in component_types(Made())]
    assert [component.name for component in registry.walk()] == names
    assert [c.name for c in registry.walk(SINK)] == ["AttributeSink", "TopicSink"]


def test_a_registry_is_a_value_that_more_types_do_not_change() -> None:
    small = Registry().with_([source("OneSource")])
    large = small.with_([source("OtherSource", OtherDescriptor)])
    assert small.names(SOURCE) == ["OneSource"]
    assert large.names(SOURCE) == ["OneSource", "OtherSource"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (source("OneSource"), source("OneSource", OtherDescriptor)),
        (
            source("OneSource", OneDescriptor, "Alias"),
            source("OtherSource", OtherDescriptor, "Alias"),
        ),
        (source("OneSource"), source("OtherSource", OtherDescriptor, "OneSource")),
        (source("OneSource", OneDescriptor, "OtherSource"), source("OtherSource", OtherDescriptor)),
    ],
    ids=["name", "alias", "alias like a name", "name like an alias"],
)
def test_names_and_aliases_of_a_kind_are_taken_once(
    first: ComponentType, second: ComponentType
) -> None:
    registry = Registry().with_([first])
    with pytest.raises(PluginError, match=r"source '\w+' is defined twice"):
        registry.with_([second])


def test_two_kinds_may_use_one_name_as_alias() -> None:
    end = ComponentType("OneSink", SINK, factory, EndDescriptor, aliases=("One",))
    registry = Registry().with_([source("OneSource", OneDescriptor, "One"), end])
    assert registry.lookup(SOURCE, "One").name == "OneSource"
    assert registry.lookup(SINK, "One").name == "OneSink"


def test_each_type_needs_a_descriptor_class_of_its_own() -> None:
    """A plan knows its components by their descriptors: the second type would never be built."""
    with pytest.raises(PluginError, match="OtherSource has the descriptor class of OneSource"):
        Registry().with_([source("OneSource"), source("OtherSource")])


@pytest.mark.parametrize("name", ["oneSource", "One_Source", "OneSink", "One Source", "OneSources"])
def test_a_type_name_is_camel_case_and_ends_in_its_kind(name: str) -> None:
    with pytest.raises(PluginError, match=r"must be CamelCase .* and end in 'Source'"):
        source(name)


def test_a_component_without_a_descriptor_is_refused_but_for_codecs() -> None:
    with pytest.raises(PluginError, match="OneSource has no descriptor class"):
        ComponentType("OneSource", SOURCE, factory)
    codec = ComponentType("utf-8", ComponentKind.CODEC, factory)
    with pytest.raises(TypeError, match="utf-8 is a codec"):
        assert codec.descriptor_class


def refusal(registry: Registry, kind: ComponentKind, name: str) -> str:
    with pytest.raises(ConfigError) as error:
        registry.lookup(kind, name)
    return str(error.value)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    assert refusal(registry_of(), SOURCE, "CounterSorce") == (
        "unknown source type 'CounterSorce', did you mean 'CounterSource'? "
        "(installed: AnySource, CounterSource)"
    )
    assert refusal(Registry(), SINK, "X") == "unknown sink type 'X' (installed: none)"


@pytest.mark.parametrize(("name", "distribution"), sorted(install_hints().items()))
def test_each_type_of_ours_that_is_missing_is_answered_with_the_install_command(
    name: str, distribution: str
) -> None:
    kinds = [kind for kind in ComponentKind if name.endswith(kind.value)]
    # The configuration sources of databases have short names, too.
    kind = max(kinds, key=lambda kind: len(kind.value), default=ComponentKind.CONFIG_SOURCE)
    assert refusal(Registry(), kind, name) == (
        f"unknown {kind.word} type {name!r}: it comes with a plugin that is not "
        f"installed; pip install {distribution}"
    )


def test_a_type_of_a_broken_plugin_is_answered_with_the_reason() -> None:
    registry = Registry(broken={"queueconnector-kafka": "ImportError: no lz4"})
    assert refusal(registry, SOURCE, "KafkaConsumerSource") == (
        "unknown source type 'KafkaConsumerSource': its plugin queueconnector-kafka is broken "
        "(ImportError: no lz4)"
    )


def test_a_type_that_the_installed_plugin_is_too_old_for_is_answered_with_the_upgrade() -> None:
    registry = Registry().with_([source("KafkaConsumerSource")])
    assert refusal(registry, SINK, "KafkaProducerSink") == (
        "unknown sink type 'KafkaProducerSink': the installed queueconnector-kafka does not have "
        "it; pip install --upgrade queueconnector-kafka"
    )


def test_a_type_of_another_kind_is_told_apart_from_an_unknown_one() -> None:
    assert refusal(registry_of(), SINK, "CounterSource").endswith("it names a source type")
    codec = ComponentType("json", ComponentKind.CODEC, factory)
    assert refusal(Registry().with_([codec]), SINK, "json").endswith("it names an encoding")
