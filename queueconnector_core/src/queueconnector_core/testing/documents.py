"""Documents for tests: what a JSON schema describes, and the same with something changed."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

__all__ = ("Documents", "Validator", "mutated", "places", "words_of")

Strategy = st.SearchStrategy[Any]
Schema = dict[str, Any]
Place = tuple[Any, Any]
"""A list or an object with the index or key of one of its items."""

BIG = 10**6

json_values: Strategy = st.recursive(
    st.none() | st.booleans() | st.integers(-BIG, BIG) | st.floats(-BIG, BIG) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)


def _pattern(
    _: object, pattern: str, instance: object, __: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Patterns of JSON Schema are those of ECMA-262, where `$` is not also before a newline."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


Validator = extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]


class Documents:
    """Strategies for the documents that a schema of `json_schema` describes."""

    def __init__(self, schema: Schema) -> None:
        self._definitions = schema["$defs"]
        self._made: dict[str, Strategy] = {}

    def of(self, schema: Schema) -> Strategy:
        """What a schema, or a part of it, describes."""
        if "$ref" in schema:
            return self._named(schema["$ref"].rsplit("/", 1)[1])
        if "const" in schema or "enum" in schema:
            return st.sampled_from(schema.get("enum") or [schema["const"]])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return st.one_of([self.of(part) for part in schema[word]])
        kinds = schema.get("type", [])
        if not kinds:
            return json_values
        if isinstance(kinds, list):
            return st.one_of([self.of(schema | {"type": kind}) for kind in kinds])
        makers: dict[str, Callable[[Schema], Strategy]] = {
            "null": lambda _: st.none(),
            "boolean": lambda _: st.booleans(),
            "integer": self._integer,
            "number": self._number,
            "string": self._string,
            "array": self._array,
            "object": self._object,
        }
        return makers[kinds](schema)

    def _named(self, name: str) -> Strategy:
        if name not in self._made:
            self._made[name] = st.deferred(lambda: self.of(self._definitions[name]))
        return self._made[name]

    def _integer(self, schema: Schema) -> Strategy:
        least = schema.get("minimum", schema.get("exclusiveMinimum", -BIG - 1) + 1)
        most = schema.get("maximum", schema.get("exclusiveMaximum", BIG + 1) - 1)
        whole = st.integers(least, most)
        return whole | whole.map(float)

    def _number(self, schema: Schema) -> Strategy:
        lowest = "exclusiveMinimum" in schema, "exclusiveMaximum" in schema
        return st.floats(
            schema.get("minimum", schema.get("exclusiveMinimum", -BIG)),
            schema.get("maximum", schema.get("exclusiveMaximum", BIG)),
            exclude_min=lowest[0],
            exclude_max=lowest[1],
        ).map(lambda number: int(number) if number.is_integer() else number)

    def _string(self, schema: Schema) -> Strategy:
        least, most = schema.get("minLength", 0), schema.get("maxLength", 1000)
        if "pattern" not in schema:
            return st.text(min_size=least, max_size=min(most, 8))
        pattern = schema["pattern"].removeprefix("^").removesuffix("$")
        return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) <= most)

    def _array(self, schema: Schema) -> Strategy:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 2)
        first = [self.of(part) for part in schema.get("prefixItems", [])]
        if first:
            return st.one_of([st.tuples(*first[:n]).map(list) for n in range(least, most + 1)])
        return st.lists(self.of(schema["items"]), min_size=least, max_size=most)

    def _object(self, schema: Schema) -> Strategy:
        if "properties" not in schema:
            values = self.of(schema["additionalProperties"])
            return st.dictionaries(
                st.text(max_size=3),
                values,
                min_size=schema.get("minProperties", 0),
                max_size=schema.get("maxProperties", 2),
            )
        options = {name: self.of(part) for name, part in schema["properties"].items()}
        required = schema.get("required", [])
        return st.fixed_dictionaries(
            {name: options[name] for name in required},
            optional={name: part for name, part in options.items() if name not in required},
        )


def places(document: Any) -> Iterator[Place]:
    """Every item of every list and object of a document, from the outside in."""
    keys = range(len(document)) if isinstance(document, list) else list(document)
    for key in keys:
        yield document, key
        if isinstance(document[key], list | dict):
            yield from places(document[key])


def _others(value: Any) -> Strategy:
    """What could be mistaken for a value."""
    near = [None, True, 0, -1, 1.0, 1.5, "", [], {}, [value], {"a": value}, str(value)]
    if isinstance(value, str):
        near += [f"{value}\n", f" {value}", value.upper(), value * 2]
    if isinstance(value, int | float):
        near += [-value, value + 0.5, float(value), not value]
    if isinstance(value, list):
        near += [value[:1], value * 2, *value]
    return st.sampled_from(near) | json_values


@st.composite
def mutated(draw: st.DrawFn, documents: Strategy, words: list[str]) -> Any:
    """A document with one or two changes: values, keys and items, other or gone or more.

    `words` are the names of options and types, for keys and texts that are nearly right.
    """
    whole = {"document": copy.deepcopy(draw(documents))}
    for _ in range(draw(st.integers(1, 2))):
        inside, key = draw(st.sampled_from(list(places(whole))))
        change = draw(st.sampled_from(["replace", "word", "delete", "add"]))
        value = inside[key]
        if change == "replace" or inside is whole:
            inside[key] = draw(_others(value))
        elif change == "word":
            inside[key] = draw(st.sampled_from(words))
        elif change == "delete":
            del inside[key]
        elif isinstance(inside, list):
            inside.insert(key, copy.deepcopy(value))
        else:
            inside[draw(st.sampled_from(words) | st.text(max_size=2))] = copy.deepcopy(value)
    return whole["document"]


def words_of(schema: Schema) -> list[str]:
    """The names of options, types and dtypes that a schema knows."""
    found = [(inside[key], key) for inside, key in places(schema)]
    options = {name for value, key in found if key == "properties" for name in value}
    names = {value for value, key in found if key == "const"}
    listed = {name for value, key in found if key == "enum" for name in value}
    return sorted(word for word in options | names | listed if isinstance(word, str))
