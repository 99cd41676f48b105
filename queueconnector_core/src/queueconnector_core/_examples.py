"""An example of every option: what `explain` shows, and what stands for an option that is wrong.

The first of `Meta.examples` counts, else the smallest value that the annotation allows.
"""

from __future__ import annotations

from typing import Any, get_args

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


def example_of(hint: Any, name: str = "") -> Any:
    """A JSON value for an option of that annotation; `name` stands where any text would do.

    A component has no example without a registry: an empty object stands for it.
    """
    if is_annotated(hint):
        return _annotated(name, *get_args(hint))
    if is_literal(hint):
        return get_args(hint)[0]
    if is_union(hint):
        return example_of(get_args(hint)[0], name)
    return _plain(hint, name)


def _plain(hint: Any, name: str) -> Any:
    if hint in COMPONENT_BASES or is_mapping(hint):
        return {}
    if is_sequence(hint):
        return [example_of(get_args(hint)[0], name)]
    if attrs.has(hint):
        return example_options(hint)
    return {bool: True, int: 1, float: 1.0, str: name or "text"}.get(hint)


def example_options(cls: type) -> dict[str, Any]:
    """An example of each option that an attrs class requires."""
    return {
        name: example_of(option.hint, name)
        for name, option in options_of(cls).items()
        if option.default is attrs.NOTHING
    }


def _annotated(name: str, inner: Any, *marks: Any) -> Any:
    metas = [mark for mark in marks if isinstance(mark, Meta)]
    for meta in metas:
        if meta.examples:
            return meta.examples[0]
    if any(isinstance(mark, DtypeLiteral) for mark in marks):
        return "float64"
    least = [bound for meta in metas for bound in (meta.ge, meta.le) if bound is not None]
    return least[0] if least else example_of(inner, name)
