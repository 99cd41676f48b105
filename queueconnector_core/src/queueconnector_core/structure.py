"""Reads JSON into descriptors: closed objects, strict primitives, all problems at once.

Built on cattrs, with hooks of its own where cattrs coerces (`"false"` to True, 2.9 to 2), where a
`type` chooses the class, and for the text of every error.
"""

from __future__ import annotations

import difflib
import json
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, TypeVar, get_args, get_origin

import attrs
from cattrs import Converter
from msgspec import Meta

from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import check_dtype, whole
from queueconnector_core.descriptors import DtypeLiteral, OneOrMany, QueueConnectorDescriptor
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.hints import (
    BOUNDS,
    COMPONENT_BASES,
    is_annotated,
    is_literal,
    is_mapping,
    is_sequence,
    is_union,
    json_type,
    member_type,
    options_of,
)
from queueconnector_core.registry import Registry

__all__ = (
    "Hook",
    "read_json",
    "structure",
    "structure_as",
    "make_converter",
    "new_converter",
    "MAX_CHARACTERS",
)

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]

MAX_CHARACTERS: Final = 16 * 2**20
"""The longest text of a configuration; etcd and files take a tenth of it at most."""

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

    Raises `ConfigError` with line and column, for an object that has the same key twice, and for a
    text of more than `MAX_CHARACTERS`.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConfigError.at("", f"has {len(text)} characters; allowed: at most {MAX_CHARACTERS}")
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
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise ConfigError.at("", f"the key {twice!r} stands twice in one object")
    return found


def structure(document: object, registry: Registry) -> QueueConnectorDescriptor:
    """The descriptor of a parsed JSON document (null is an empty configuration).

    Raises `ConfigError` with every problem found, each with its JSON path.
    """
    return structure_as({} if document is None else document, QueueConnectorDescriptor, registry)


def structure_as(document: object, cls: type[T], registry: Registry) -> T:
    """A parsed JSON document as any type that has annotations of options; raises `ConfigError`."""
    try:
        return make_converter(registry).structure(document, cls)
    except RecursionError:
        raise ConfigError.at("", "nested too deeply") from None


@lru_cache(maxsize=8)
def make_converter(registry: Registry) -> Converter:
    """A converter that knows the component types of `registry`."""
    return new_converter(registry)


def new_converter(registry: Registry) -> Converter:
    """The same, for somebody who changes it; making it takes milliseconds."""
    converter = Converter()
    for primitive in (bool, int, float, str):
        converter.register_structure_hook(primitive, _strict(primitive))
    converter.register_structure_hook_func(lambda t: t is Any, lambda value, _: value)
    converter.register_structure_hook_func(is_literal, _literal)
    converter.register_structure_hook_factory(attrs.has, lambda t: _attrs_hook(t, converter))
    converter.register_structure_hook_factory(is_sequence, lambda t: _sequence_hook(t, converter))
    converter.register_structure_hook_factory(is_mapping, lambda t: _mapping_hook(t, converter))
    converter.register_structure_hook_factory(is_union, lambda t: _union_hook(t, converter))
    converter.register_structure_hook_factory(is_annotated, lambda t: _annotated_hook(t, converter))
    for base, kind in COMPONENT_BASES.items():
        # Identity: a hook registered for the class would also catch its subclasses.
        converter.register_structure_hook_func(
            partial(operator.is_, base), _component_hook(kind, registry, converter)
        )
    return converter


def _found(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=list)
    return f"found {text if len(text) <= 60 else text[:57] + '...'}"


def _strict(primitive: type) -> Hook:
    def hook(value: Any, _: Any) -> Any:
        number = whole(value) if primitive is int else value
        found = json_type(number)
        if found is primitive:
            return number
        if primitive is float and found is int:
            return _to_float(value)
        raise ConfigError.at("", f"{_found(value)}; allowed: {_JSON_WORDS[primitive]}")

    return hook


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ConfigError.at("", f"{_found(value)}; too large for a number") from None


def _literal(value: Any, cls: Any) -> Any:
    allowed = get_args(cls)
    number = whole(value)
    if number in allowed and type(number) in {type(item) for item in allowed}:
        return number
    near = difflib.get_close_matches(str(value), [str(item) for item in allowed], n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    words = ", ".join(json.dumps(item) for item in allowed)
    raise ConfigError.at("", f"{_found(value)}{hint}; allowed: {words}")


def _attrs_hook(cls: Any, converter: Converter) -> Hook:
    """Closed objects; every field is tried, so that all problems are told at once."""
    options = options_of(cls)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ConfigError.at("", f"{_found(value)}; allowed: an object")
        problems: list[Problem] = [_unknown_key(key, cls) for key in value if key not in options]
        arguments: dict[str, Any] = {}
        for name, option in options.items():
            if name not in value:
                if option.default is attrs.NOTHING:
                    problems.append(Problem(name, "is required"))
                continue
            try:
                arguments[name] = converter.structure(value[name], option.hint)
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


def _unknown_key(key: str, cls: type) -> Problem:
    former: Mapping[str, str] = getattr(cls, "former_options", {})
    if key in former:
        return Problem(key, f"is no longer an option: {former[key]}")
    options = options_of(cls)
    near = difflib.get_close_matches(key, options, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    text = f"unknown option{hint} (allowed: {', '.join(options) or 'none'})"
    return Problem(key, text, meant=near[0] if near else "")


def _sequence_hook(cls: Any, converter: Converter) -> Hook:
    element = get_args(cls)[0]
    build = tuple if get_origin(cls) is tuple else list

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise ConfigError.at("", f"{_found(value)}; allowed: a list")
        return build(_each(enumerate(value), element, converter, "[{}]"))

    return hook


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


def _union_hook(cls: Any, converter: Converter) -> Hook:
    """A union has at most one member per JSON type; the JSON type chooses it."""
    members = {member_type(member): member for member in get_args(cls)}

    def hook(value: Any, _: Any) -> Any:
        found = json_type(whole(value) if int in members else value)
        if found is int and int not in members:
            found = float
        if found not in members:
            words = " or ".join(_JSON_WORDS[member] for member in members)
            raise ConfigError.at("", f"{_found(value)}; allowed: {words}")
        return None if value is None else converter.structure(value, members[found])

    return hook


def _annotated_hook(cls: Any, converter: Converter) -> Hook:
    inner, *marks = get_args(cls)
    one_or_many = any(isinstance(mark, OneOrMany) for mark in marks)
    dtype_mark = next((mark for mark in marks if isinstance(mark, DtypeLiteral)), None)
    metas = [mark for mark in marks if isinstance(mark, Meta)]

    def hook(value: Any, _: Any) -> Any:
        if dtype_mark is not None and not (dtype_mark.optional and value is None):
            check_dtype(value)
        if one_or_many and not isinstance(value, list):
            return (converter.structure(value, get_args(inner)[0]),)
        result = converter.structure(value, inner)
        for meta in metas:
            _check_bounds(value, meta)
        return result

    return hook


def _check_bounds(value: Any, meta: Meta) -> None:
    """Enforce the bounds that the JSON schema states; a pattern is told by its description."""
    for bound in BOUNDS:
        limit = getattr(meta, bound.name)
        if limit is None or json_type(value) not in bound.keywords or bound.holds(value, limit):
            continue
        told = meta.description if bound.name == "pattern" else None
        raise ConfigError.at("", f"{_found(value)}; allowed: {told or bound.words.format(limit)}")


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
            problems = error.under("type").problems
            raise ConfigError([*problems, *as_meant(kind, name, options)]) from None
        return converter.structure(options, component.descriptor_class)

    def as_meant(kind: ComponentKind, name: str, options: object) -> Iterable[Problem]:
        """What else is wrong, if the type that is nearest was meant."""
        meant = registry.near(kind, name)
        try:
            if meant is not None:
                converter.structure(options, meant.descriptor_class)
        except ConfigError as error:
            return error.problems
        return ()

    return hook
