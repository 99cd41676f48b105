"""The JSON schema of a configuration, for the component types that are installed.

It is made from the annotations that `structure` reads by, so that a document is valid exactly when
it is accepted there. The rest, such as what an encoding can carry, is proven by `plan`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, get_args

import attrs
import msgspec
from msgspec import Meta

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.dataspec import LITERALS, MAX_DIMENSION, NUMPY_WORD, UNSIZED
from queueconnector_core.descriptors import (
    ConfigSourceDescriptor,
    DtypeLiteral,
    OneOrMany,
    QueueConnectorDescriptor,
)
from queueconnector_core.hints import (
    BOUNDS,
    COMPONENT_BASES,
    Option,
    is_annotated,
    is_literal,
    is_mapping,
    is_sequence,
    is_union,
    member_type,
    options_of,
)
from queueconnector_core.registry import Registry

__all__ = ("json_schema", "config_sources_schema", "Schema")

Schema: TypeAlias = dict[str, Any]

_TYPES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
}
_NUMPY: Final[Schema] = {"type": "string", "pattern": f"^(?:{NUMPY_WORD})$"}
_FIELDS: Final[Schema] = {"$ref": "#/$defs/fields"}
_SIZE: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_DIMENSION}

_DTYPES: Final[dict[str, Schema]] = {
    "dtype": {
        "description": "A Python, numpy or Tango name, or a list of structured fields.",
        "anyOf": [{"enum": list(LITERALS)}, _NUMPY, _FIELDS],
    },
    "fields": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/field"}},
    "field": {
        "description": "A structured field: [name, dtype] or [name, dtype, shape].",
        "type": "array",
        "minItems": 2,
        "maxItems": 3,
        "prefixItems": [
            {"type": "string", "minLength": 1},
            {
                "anyOf": [
                    {"enum": [name for name, dtype in LITERALS.items() if dtype not in UNSIZED]},
                    _NUMPY,
                    _FIELDS,
                ]
            },
            {"anyOf": [_SIZE, {"type": "array", "items": _SIZE}]},
        ],
    },
}
"""What `dataspec.check_dtype` accepts."""


def json_schema(registry: Registry) -> Schema:
    """The schema (draft 2020-12) of a whole configuration of the types in `registry`."""
    writer = _Writer(registry)
    root = writer.object_of(QueueConnectorDescriptor)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Queue Connector configuration",
        **root,
        "type": ["object", "null"],
        "$defs": dict(sorted(writer.definitions.items())),
    }


def config_sources_schema(registry: Registry) -> Schema:
    """The schema (draft 2020-12) of a list of configuration sources of the types in `registry`."""
    writer = _Writer(registry)
    root = writer.of(list[ConfigSourceDescriptor])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Queue Connector configuration sources",
        **root,
        "$defs": dict(sorted(writer.definitions.items())),
    }


@attrs.frozen
class _Writer:
    """Turns annotations into schemas, and gathers those that have names."""

    registry: Registry
    definitions: dict[str, Schema] = attrs.field(factory=dict)
    classes: dict[type, str] = attrs.field(factory=dict)

    def of(self, hint: Any) -> Schema:
        """The schema of an annotation; raises `TypeError` for one that has no meaning here."""
        if hint is Any:
            schema: Schema = {}
        elif hint in _TYPES:
            schema = {"type": _TYPES[hint]}
        elif hint in COMPONENT_BASES:
            schema = self._any_of_kind(COMPONENT_BASES[hint])
        elif is_annotated(hint):
            schema = self._annotated(*get_args(hint))
        elif is_literal(hint):
            schema = {"enum": list(get_args(hint))}
        elif is_sequence(hint):
            schema = {"type": "array", "items": self.of(get_args(hint)[0])}
        elif is_mapping(hint):
            schema = {"type": "object", "additionalProperties": self.of(get_args(hint)[1])}
        elif is_union(hint):
            schema = _joined([self.of(member) for member in get_args(hint)])
        elif attrs.has(hint):
            schema = self._class(hint)
        else:
            raise TypeError(f"no JSON schema can be made of {hint!r}")
        return schema

    def object_of(self, cls: type, type_names: Sequence[str] = ()) -> Schema:
        """The closed object that is read into an attrs class, chosen by `type` where it has any."""
        options = options_of(cls)
        required = [name for name, option in options.items() if option.default is attrs.NOTHING]
        properties = {name: self._property(option) for name, option in options.items()}
        if type_names:
            required = ["type", *required]
            only = {"const": type_names[0]} if len(type_names) == 1 else {"enum": list(type_names)}
            properties = {"type": only} | properties
        schema: Schema = {"type": "object", "properties": properties}
        if cls.__doc__:
            schema = {"description": inspect.cleandoc(cls.__doc__)} | schema
        if required:
            schema["required"] = required
        return schema | {"additionalProperties": False}

    def _property(self, option: Option) -> Schema:
        schema = self.of(option.hint)
        if option.default is attrs.NOTHING:
            return schema
        default = option.default
        made = default.factory() if hasattr(default, "factory") else default
        return schema | {"default": msgspec.json.decode(msgspec.json.encode(made))}

    def _annotated(self, inner: Any, *marks: Any) -> Schema:
        metas = [mark for mark in marks if isinstance(mark, Meta)]
        dtype_mark = next((mark for mark in marks if isinstance(mark, DtypeLiteral)), None)
        if dtype_mark is not None:
            self.definitions.update(_DTYPES)
            schema: Schema = {"$ref": "#/$defs/dtype"}
            if dtype_mark.optional:
                schema = {"anyOf": [schema, {"type": "null"}]}
        else:
            schema = self.of(inner) | _bounds(inner, metas)
        if any(isinstance(mark, OneOrMany) for mark in marks):
            schema = {"anyOf": [self.of(get_args(inner)[0]), schema]}
        for meta in metas:
            told = {"title": meta.title, "description": meta.description, "examples": meta.examples}
            schema = {word: text for word, text in told.items() if text is not None} | schema
            schema |= meta.extra_json_schema or {}
        return schema

    def _any_of_kind(self, kind: ComponentKind) -> Schema:
        def write() -> Schema:
            found = sorted(self.registry.walk(kind), key=lambda component: component.name)
            references = [self._component(component) for component in found]
            return {"oneOf": references} if references else {"not": {}}

        return self._named(kind.name.lower(), write)

    def _component(self, component: ComponentType) -> Schema:
        names = (component.name, *component.aliases)
        cls = component.descriptor_class
        return self._named(component.name, lambda: self.object_of(cls, names))

    def _class(self, cls: type) -> Schema:
        taken = self.classes.values()
        name = cls.__name__ if cls.__name__ not in taken else f"{cls.__module__}.{cls.__name__}"
        name = self.classes.setdefault(cls, name)
        return self._named(name, lambda: self.object_of(cls))

    def _named(self, name: str, write: Callable[[], Schema]) -> Schema:
        if name not in self.definitions:
            self.definitions[name] = {}  # so that a class may contain itself
            self.definitions[name] = write()
        return {"$ref": f"#/$defs/{name}"}


def _bounds(inner: Any, metas: Sequence[Meta]) -> Schema:
    """The bounds of all metas, as keywords for the JSON types that `inner` can have."""
    members = get_args(inner) if is_union(inner) else (inner,)
    possible = {member_type(member) for member in members}
    return {
        keyword: getattr(meta, bound.name)
        for meta in metas
        for bound in BOUNDS
        for of_type, keyword in bound.keywords.items()
        if getattr(meta, bound.name) is not None and (inner is Any or of_type in possible)
    }


def _joined(schemas: Sequence[Schema]) -> Schema:
    """Any of several schemas; of mere types, a list of these."""
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": list(schemas)}
