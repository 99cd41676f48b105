"""Reads JSON into descriptors: closed objects, strict primitives, all problems at once.

Built on cattrs, with hooks of its own where cattrs coerces (`"false"` to True, 2.9 to 2), where a
`type` chooses the class, and for the text of every error.
"""

from __future__ import annotations

import difflib
import json
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs
from cattrs import Converter
from msgspec import Meta

from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import parse_dtype
from queueconnector_core.descriptors import (
    DtypeLiteral,
    OneOrMany,
    PipeDescriptor,
    QueueConnectorDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.registry import Registry

__all__ = ("read_json", "structure", "make_converter")

Hook = Callable[[Any, Any], Any]

_BASES: Final = {
    SourceDescriptor: ComponentKind.SOURCE,
    PipeDescriptor: ComponentKind.PIPE,
    SinkDescriptor: ComponentKind.SINK,
}
_JSON_WORDS: Final = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


def read_json(text: str) -> Any:
    """Parse JSON text; text that holds JSON text again (as some databases do) is parsed once more.

    Raises `ConfigError` with line and column, and for an object that has the same key twice.
    """
    try:
        document = json.loads(text, object_pairs_hook=_unique_keys)
        if isinstance(document, str):
            document = json.loads(document, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError.at("", f"not valid JSON: {error.msg} ({where})") from None
    except RecursionError:
        raise ConfigError.at("", "not valid JSON: nested too deeply") from None
    except ValueError as error:
        # Python reads no integer of more than 4300 digits.
        raise ConfigError.at("", f"not valid JSON: {error}") from None
    return document


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError.at("", f"the key {twice!r} stands twice in one object")
    return found


def structure(document: object, registry: Registry) -> QueueConnectorDescriptor:
    """The descriptor of a parsed JSON document (null is an empty configuration).

    Raises `ConfigError` with every problem found, each with its JSON path.
    """
    try:
        return make_converter(registry).structure(
            {} if document is None else document, QueueConnectorDescriptor
        )
    except RecursionError:
        raise ConfigError.at("", "nested too deeply") from None


def make_converter(registry: Registry) -> Converter:
    """A converter that knows the component types of `registry`."""
    converter = Converter()
    for primitive in (bool, int, float, str):
        converter.register_structure_hook(primitive, _strict(primitive))
    converter.register_structure_hook_func(lambda t: t is Any, lambda value, _: value)
    converter.register_structure_hook_func(_is_literal, _literal)
    converter.register_structure_hook_factory(attrs.has, lambda t: _attrs_hook(t, converter))
    converter.register_structure_hook_factory(_is_sequence, lambda t: _sequence_hook(t, converter))
    converter.register_structure_hook_factory(_is_mapping, lambda t: _mapping_hook(t, converter))
    converter.register_structure_hook_factory(_is_union, lambda t: _union_hook(t, converter))
    converter.register_structure_hook_factory(
        _is_annotated, lambda t: _annotated_hook(t, converter)
    )
    for base, kind in _BASES.items():
        # Identity: a hook registered for the class would also catch its subclasses.
        converter.register_structure_hook_func(
            partial(operator.is_, base), _component_hook(kind, registry, converter)
        )
    return converter


def _json_type(value: object) -> type:
    return next(
        (t for t in (bool, int, float, str, list, dict) if isinstance(value, t)), type(None)
    )


def _found(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=list)
    return f"found {text if len(text) <= 60 else text[:57] + '...'}"


def _strict(primitive: type) -> Hook:
    def hook(value: Any, _: Any) -> Any:
        found = _json_type(value)
        if found is primitive:
            return value
        if primitive is float and found is int:
            return _to_float(value)
        raise ConfigError.at("", f"{_found(value)}; allowed: {_JSON_WORDS[primitive]}")

    return hook


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ConfigError.at("", f"{_found(value)}; too large for a number") from None


def _is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def _is_annotated(cls: Any) -> bool:
    return get_origin(cls) is Annotated


def _literal(value: Any, cls: Any) -> Any:
    allowed = get_args(cls)
    if value in allowed and type(value) in {type(item) for item in allowed}:
        return value
    near = difflib.get_close_matches(str(value), [str(item) for item in allowed], n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    words = ", ".join(json.dumps(item) for item in allowed)
    raise ConfigError.at("", f"{_found(value)}{hint}; allowed: {words}")


def _attrs_hook(cls: Any, converter: Converter) -> Hook:
    """Closed objects; every field is tried, so that all problems are told at once."""
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in attrs.fields(cls) if field.init}

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ConfigError.at("", f"{_found(value)}; allowed: an object")
        problems: list[Problem] = [_unknown_key(key, fields) for key in value if key not in fields]
        arguments: dict[str, Any] = {}
        for name, field in fields.items():
            if name not in value:
                if field.default is attrs.NOTHING:
                    problems.append(Problem(name, "is required"))
                continue
            try:
                arguments[name] = converter.structure(value[name], hints[name])
            except ConfigError as error:
                problems.extend(error.under(name).problems)
        if problems:
            raise ConfigError(problems)
        try:
            return cls(**arguments)
        except (TypeError, ValueError) as error:
            # What the validators of attrs raise.
            raise ConfigError.at("", str(error)) from error

    return hook


def _unknown_key(key: str, fields: Mapping[str, Any]) -> Problem:
    near = difflib.get_close_matches(key, fields, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    return Problem(key, f"unknown option{hint} (allowed: {', '.join(fields) or 'none'})")


def _is_sequence(cls: Any) -> bool:
    return get_origin(cls) in (list, tuple, Sequence)


def _sequence_hook(cls: Any, converter: Converter) -> Hook:
    element = get_args(cls)[0]
    build = tuple if get_origin(cls) is tuple else list

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise ConfigError.at("", f"{_found(value)}; allowed: a list")
        return build(_each(enumerate(value), element, converter, "[{}]"))

    return hook


def _is_mapping(cls: Any) -> bool:
    return get_origin(cls) in (dict, Mapping)


def _mapping_hook(cls: Any, converter: Converter) -> Hook:
    element = get_args(cls)[1]

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ConfigError.at("", f"{_found(value)}; allowed: an object")
        return dict(zip(value, _each(value.items(), element, converter, "{}"), strict=True))

    return hook


def _each(items: Any, element: Any, converter: Converter, path: str) -> list[Any]:
    problems: list[Problem] = []
    structured: list[Any] = []
    for key, item in items:
        try:
            structured.append(converter.structure(item, element))
        except ConfigError as error:
            problems.extend(error.under(path.format(key)).problems)
    if problems:
        raise ConfigError(problems)
    return structured


def _is_union(cls: Any) -> bool:
    return get_origin(cls) in (Union, types.UnionType)


def _union_hook(cls: Any, converter: Converter) -> Hook:
    """A union has at most one member per JSON type; the JSON type chooses it."""
    members = {_member_type(member): member for member in get_args(cls)}

    def hook(value: Any, _: Any) -> Any:
        found = _json_type(value)
        if found is int and int not in members:
            found = float
        if found not in members:
            words = " or ".join(_JSON_WORDS[member] for member in members)
            raise ConfigError.at("", f"{_found(value)}; allowed: {words}")
        return None if value is None else converter.structure(value, members[found])

    return hook


def _member_type(member: Any) -> type:
    origin = get_origin(member) or member
    if origin is Annotated:
        return _member_type(get_args(member)[0])
    if origin is Literal:
        return type(get_args(member)[0])
    if origin in (list, tuple, Sequence):
        return list
    return dict if origin in (dict, Mapping) or attrs.has(origin) else origin


def _annotated_hook(cls: Any, converter: Converter) -> Hook:
    inner, *marks = get_args(cls)
    one_or_many = any(isinstance(mark, OneOrMany) for mark in marks)
    names_dtype = any(isinstance(mark, DtypeLiteral) for mark in marks)
    metas = [mark for mark in marks if isinstance(mark, Meta)]

    def hook(value: Any, _: Any) -> Any:
        if names_dtype:
            parse_dtype(value)
        if one_or_many and not isinstance(value, list):
            return (converter.structure(value, get_args(inner)[0]),)
        result = converter.structure(value, inner)
        for meta in metas:
            _check_bounds(result, meta)
        return result

    return hook


def _check_bounds(value: Any, meta: Meta) -> None:
    """Enforce the bounds that the JSON schema states."""
    checks: tuple[tuple[Any, Callable[[Any], bool], str], ...] = (
        (meta.ge, lambda bound: value >= bound, "at least {}"),
        (meta.gt, lambda bound: value > bound, "more than {}"),
        (meta.le, lambda bound: value <= bound, "at most {}"),
        (meta.lt, lambda bound: value < bound, "less than {}"),
        (meta.min_length, lambda bound: len(value) >= bound, "a length of at least {}"),
        (meta.max_length, lambda bound: len(value) <= bound, "a length of at most {}"),
        (meta.pattern, lambda bound: re.search(bound, value) is not None, "text that matches {}"),
    )
    for bound, holds, words in checks:
        if bound is not None and value is not None and not holds(bound):
            raise ConfigError.at("", f"{_found(value)}; allowed: {words.format(bound)}")


def _component_hook(kind: ComponentKind, registry: Registry, converter: Converter) -> Hook:
    """Chooses the descriptor class by `type`."""

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ConfigError.at("", f"{_found(value)}; allowed: an object with a type")
        options = dict(value)
        name = options.pop("type", None)
        if not isinstance(name, str):
            word = "is required" if "type" not in value else f"{_found(name)}; allowed: text"
            names = ", ".join(registry.names(kind))
            raise ConfigError.at("type", f"{word} (installed: {names})")
        try:
            component = registry.lookup(kind, name)
        except ConfigError as error:
            raise error.under("type") from None
        return converter.structure(options, component.descriptor_class)

    return hook
