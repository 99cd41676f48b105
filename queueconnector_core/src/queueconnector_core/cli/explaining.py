"""What there is to say about a component type, an encoding, or the configuration itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, get_args

import attrs
import msgspec
from msgspec import Meta

from queueconnector_core._examples import example_options
from queueconnector_core._lenient import POSSIBLE
from queueconnector_core.cli.checking import every_service
from queueconnector_core.component import (
    BuildContext,
    ComponentKind,
    ComponentType,
    Guarantee,
    Stability,
)
from queueconnector_core.dataspec import DataSpec, dtype_literal
from queueconnector_core.descriptors import DtypeLiteral, OneOrMany, SinkDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.hints import (
    BOUNDS,
    COMPONENT_BASES,
    Option,
    is_annotated,
    is_literal,
    is_mapping,
    is_sequence,
    is_union,
    options_of,
)
from queueconnector_core.plan import examine
from queueconnector_core.registry import Registry

__all__ = ("PROMISES", "carried", "example_of_type", "facts_of_type", "option_facts")

PROMISES: Final = {
    Stability.STABLE: "options are only added; one that goes is first deprecated for two minor "
    "releases",
    Stability.BETA: "options are only added; one that goes is first deprecated for one minor "
    "release",
    Stability.EXPERIMENTAL: "anything may change",
}
MEANINGS: Final = {
    Guarantee.AT_MOST_ONCE: "a record may be lost while a process or a network fails",
    Guarantee.AT_LEAST_ONCE: "a record may come twice, and is not lost",
}
_WORDS: Final = {bool: "true or false", int: "integer", float: "number", str: "text", Any: "any"}
_UNITS: Final = {"_s": "s", "_ms": "ms", "_bytes": "octets"}
_CODEC_DTYPES: Final = (
    *("bool", "int64", "uint8", "float32", "float64", "complex128", "datetime64[ns]", "U8", "str"),
    *("object", "bytes", [["name", "U8"], ["x", "float64"]]),
)


def facts_of_type(component: ComponentType, registry: Registry) -> dict[str, Any]:
    """Everything about a component type, as JSON."""
    cls = component.descriptor
    described: Any = cls or component.factory(None, BuildContext(POSSIBLE[0], registry))
    facts: dict[str, Any] = {
        "name": component.name,
        "kind": component.kind.word,
        "purpose": inspect.getdoc(described) or "",
        "stability": component.stability.value,
        "promise": PROMISES[component.stability],
        "aliases": list(component.aliases),
        "former_names": dict(component.former_names),
        "requires": [need.__name__ for need in component.requires],
    }
    if component.guarantee in MEANINGS:
        facts["guarantee"] = component.guarantee.value
        facts["meaning"] = MEANINGS[component.guarantee]
    if cls is None:
        facts["carries"] = carried(component, registry)
    else:
        facts["options"] = list(option_facts(cls))
        facts["former_options"] = dict(cls.former_options)
    facts["example"] = example_of_type(component, registry)
    return facts


def carried(component: ComponentType, registry: Registry) -> list[dict[str, Any]]:
    """The dtypes that a codec carries, each with the numbers of dimensions."""
    found = []
    for dtype in _CODEC_DTYPES:
        dimensions = []
        for shape in ([], [2], [2, 2], [-1, 2]):
            try:
                spec = DataSpec.of(dtype, shape)
                component.factory(None, BuildContext(spec, registry)).check(spec)
            except ConfigError:
                continue
            dimensions.append(f"{len(shape)}, one of any size" if -1 in shape else str(len(shape)))
        if dimensions:
            found.append({"dtype": dtype, "dimensions": dimensions})
    return found


def option_facts(cls: type, above: tuple[type, ...] = ()) -> Iterator[dict[str, Any]]:
    """Everything about each option of a class; groups of options hold those inside of them."""
    for name, option in options_of(cls).items():
        metas = [mark for mark in _marks(option.hint) if isinstance(mark, Meta)]
        facts: dict[str, Any] = {
            "name": name,
            "type": type_words(option.hint),
            "required": option.default is attrs.NOTHING,
            "description": " ".join(meta.description for meta in metas if meta.description),
        }
        if not facts["required"]:
            facts["default"] = _default(option)
        if allowed := ", ".join(_bounds(metas)):
            facts["allowed"] = allowed
        if unit := _unit(name, metas):
            facts["unit"] = unit
        group = _group(option.hint)
        if group is not None and group not in above:
            facts["options"] = list(option_facts(group, (*above, cls)))
        yield facts


def type_words(hint: Any) -> str:
    """What JSON an option takes, in words."""
    if is_annotated(hint):
        inner, *marks = get_args(hint)
        if any(isinstance(mark, DtypeLiteral) for mark in marks):
            return "dtype"
        if any(isinstance(mark, OneOrMany) for mark in marks):
            one = type_words(get_args(inner)[0])
            return f"{one} or list of {one}"
        return type_words(inner)
    if is_literal(hint):
        return " or ".join(msgspec.json.encode(value).decode() for value in get_args(hint))
    if is_union(hint):
        return " or ".join(dict.fromkeys(map(type_words, get_args(hint))))
    return _word(hint)


def _word(hint: Any) -> str:
    if is_sequence(hint):
        return f"list of {type_words(get_args(hint)[0])}"
    if is_mapping(hint):
        return f"object of {type_words(get_args(hint)[1])}"
    if hint in COMPONENT_BASES:
        return COMPONENT_BASES[hint].word
    if attrs.has(hint):
        return f"object ({hint.__name__})"
    return _WORDS.get(hint, "null")


def _marks(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if is_annotated(hint) else ()


def _bounds(metas: Iterable[Meta]) -> Iterator[str]:
    for meta in metas:
        for bound in BOUNDS:
            limit = getattr(meta, bound.name)
            if limit is not None and bound.name != "pattern":
                yield bound.words.format(limit)


def _unit(name: str, metas: Iterable[Meta]) -> str:
    told = [str((meta.extra_json_schema or {}).get("unit", "")) for meta in metas]
    by_name = [unit for end, unit in _UNITS.items() if name.endswith(end)]
    return next(filter(None, [*told, *by_name]), "")


def _default(option: Option) -> Any:
    default = option.default
    made = default.factory() if hasattr(default, "factory") else default
    return msgspec.json.decode(msgspec.json.encode(made))


def _group(hint: Any) -> type | None:
    """The class of nested options that an annotation asks for, if any."""
    if attrs.has(hint) and hint not in COMPONENT_BASES:
        found: type = hint
        return found
    if is_literal(hint):
        return None
    parts = get_args(hint)[:1] if is_annotated(hint) else get_args(hint)
    return next(filter(None, map(_group, parts)), None)


def example_of_type(component: ComponentType, registry: Registry) -> dict[str, Any] | None:
    """A configuration that is accepted and has the type in it; for a config source its object.

    None where nothing that is installed goes together with it.
    """
    if component.kind is ComponentKind.CONFIG_SOURCE:
        return _written(component, registry)
    options: Mapping[str, Any] = {}
    if component.kind is ComponentKind.CODEC:
        options = {"encoding": component.name}
    for exchange in _candidates(component, registry, options):
        document = {"exchanges": [exchange]}
        if not examine(document, registry, every_service(registry)).problems:
            return document
    return None


def _candidates(
    component: ComponentType, registry: Registry, options: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    sources, pipes, sinks = (
        [component] if component.kind is kind else _partners(registry, kind, options)
        for kind in (ComponentKind.SOURCE, ComponentKind.PIPE, ComponentKind.SINK)
    )
    words = [{"dtype": dtype_literal(spec.dtype), "shape": list(spec.shape)} for spec in POSSIBLE]
    if component.descriptor is not None and component.descriptor.example:
        words = [dict(component.descriptor.example)]
    for spec in words:
        for source in sources:
            for sink in sinks:
                given = options if source.kind is not component.kind else {}
                exchange = {**spec, "source": {**_written(source, registry), **given}}
                if component.kind is ComponentKind.PIPE:
                    exchange["pipe"] = _written(pipes[0], registry)
                yield {**exchange, "sink": _written(sink, registry)}


def _partners(
    registry: Registry, kind: ComponentKind, options: Mapping[str, Any]
) -> list[ComponentType]:
    """The types to go with, the simplest first; sources have the options that are asked for."""
    found = [
        each
        for each in registry.walk(kind)
        if kind is not ComponentKind.SOURCE
        or set(options) <= set(options_of(each.descriptor_class))
    ]
    return sorted(
        found, key=lambda each: (len(each.requires), len(_written(each, registry)), each.name)
    )


def _written(component: ComponentType, registry: Registry) -> dict[str, Any]:
    """The simplest sink of all stands for those inside of it."""
    descriptor = component.descriptor_class
    if example_options(descriptor) == example_options(descriptor, {SinkDescriptor: None}):
        return {"type": component.name, **example_options(descriptor)}
    simplest = min(
        filter(_stands_alone, registry.walk(ComponentKind.SINK)),
        key=lambda each: (len(example_options(each.descriptor_class)), each.name),
        default=None,
    )
    inner = {} if simplest is None else _written(simplest, registry)
    return {"type": component.name, **example_options(descriptor, {SinkDescriptor: inner})}


def _stands_alone(sink: ComponentType) -> bool:
    """Whether a sink needs nothing of a host, nothing for itself alone, and no other sink."""
    alone = example_options(sink.descriptor_class)
    around = example_options(sink.descriptor_class, {SinkDescriptor: {"type": sink.name}})
    claims_nothing = sink.descriptor_class.claims is SinkDescriptor.claims  # type: ignore[attr-defined]
    return claims_nothing and not sink.requires and alone == around
