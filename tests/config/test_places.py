"""Every member of a JSON text is found at its line and column."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueconnector_core.cli.places import Place, path_text, places_of

KEYS = st.text(max_size=6) | st.sampled_from(["a", "b.c", "[0]", 'say "x"', "ä\u2028", "\\"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
LAYOUTS = st.tuples(st.none() | st.integers(0, 3), st.booleans())


def at(text: str, place: Place) -> str:
    """What stands at a place and behind it."""
    return text.split("\n", place.line - 1)[-1][place.column - 1 :]


@given(DOCUMENTS, LAYOUTS)
def test_every_path_points_at_its_member(document: Any, layout: tuple[int | None, bool]) -> None:
    indent, ascii_only = layout
    text = " \n" + json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    places = places_of(text)
    seen = 0
    for path, node in places.root.walk():
        found = at(text, places.at(node.offset))
        value = document
        for key in path:
            value = value[key]
        token = value if not path or isinstance(path[-1], int) else path[-1]
        read, _ = json.JSONDecoder().raw_decode(found)
        assert read == token
        seen += 1
    assert seen == count(document)


def count(value: Any) -> int:
    members = value.values() if isinstance(value, dict) else value if type(value) is list else ()
    return 1 + sum(map(count, members))


@given(DOCUMENTS)
def test_a_path_of_plain_keys_leads_back_to_its_node(document: Any) -> None:
    places = places_of(json.dumps(document))
    for path, node in places.root.walk():
        plain = all(isinstance(key, int) or key.isidentifier() for key in path)
        if plain:
            found, reached = places.root.find(path_text(path))
            assert (found, reached) == (path_text(path), node)


@pytest.mark.parametrize(
    ("path", "found", "line"),
    [
        ("exchanges[0].sink.topic", "exchanges[0].sink[0].topic", 3),
        ("exchanges[0].sink[0].topic", "exchanges[0].sink[0].topic", 3),
        ("exchanges[0].sink.partition", "exchanges[0].sink[0].partition", 3),
        ("exchanges[0].sink.partition.deep", "exchanges[0].sink[0].partition.deep", 3),
        ("exchanges[0].gaps.key", "exchanges[0].gaps.key", 1),
        ("exchanges[7]", "exchanges[7]", 1),
        ("a.b.c", "a.b.c", 4),
        ("nowhere", "nowhere", 1),
        ("", "", 1),
    ],
)
def test_what_is_missing_is_placed_at_the_nearest_above(path: str, found: str, line: int) -> None:
    text = '{"exchanges": [{\n"sink": [\n{"topic": 1}]}],\n"a.b": {\n"d": 1}}'
    as_written, place = places_of(text).of(path)
    assert (as_written, place.line) == (found, line)


def test_keys_that_stand_twice_are_told_with_each_repetition() -> None:
    text = '{"a": 1,\n "b": {"c": 1, "\\u0063": 2},\n "a": 3, "a": 4}'
    assert [(path, key, str(place)) for path, key, place in places_of(text).repeated()] == [
        ("", "a", "line 3, column 2"),
        ("", "a", "line 3, column 10"),
        ("b", "c", "line 2, column 16"),
    ]
