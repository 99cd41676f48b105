"""Walks through configurations: the components of a plan, the objects of a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import attrs

from queueconnector_core.component import ComponentKind
from queueconnector_core.descriptors import (
    Descriptor,
    OneOrMany,
    PipeDescriptor,
    QueueConnectorDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.errors import join_path, placed
from queueconnector_core.hints import (
    COMPONENT_BASES,
    is_annotated,
    is_mapping,
    is_sequence,
    is_union,
    member_type,
    options_of,
)
from queueconnector_core.plan import ComponentPlan, ExchangePlan
from queueconnector_core.registry import Registry

__all__ = ("Part", "component_objects", "nested_components", "planned_components")

_KINDS = {
    SourceDescriptor: ComponentKind.SOURCE,
    PipeDescriptor: ComponentKind.PIPE,
    SinkDescriptor: ComponentKind.SINK,
}


def planned_components(
    plan: ExchangePlan, registry: Registry
) -> Iterator[tuple[str, ComponentPlan]]:
    """Each component of an exchange with its path in it, those inside of others after these."""
    members: list[tuple[str, ComponentPlan | None]] = [
        *placed("source", plan.sources),
        *placed("pipe", plan.pipes),
        *placed("sink", plan.sinks),
        ("errors.dead_letters", plan.dead_letters),
        ("gaps", plan.gaps),
    ]
    for path, component in members:
        if component is not None:
            yield path, component
            for below, descriptor in nested_components(component.descriptor):
                inner = registry.of_descriptor(type(descriptor), _kind_of(descriptor))
                yield join_path(path, below), ComponentPlan(inner, descriptor, component.spec)


def _kind_of(descriptor: Descriptor) -> ComponentKind:
    return next(kind for base, kind in _KINDS.items() if base in type(descriptor).__mro__)


def nested_components(value: object) -> Iterator[tuple[str, Descriptor]]:
    """The descriptors that stand in the options of another one, each with its path there."""
    for path, item in _members(value):
        if isinstance(item, SourceDescriptor | PipeDescriptor | SinkDescriptor):
            yield path, item
        for below, descriptor in nested_components(item):
            yield join_path(path, below), descriptor


def _members(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif attrs.has(type(value)):
        yield from ((name, getattr(value, name)) for name in options_of(type(value)))


@attrs.frozen
class Part:
    """One object of a parsed document, with its path and what it is read as."""

    path: str
    value: dict[str, Any]
    cls: type | None
    """The class of its options; None for a component of a type that is not known."""
    kind: ComponentKind | None = None
    """For a component: its kind."""


def component_objects(document: object, registry: Registry) -> Iterator[Part]:
    """Each object that is read into a class, outer ones first; what is wrong there is passed by."""
    yield from _parts("", document, QueueConnectorDescriptor, registry)


def _parts(path: str, value: Any, hint: Any, registry: Registry) -> Iterator[Part]:
    if is_annotated(hint):
        inner, *marks = get_args(hint)
        if any(isinstance(mark, OneOrMany) for mark in marks) and not isinstance(value, list):
            inner = get_args(inner)[0]
        yield from _parts(path, value, inner, registry)
    elif is_union(hint):
        for member in get_args(hint):
            if member_type(member) is type(value):
                yield from _parts(path, value, member, registry)
    elif isinstance(value, list) and is_sequence(hint):
        for index, item in enumerate(value):
            yield from _parts(f"{path}[{index}]", item, get_args(hint)[0], registry)
    elif isinstance(value, dict):
        yield from _object(path, value, hint, registry)


def _object(path: str, value: dict[str, Any], hint: Any, registry: Registry) -> Iterator[Part]:
    if is_mapping(hint):
        for key, item in value.items():
            yield from _parts(join_path(path, key), item, get_args(hint)[1], registry)
    elif hint in COMPONENT_BASES or attrs.has(hint):
        yield from _options(path, value, hint, registry)


def _options(path: str, value: dict[str, Any], hint: Any, registry: Registry) -> Iterator[Part]:
    kind = COMPONENT_BASES.get(hint)
    cls: type | None = hint
    if kind is not None:
        name = value.get("type")
        found = registry.near(kind, name) if isinstance(name, str) else None
        cls = None if found is None else found.descriptor
    yield Part(path, value, cls, kind)
    for name, option in () if cls is None else tuple(options_of(cls).items()):
        if name in value:
            yield from _parts(join_path(path, name), value[name], option.hint, registry)
