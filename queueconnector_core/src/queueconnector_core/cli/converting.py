"""Older words of a configuration become the present ones; each change is told."""

from __future__ import annotations

import copy
from typing import Any

from queueconnector_core.cli.checking import OLDER_DTYPES
from queueconnector_core.cli.walking import Part, component_objects
from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import DROPPED
from queueconnector_core.descriptors import DtypeLiteral, ExchangeDescriptor
from queueconnector_core.errors import Problem, join_path
from queueconnector_core.hints import is_annotated, options_of
from queueconnector_core.registry import Registry

__all__ = ("convert_document",)

_FORMER_DTYPES = {"dict": "object", "list": "object", "json": "object", "bytearray": "bytes"}
"""What took the place of the words that are no longer accepted."""


def convert_document(document: Any, registry: Registry) -> tuple[Any, list[Problem]]:
    """The document in the words of this release, and what was changed, each at its path."""
    changes: list[Problem] = []
    new = copy.deepcopy(document)
    if isinstance(new, list):
        # ExchangeDescriptorList of releases before 1.0.0.
        new = {"exchanges": new}
        changes.append(Problem("", "a bare list of exchanges now stands under the key 'exchanges'"))
    for part in list(component_objects(new, registry)):
        if part.cls is ExchangeDescriptor:
            _give_encodings(part, registry, changes)
        _convert_type(part, registry, changes)
        if part.cls is not None:
            _convert_dtypes(part, part.cls, changes)
            _leave_out(part, part.cls, changes)
    return new, changes


def _convert_type(part: Part, registry: Registry, changes: list[Problem]) -> None:
    name = part.value.get("type")
    if part.kind is None or not isinstance(name, str):
        return
    component = registry.formerly(part.kind, name)
    if component is not None:
        part.value["type"] = component.name
        more = component.former_names.get(name, "")
        text = f"{name!r} is now called {component.name!r}" + (f" ({more})" if more else "")
        changes.append(Problem(join_path(part.path, "type"), text))


def _convert_dtypes(part: Part, cls: type, changes: list[Problem]) -> None:
    for name, option in options_of(cls).items():
        if not is_annotated(option.hint) or not any(
            isinstance(mark, DtypeLiteral) for mark in option.hint.__metadata__
        ):
            continue
        word = part.value.get(name)
        newer = (_FORMER_DTYPES | OLDER_DTYPES).get(word) if isinstance(word, str) else None
        if newer is not None:
            part.value[name] = newer
            text = f"dtype {word!r} is now written {newer!r}"
            changes.append(Problem(join_path(part.path, name), text))


def _leave_out(part: Part, cls: type, changes: list[Problem]) -> None:
    for name, reason in getattr(cls, "former_options", {}).items():
        if name in part.value:
            del part.value[name]
            changes.append(Problem(join_path(part.path, name), f"was left out: {reason}"))


def _give_encodings(part: Part, registry: Registry, changes: list[Problem]) -> None:
    """Dtype json was JSON on the wire as well: what says no encoding meant that one."""
    if part.value.get("dtype") != "json":
        return
    for option, kind in (("source", ComponentKind.SOURCE), ("sink", ComponentKind.SINK)):
        ends = part.value.get(option)
        for end in ends if isinstance(ends, list) else [ends]:
            name = end.get("type") if isinstance(end, dict) else None
            component = registry.near(kind, name) if isinstance(name, str) else None
            known = () if component is None else options_of(component.descriptor_class)
            if isinstance(end, dict) and "encoding" in known and "encoding" not in end:
                end["encoding"] = "json"
                text = f"{DROPPED['json']}: the encoding was added"
                changes.append(Problem(join_path(part.path, option), text))
