"""What every descriptor keeps to: the options that a user writes."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import subprocess
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import (
    Descriptor,
    PipeDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.errors import ConfigError
from queueconnector_core.hints import COMPONENT_BASES, options_of
from queueconnector_core.registry import Registry
from queueconnector_core.schema import Schema, config_sources_schema, json_schema
from queueconnector_core.structure import structure_as
from queueconnector_core.testing.documents import Documents, Validator, mutated, words_of
from queueconnector_core.testing.rules import rule
from queueconnector_core.testing.suite import Suite
from queueconnector_core.testing.values import STANDARD_DTYPES

__all__ = ("DescriptorSuite",)

UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "s": ("second",),
    "ms": ("millisecond",),
    "us": ("microsecond",),
    "bytes": ("byte", "octet"),
    "hz": ("hertz", "hz"),
    "percent": ("percent",),
}
"""Endings of options that are units, and the words of which one is in the description."""


class DescriptorSuite(Suite):
    """Proves what a user may write for a component; nothing of it is built or connected.

    ```python
    class TestLineFileSourceDescriptor(DescriptorSuite):
        component = "LineFileSource"
        kind = ComponentKind.SOURCE
        example = {"path": "lines.txt", "follow": True}
    ```
    """

    example: ClassVar[Mapping[str, Any]] = {}
    """A configuration that is accepted, as a user writes it; `type` may be left out."""
    may_import: ClassVar[tuple[str, ...]] = ()
    """Further top-level modules that come with the descriptor; no transport library."""
    documents: ClassVar[int] = 30
    """So many configurations are made up and compared with the schema."""

    @pytest.fixture
    def described(self, component_type: ComponentType) -> type:
        """The class of the descriptor."""
        return component_type.descriptor_class

    @pytest.fixture
    def schema(self, registry: Registry) -> Schema:
        """The schema of all configurations in which the component may stand."""
        return _schema_of(registry, self.kind)

    def accepts(self, document: Any, registry: Registry) -> str:
        """Why core does not read an object as this component; empty when it does."""
        base = next(base for base, kind in COMPONENT_BASES.items() if kind is self.kind)
        try:
            structure_as(document, base, registry)
        except ConfigError as error:
            return str(error)
        return ""

    def whole(self) -> dict[str, Any]:
        """The example with its type."""
        return {"type": self.component, **copy.deepcopy(dict(self.example))}

    @rule("1.3")
    def test_the_name_is_its_own(self, component_type: ComponentType, registry: Registry) -> None:
        """The type name ends in its kind; aliases lead to the same type; old names are free."""
        assert self.component == component_type.name, "use the name, not an alias"
        assert component_type.name.endswith(self.kind.value)
        for alias in component_type.aliases:
            assert registry.lookup(self.kind, alias) is component_type
        assert not set(component_type.former_names) & {self.component, *component_type.aliases}

    @rule("2.1")
    def test_it_is_a_frozen_attrs_class(self, described: type) -> None:
        """A descriptor is a frozen attrs class of the right base."""
        base = next(base for base, kind in COMPONENT_BASES.items() if kind is self.kind)
        assert attrs.has(described), "not an attrs class"
        assert issubclass(described, base), f"not a {base.__name__}"
        frozen = described.__setattr__ is not object.__setattr__
        assert frozen, "not frozen: use @attrs.frozen"

    @rule("2.1")
    def test_every_option_is_documented(self, described: type) -> None:
        """The class and each of its options say what they are for."""
        assert inspect.getdoc(described), "the class has no docstring"
        silent = [name for name, told in _descriptions(described) if not told.strip()]
        assert not silent, f"options without a description: {', '.join(silent)}"

    @rule("2.1", after=("test_every_option_is_documented",))
    def test_descriptions_state_the_unit(self, described: type) -> None:
        """An option whose name ends in a unit says it in words."""
        wrong = []
        for name, told in _descriptions(described):
            words = UNITS.get(name.rpartition("_")[2], ()) if "_" in name else ()
            if words and not any(word in told.lower() for word in words):
                wrong.append(f"{name} ({' or '.join(words)})")
        assert not wrong, f"the description does not say the unit: {', '.join(wrong)}"

    @rule("2.2", "1.2")
    def test_importing_it_imports_no_transport(self, described: type) -> None:
        """Of other libraries the module of the descriptor imports only what core does."""
        own = described.__module__.partition(".")[0]
        allowed = {"queueconnector_core", own, *self.may_import, *sys.stdlib_module_names}
        found = {name for name in _imported_with(described.__module__) if name not in allowed}
        assert not found, f"imported with the descriptor: {', '.join(sorted(found))}"

    @rule("2.6")
    def test_the_example_is_valid(self, registry: Registry, schema: Schema) -> None:
        """The example is accepted, by the reading and by the schema."""
        reason = self.accepts(self.whole(), registry)
        assert not reason, reason
        errors = [error.message for error in _validator(schema, self.component)(self.whole())]
        assert not errors, errors

    @rule("2.6", after=("test_the_example_is_valid",))
    def test_a_document_is_valid_exactly_when_it_is_read(
        self, registry: Registry, schema: Schema
    ) -> None:
        """What reading accepts and what the schema describes is the same."""
        errors_of = _validator(schema, self.component)
        own = Documents(schema).of({"$ref": f"#/$defs/{self.component}"})
        words = words_of({"$defs": {self.component: schema["$defs"][self.component]}})
        names = sorted({*words, *registry.names(self.kind)})

        @settings(
            max_examples=self.documents, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(document=own | mutated(own | st.just(self.whole()), names))
        def agree(document: Any) -> None:
            if isinstance(document, dict) and document.get("type") != self.component:
                document["type"] = self.component
            reason, errors = self.accepts(document, registry), list(errors_of(document))
            told = [error.message for error in errors]
            assert bool(errors) == bool(reason), f"{document}: schema {told}; reading: {reason}"

        agree()

    @rule("2.6")
    def test_defaults_and_examples_are_valid(
        self, described: type, registry: Registry, schema: Schema
    ) -> None:
        """The default of each option stands in the schema, and is accepted; so is each example."""
        properties = schema["$defs"][self.component]["properties"]
        for name, option in options_of(described).items():
            shown = properties[name].get("examples", [])
            if option.default is not attrs.NOTHING:
                assert "default" in properties[name], f"{name}: the default is not shown"
                shown = [properties[name]["default"], *shown]
            for value in shown:
                reason = self.accepts(self.whole() | {name: value}, registry)
                assert not reason, f"{name}: {value!r} is shown and refused: {reason}"

    @rule("2.7")
    def test_former_options_show_the_way_out(self, described: type, registry: Registry) -> None:
        """An option that is gone is no option, and is answered with its text."""
        former: Mapping[str, str] = getattr(described, "former_options", {})
        for name, text in former.items():
            assert name not in options_of(described), f"{name} is still an option"
            assert text, f"{name} is answered with nothing"
            reason = self.accepts(self.whole() | {name: 1}, registry)
            assert text in reason, f"{name}: {reason}"

    @rule("2.4", after=("test_the_example_is_valid",))
    def test_check_refuses_with_config_errors(self, registry: Registry) -> None:
        """For any dtype and shape it raises `ConfigError` or accepts; it connects to nothing."""
        descriptor = self.structured(self.example, registry)
        accepted = [spec for spec in (self.spec, *_specs()) if _accepts(descriptor, spec, registry)]
        assert accepted, f"the example accepts none of {', '.join(STANDARD_DTYPES)}"

    @rule("2.4", requires=("dtypes",), after=("test_check_refuses_with_config_errors",))
    def test_it_accepts_what_it_declares(self, registry: Registry) -> None:
        """The dtypes and the number of dimensions are those of the capabilities."""
        descriptor = self.structured(self.example, registry)
        accepted = [spec for spec in _specs() if _accepts(descriptor, spec, registry)]
        declared = {DataSpec.of(dtype).dtype for dtype in self.capabilities.dtypes or ()}
        assert {spec.dtype for spec in accepted} == declared
        most = max(len(spec.shape) for spec in accepted)
        assert most == min(self.capabilities.max_dimensions, MOST_DIMENSIONS)


MOST_DIMENSIONS: Final = 3


def _specs() -> Iterator[DataSpec]:
    """The dtypes with up to three dimensions that descriptors are asked about."""
    for dtype in STANDARD_DTYPES:
        for dimensions in range(1 if dtype in {"bytes", "object"} else MOST_DIMENSIONS + 1):
            yield DataSpec.of(dtype, [2] * dimensions)


def _accepts(descriptor: Descriptor, spec: DataSpec, registry: Registry) -> bool:
    try:
        if isinstance(descriptor, SourceDescriptor | SinkDescriptor):
            descriptor.check(spec, registry)
        elif isinstance(descriptor, PipeDescriptor):
            descriptor.output(spec)
    except ConfigError:
        return False
    return True


@functools.lru_cache(maxsize=8)
def _schema_of(registry: Registry, kind: ComponentKind) -> Schema:
    made = config_sources_schema if kind is ComponentKind.CONFIG_SOURCE else json_schema
    return made(registry)


def _validator(schema: Schema, name: str) -> Any:
    part = {"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]}
    return Validator(part).iter_errors


def _descriptions(cls: type) -> Iterator[tuple[str, str]]:
    """Each option of a class, and of the classes in it, with what is told of it."""
    for name, option in options_of(cls).items():
        metas = [
            mark for mark in getattr(option.hint, "__metadata__", ()) if isinstance(mark, Meta)
        ]
        yield name, " ".join(meta.description or "" for meta in metas)
        for inner in _classes_in(option.hint):
            yield from ((f"{name}.{below}", told) for below, told in _descriptions(inner))


def _classes_in(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and attrs.has(hint) and hint not in COMPONENT_BASES:
        yield hint
    for part in typing.get_args(hint):
        yield from _classes_in(part)


_LIST_IMPORTS: Final = """
import importlib, json, sys

import queueconnector_core.plugin

before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps([name.partition(".")[0] for name in set(sys.modules) - before]))
"""


@functools.cache
def _imported_with(module: str) -> frozenset[str]:
    """The top-level modules that a module brings into an interpreter that has loaded core."""
    command = [sys.executable, "-c", _LIST_IMPORTS, module]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return frozenset(json.loads(done.stdout.splitlines()[-1]))
