"""Reads a configuration that is wrong somewhere as far as it goes, so that the rest can be proven.

What is wrong has been told by `structure`. Here a misspelt name is what it was probably meant to
be, and an option that cannot be read is its default or its example.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final, get_args

import attrs
from cattrs import Converter

from queueconnector_core._examples import example_of
from queueconnector_core.component import ComponentKind
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import (
    DtypeLiteral,
    PipeDescriptor,
    QueueConnectorDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.errors import ConfigError, Problem, join_path
from queueconnector_core.hints import COMPONENT_BASES, Option, is_annotated, options_of
from queueconnector_core.registry import Registry
from queueconnector_core.structure import Hook, new_converter

__all__ = ("POSSIBLE", "Unread", "as_written", "elsewhere", "is_apart", "structure_leniently")


POSSIBLE: Final = [
    DataSpec.of(dtype, shape)
    for dtype, shape in (
        *(("float64", []), ("float64", [2]), ("float64", [2, 2]), ("str", []), ("bytes", [])),
        *(("object", []), ([["name", "U8"], ["x", "float64"]], [])),
    )
]
"""What may reach a component where it is not known what does."""


@attrs.frozen
class Unread(SourceDescriptor, PipeDescriptor, SinkDescriptor):
    """Stands for a component of which nothing is known; it has no problem to tell."""

    def output(self, spec: DataSpec) -> DataSpec:
        """Nobody knows what leaves it: raises `ConfigError` without a problem."""
        raise ConfigError(())


def structure_leniently(document: object, registry: Registry) -> QueueConnectorDescriptor:
    """The descriptor of a parsed document, whatever is wrong in it."""
    try:
        return _converter(registry).structure(document, QueueConnectorDescriptor)
    except (ConfigError, RecursionError):
        return QueueConnectorDescriptor()


@lru_cache(maxsize=8)
def _converter(registry: Registry) -> Converter:
    converter = new_converter(registry)
    converter.register_structure_hook_factory(attrs.has, lambda t: _attrs_hook(t, converter))
    for base, kind in COMPONENT_BASES.items():
        converter.register_structure_hook_func(
            partial(operator.is_, base), _component_hook(kind, registry, converter)
        )
    return converter


def _attrs_hook(cls: Any, converter: Converter) -> Hook:
    options = options_of(cls)

    def hook(value: Any, _: Any) -> Any:
        given = _meant(value, cls) if isinstance(value, dict) else {}
        arguments: dict[str, Any] = {}
        for name, option in options.items():
            try:
                if name in given:
                    arguments[name] = converter.structure(given[name], option.hint)
                elif option.default is attrs.NOTHING:
                    arguments[name] = converter.structure(example_of(option.hint), option.hint)
            except ConfigError:
                arguments |= _instead(option, given.get(name), converter)
        try:
            return cls(**arguments)
        except (TypeError, ValueError):
            raise ConfigError(()) from None

    return hook


def _instead(option: Option, given: Any, converter: Converter) -> dict[str, Any]:
    """What stands for an option that cannot be read."""
    marks = get_args(option.hint)[1:] if is_annotated(option.hint) else ()
    if option.name == "shape" or any(isinstance(mark, DtypeLiteral) for mark in marks):
        return {option.name: given}  # refused once more where it is made a `DataSpec`
    if option.default is not attrs.NOTHING:
        return {}
    return {option.name: converter.structure(example_of(option.hint), option.hint)}


def _meant(value: dict[str, Any], cls: Any) -> dict[str, Any]:
    """The options of an object, with misspelt ones under the name that is nearest."""
    options = options_of(cls)
    found = {key: item for key, item in value.items() if key in options}
    for key, item in value.items():
        near = difflib.get_close_matches(key, options, n=1)
        if near and key not in options and key not in getattr(cls, "former_options", ()):
            found.setdefault(near[0], item)
    return found


def _component_hook(kind: ComponentKind, registry: Registry, converter: Converter) -> Hook:
    def hook(value: Any, _: Any) -> Any:
        name = value.get("type") if isinstance(value, dict) else None
        component = registry.near(kind, name) if isinstance(name, str) else None
        if component is None:
            return Unread()
        options = {key: item for key, item in value.items() if key != "type"}
        try:
            return converter.structure(options, component.descriptor_class)
        except ConfigError:
            return Unread()

    return hook


def elsewhere(found: Sequence[Problem], told: Sequence[Problem]) -> list[Problem]:
    """The problems that are found elsewhere than where one was told already, or below such."""
    places = {problem.path for problem in told}
    for problem in told:
        if problem.meant:
            above = problem.path[: max(problem.path.rfind("."), 0)]
            places.add(join_path(above, problem.meant))
    return [problem for problem in found if places.isdisjoint(_above(problem.path))]


def is_apart(path: str, others: Sequence[str]) -> bool:
    """Whether a path is neither above nor below any other."""
    above = set(_above(path))
    return all(other not in above and path not in _above(other) for other in others)


def _parts(path: str) -> list[str]:
    return re.findall(r"\.?[^.\[]+|\[\d+\]", path)


def _above(path: str) -> list[str]:
    """The path, and all above it."""
    parts = _parts(path)
    return ["".join(parts[:count]) for count in range(len(parts) + 1)]


def as_written(problem: Problem, document: Any) -> Problem:
    """The problem with its path as the document has it: the only member of a list has an index."""
    found, value = "", document
    for part in _parts(problem.path):
        if isinstance(value, list) and len(value) == 1 and not part.startswith("["):
            found, value = f"{found}[0]", value[0]
        found += part
        if isinstance(value, dict):
            value = value.get(part.removeprefix("."))
        elif isinstance(value, list) and part.startswith("[") and int(part[1:-1]) < len(value):
            value = value[int(part[1:-1])]
        else:
            value = None
    return attrs.evolve(problem, path=found)
