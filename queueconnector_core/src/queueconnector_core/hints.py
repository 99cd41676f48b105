"""What the annotation of an option says: `structure` reads by it, `schema` writes it down.

An option is annotated with `bool`, `int`, `float`, `str`, `Any`, a `Literal`, a list, tuple or
mapping of such, an attrs class, a base of components, or a union with at most one member per JSON
type; `Annotated` adds bounds (`Meta`) and marks.
"""

from __future__ import annotations

import operator
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import attrs

from queueconnector_core.component import ComponentKind
from queueconnector_core.descriptors import (
    ConfigSourceDescriptor,
    PipeDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)

__all__ = (
    "COMPONENT_BASES",
    "BOUNDS",
    "Bound",
    "Option",
    "options_of",
    "json_type",
    "member_type",
    "is_annotated",
    "is_literal",
    "is_mapping",
    "is_sequence",
    "is_union",
)

COMPONENT_BASES: Final[Mapping[type, ComponentKind]] = {
    SourceDescriptor: ComponentKind.SOURCE,
    PipeDescriptor: ComponentKind.PIPE,
    SinkDescriptor: ComponentKind.SINK,
    ConfigSourceDescriptor: ComponentKind.CONFIG_SOURCE,
}
"""The annotations that stand for any installed component of a kind; `type` says which."""


def _matches(text: str, pattern: str) -> bool:
    """Whether text has the pattern, where `$` is the very end, as in JSON Schema."""
    ended = pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern
    return re.search(ended, text) is not None


@attrs.frozen
class Bound:
    """A bound that `Meta` can state: on values of which JSON types, and how a schema calls it."""

    name: str
    keywords: Mapping[type, str]
    """The keyword of JSON Schema for each JSON type that is bounded; other types are not."""
    holds: Callable[[Any, Any], bool]
    """Whether a value (for lengths: its length) keeps the bound."""
    words: str


_LENGTHS: Final[Mapping[type, str]] = {str: "Length", list: "Items", dict: "Properties"}
_LEAST: Final = {of_type: f"min{word}" for of_type, word in _LENGTHS.items()}
_MOST: Final = {of_type: f"max{word}" for of_type, word in _LENGTHS.items()}

BOUNDS: Final = (
    Bound("ge", dict.fromkeys((int, float), "minimum"), operator.ge, "at least {}"),
    Bound("gt", dict.fromkeys((int, float), "exclusiveMinimum"), operator.gt, "more than {}"),
    Bound("le", dict.fromkeys((int, float), "maximum"), operator.le, "at most {}"),
    Bound("lt", dict.fromkeys((int, float), "exclusiveMaximum"), operator.lt, "less than {}"),
    Bound("min_length", _LEAST, lambda v, n: len(v) >= n, "a length of at least {}"),
    Bound("max_length", _MOST, lambda v, n: len(v) <= n, "a length of at most {}"),
    Bound("pattern", {str: "pattern"}, _matches, "text that matches {}"),
)
"""Every bound of `Meta` that is enforced."""


@attrs.frozen
class Option:
    """One option of a class of options."""

    name: str
    hint: Any
    """Its annotation."""
    default: Any
    """`attrs.NOTHING` where it is required; may be an attrs factory."""


def options_of(cls: type) -> Mapping[str, Option]:
    """The options of an attrs class by name."""
    return _options(cls)


@cache
def _options(cls: type) -> Mapping[str, Option]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: Option(field.name, hints[field.name], field.default)
        for field in attrs.fields(cls)
        if field.init
    }


def json_type(value: object) -> type:
    """The Python type that stands for the JSON type of a parsed value."""
    return next(
        (t for t in (bool, int, float, str, list, dict) if isinstance(value, t)), type(None)
    )


def is_literal(hint: Any) -> bool:
    """Whether it is one of several values."""
    return get_origin(hint) is Literal


def is_annotated(hint: Any) -> bool:
    """Whether it has bounds or marks."""
    return get_origin(hint) is Annotated


def is_sequence(hint: Any) -> bool:
    """Whether it is written as a list."""
    return get_origin(hint) in (list, tuple, Sequence)


def is_mapping(hint: Any) -> bool:
    """Whether it is written as an object with keys of the user's own."""
    return get_origin(hint) in (dict, Mapping)


def is_union(hint: Any) -> bool:
    """Whether the JSON type chooses among several annotations."""
    return get_origin(hint) in (Union, types.UnionType)


def member_type(member: Any) -> type:
    """The JSON type of one member of a union."""
    if is_annotated(member):
        return member_type(get_args(member)[0])
    if is_literal(member):
        return type(get_args(member)[0])
    if is_sequence(member):
        return list
    origin = get_origin(member) or member
    is_object = is_mapping(member) or origin in COMPONENT_BASES or attrs.has(origin)
    return dict if is_object else origin
