"""An example of every option: what `explain` shows, and what stands for an option that is wrong.

The first of `Meta.examples` counts, else the smallest value that the annotation allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, get_args

import attrs
from msgspec import Meta

from queueconnector_core.descriptors import DtypeLiteral
from queueconnector_core.hints import (
    COMPONENT_BASES,
    is_annotated,
    is_literal,
    is_mapping,
    is_sequence,
    is_union,
    options_of,
)

__all__ = ("example_of", "example_options")

Components: TypeAlias = Mapping[type, Any]
"""The JSON object that stands for a component, by the base class of its descriptor."""


def example_of(hint: Any, name: str = "", components: Components | None = None) -> Any:
    """A JSON value for an option of that annotation; `name` stands where any text would do.

    A component has no example without a registry: an empty object stands for what is not among
    `components`.
    """
    if is_annotated(hint):
        return _annotated(name, components or {}, *get_args(hint))
    if is_literal(hint):
        return get_args(hint)[0]
    if is_union(hint):
        return example_of(get_args(hint)[0], name, components)
    return _plain(hint, name, components or {})


def _plain(hint: Any, name: str, components: Components) -> Any:
    if hint in COMPONENT_BASES:
        return components.get(hint, {})
    if is_mapping(hint):
        return {}
    if is_sequence(hint):
        return [example_of(get_args(hint)[0], name, components)]
    if attrs.has(hint):
        return example_options(hint, components)
    return {bool: True, int: 1, float: 1.0, str: name or "text"}.get(hint)


def example_options(cls: type, components: Components | None = None) -> dict[str, Any]:
    """An example of each option that an attrs class requires, and of those that it shows."""
    required = {
        name: example_of(option.hint, name, components)
        for name, option in options_of(cls).items()
        if option.default is attrs.NOTHING
    }
    return required | dict(getattr(cls, "example_options", {}))


def _annotated(name: str, components: Components, inner: Any, *marks: Any) -> Any:
    metas = [mark for mark in marks if isinstance(mark, Meta)]
    for meta in metas:
        if meta.examples:
            return meta.examples[0]
    if any(isinstance(mark, DtypeLiteral) for mark in marks):
        return "float64"
    least = [bound for meta in metas for bound in (meta.ge, meta.le) if bound is not None]
    if least:
        return least[0]
    found = example_of(inner, name, components)
    if isinstance(found, list):
        return found * max(meta.min_length or 1 for meta in metas)
    return found
