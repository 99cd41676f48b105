"""What is accepted as a configuration, and how each mistake in one is told."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queueconnector_core.component import Services
from queueconnector_core.errors import ConfigError, Problem
from queueconnector_core.plan import read_plan
from queueconnector_core.structure import MAX_CHARACTERS, read_json, structure
from tests.core.components import (
    AnySourceDescriptor,
    CounterSourceDescriptor,
    Field,
    RatioPipeDescriptor,
    TopicSinkDescriptor,
    registry_of,
    services_of,
)

REGISTRY = registry_of()
SINK = {"type": "TopicSink", "topic": "t"}
COUNTER = {"type": "CounterSource"}


def exchange(**changes: Any) -> dict[str, Any]:
    return {"dtype": "int", "source": COUNTER, "sink": SINK} | changes


def problems_of(document: object) -> dict[str, str]:
    """The message at each path; there must be at least one."""
    with pytest.raises(ConfigError) as refusal:
        structure(document, REGISTRY)
    return {problem.path: problem.message for problem in refusal.value.problems}


def problems_in(text: str) -> tuple[Problem, ...]:
    """Why a text is refused, empty when it is not; whatever else is raised fails the test."""
    try:
        read_plan(text, REGISTRY, services_of())
    except ConfigError as refusal:
        assert refusal.problems, "a refusal without a reason"  # noqa: PT017
        return refusal.problems
    return ()


def source_problems(**options: Any) -> dict[str, str]:
    found = problems_of({"exchanges": [exchange(source=COUNTER | options)]})
    prefix = "exchanges[0].source"
    assert all(path.startswith(prefix) for path in found)
    return {path.removeprefix(prefix).lstrip("."): text for path, text in found.items()}


# Accepted forms


@pytest.mark.parametrize(
    "document",
    [None, {}, {"exchanges": None}, {"exchanges": []}, {"exchanges": {}}, {"exchanges": {"a": []}}],
)
def test_nothing_is_configured_by(document: object) -> None:
    assert structure(document, REGISTRY).groups == {}


def test_a_list_of_exchanges_is_the_group_default() -> None:
    groups = structure({"exchanges": [exchange(), exchange()]}, REGISTRY).groups
    assert {name: len(group) for name, group in groups.items()} == {"default": 2}


def test_an_object_of_lists_names_the_groups() -> None:
    document = {"exchanges": {"weather": [exchange()], "pointing": [exchange(), exchange()]}}
    groups = structure(document, REGISTRY).groups
    assert {name: len(group) for name, group in groups.items()} == {"weather": 1, "pointing": 2}


def test_an_exchange_has_defaults() -> None:
    document = {"exchanges": [{"source": COUNTER, "sink": SINK}]}
    found = structure(document, REGISTRY).groups["default"][0]
    assert (found.dtype, found.shape, found.pipe) == ("str", [], ())
    assert found.source == (CounterSourceDescriptor(),)
    assert found.sink == (TopicSinkDescriptor("t"),)


@pytest.mark.parametrize("option", ["source", "pipe", "sink"])
def test_one_component_or_a_list_of_them(option: str) -> None:
    one = {"source": COUNTER, "pipe": {"type": "RatioPipe"}, "sink": SINK}[option]

    def read(form: object) -> Any:
        document = {"exchanges": [exchange(**{option: form})]}
        return getattr(structure(document, REGISTRY).groups["default"][0], option)

    alone, listed, twice = read(one), read([one]), read([one, one])
    assert alone == listed
    assert twice == alone * 2


def test_the_type_chooses_the_descriptor_and_an_alias_is_the_same_type() -> None:
    sources = [COUNTER, {"type": "TickSource"}, {"type": "AnySource"}]
    found = structure({"exchanges": [exchange(source=sources)]}, REGISTRY).groups["default"][0]
    assert found.source == (
        CounterSourceDescriptor(),
        CounterSourceDescriptor(),
        AnySourceDescriptor(),
    )


@pytest.mark.parametrize(
    "dtype", ["float64", "DevDouble", "str", [["az", "float64"], ["name", "U8"], ["m", "i4", [2]]]]
)
def test_a_dtype_is_a_word_or_a_list_of_fields(dtype: object) -> None:
    found = structure({"exchanges": [exchange(dtype=dtype)]}, REGISTRY).groups["default"][0]
    assert found.dtype == dtype


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"count": 2.0}, {"count": 2}),
        ({"delay": 2}, {"delay": 2.0}),
        ({"delay": 0.5}, {"delay": 0.5}),
        ({"label": None}, {"label": None}),
        ({"label": "a"}, {"label": "a"}),
        ({"servers": "one"}, {"servers": ("one",)}),
        ({"servers": ["one", "two"]}, {"servers": ("one", "two")}),
        ({"window": 3}, {"window": 3}),
        ({"window": [1, 2]}, {"window": [1, 2]}),
        ({"fields": [{"name": "az", "scale": 2}]}, {"fields": (Field("az", 2.0),)}),
        ({"settings": {"x": 1}}, {"settings": {"x": 1.0}}),
        ({"anything": {"of": ["any", 1, None]}}, {"anything": {"of": ["any", 1, None]}}),
    ],
)
def test_options_are_read_into_their_types(written: dict[str, Any], read: dict[str, Any]) -> None:
    document = {"exchanges": [exchange(source=COUNTER | written)]}
    source = structure(document, REGISTRY).groups["default"][0].source[0]
    assert source == CounterSourceDescriptor(**read)
    assert all(type(getattr(source, name)) is type(value) for name, value in read.items())


def test_a_document_inside_a_json_text_is_read() -> None:
    document = {"exchanges": [exchange()]}
    assert read_json(json.dumps(json.dumps(document))) == document


# Text that is no JSON


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"exchanges": [', "line 1, column 16"),
        ('{\n  "exchanges": []\n  "more": 1\n}', "line 3, column 3"),
        ("{'exchanges': []}", "line 1, column 2"),
        ('{"exchanges": []} and more', "line 1, column 19"),
        ('"{\\n]"', "line 2, column 1"),
    ],
)
def test_malformed_text_is_told_with_line_and_column(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match="not valid JSON") as refusal:
        read_json(text)
    assert place in str(refusal.value)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="the key 'topic' stands twice in one object"):
        read_json('{"exchanges": [{"sink": {"topic": "a", "type": "TopicSink", "topic": "b"}}]}')


def test_a_text_that_is_too_long_is_refused_unread_and_a_long_one_is_judged_in_time() -> None:
    assert read_json('{"exchanges": []}'.ljust(MAX_CHARACTERS)) == {"exchanges": []}
    with pytest.raises(ConfigError, match="has 16777217 characters; allowed: at most 16777216"):
        read_json('{"exchanges": []}'.ljust(MAX_CHARACTERS + 1))
    many = ",".join(f'"k{number}": 0' for number in range(200_000))
    with pytest.raises(ConfigError, match="the key 'last' stands twice"):
        read_json(f'{{{many}, "last": 1, "last": 2}}')


def test_a_number_that_python_does_not_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"not valid JSON: .*4300"):
        read_json('{"exchanges": ' + "1" * 5000 + "}")


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"exchanges":[{"dtype":[["a",'])
@pytest.mark.parametrize("depth", [50, 300, 900, 100_000])
def test_nesting_bombs_are_refused(opening: str, depth: int) -> None:
    closing = {"[": "]", "{": "}"}
    text = opening * depth + "1" + "".join(closing.get(c, "") for c in reversed(opening * depth))
    with pytest.raises(ConfigError):
        read_plan(text, REGISTRY, Services())


@pytest.mark.parametrize("depth", [50, 200, 300, 330, 900])
@pytest.mark.parametrize("place", ["dtype", "shape", "source", "sink", "pipe", "any value"])
def test_nesting_bombs_inside_a_document_never_crash(place: str, depth: int) -> None:
    bomb = "[" * depth + "]" * depth
    if place == "dtype":
        bomb = '[["a",' * depth + '"int"' + "]]" * depth
    document = exchange(**{place: "BOMB"} if place != "any value" else {})
    if place == "any value":
        document["source"] = COUNTER | {"anything": "BOMB"}
    text = json.dumps({"exchanges": [document]}).replace('"BOMB"', bomb)
    assert all(problem.message for problem in problems_in(text))


# Options that are wrong


def test_an_unknown_option_is_told_with_the_nearest_one() -> None:
    found = source_problems(statelless=True)
    assert found["statelless"].startswith(
        "unknown option, did you mean 'stateless'? (allowed: count"
    )


@pytest.mark.parametrize(
    ("document", "path", "nearest"),
    [
        ({"exchange": []}, "exchange", "exchanges"),
        ({"exchanges": [exchange(sinks=[])]}, "exchanges[0].sinks", "sink"),
        (
            {"exchanges": {"g": [exchange(), exchange(dtypes="int")]}},
            "exchanges.g[1].dtypes",
            "dtype",
        ),
        (
            {"exchanges": [exchange(source=COUNTER | {"fields": [{"name": "a", "scales": 1}]})]},
            "exchanges[0].source.fields[0].scales",
            "scale",
        ),
    ],
)
def test_unknown_options_are_refused_at_every_level(
    document: object, path: str, nearest: str
) -> None:
    assert f"did you mean {nearest!r}?" in problems_of(document)[path]


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"stateless": "false"}, "stateless", 'found "false"; allowed: true or false'),
        ({"stateless": 0}, "stateless", "found 0; allowed: true or false"),
        ({"stateless": None}, "stateless", "found null; allowed: true or false"),
        ({"count": 2.9}, "count", "found 2.9; allowed: an integer"),
        ({"count": "2"}, "count", 'found "2"; allowed: an integer'),
        ({"count": True}, "count", "found true; allowed: an integer"),
        ({"count": None}, "count", "found null; allowed: an integer"),
        ({"count": -1}, "count", "found -1; allowed: at least 0"),
        ({"delay": "1"}, "delay", 'found "1"; allowed: a number'),
        ({"delay": False}, "delay", "found false; allowed: a number"),
        ({"delay": float("nan")}, "delay", "found NaN; allowed: at least 0"),
        ({"label": 5}, "label", "found 5; allowed: text or null"),
        ({"mode": "chang"}, "mode", 'did you mean \'change\'?; allowed: "change", "archive"'),
        ({"mode": 1}, "mode", 'found 1; allowed: "change", "archive"'),
        ({"servers": []}, "servers", "found []; allowed: a length of at least 1"),
        ({"servers": [1]}, "servers[0]", "found 1; allowed: text"),
        ({"servers": {}}, "servers", "found {}; allowed: text"),
        ({"window": "3"}, "window", 'found "3"; allowed: an integer or a list or null'),
        ({"window": [1, 2.5]}, "window[1]", "found 2.5; allowed: an integer"),
        ({"fields": {}}, "fields", "found {}; allowed: a list"),
        ({"fields": ["az"]}, "fields[0]", 'found "az"; allowed: an object'),
        ({"fields": [{}]}, "fields[0].name", "is required"),
        ({"settings": {"x": "y"}}, "settings.x", 'found "y"; allowed: a number'),
    ],
)
def test_a_wrong_value_is_told_with_what_is_allowed(
    options: dict[str, Any], path: str, message: str
) -> None:
    found = source_problems(**options)
    assert list(found) == [path]
    assert message in found[path]


def test_an_integer_beyond_every_float_is_refused() -> None:
    assert "too large" in source_problems(delay=10**400)["delay"]


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(source_problems(count="x" * 1000)["count"]) < 120


def test_a_validator_of_the_descriptor_speaks_at_its_place() -> None:
    pipe = {"type": "RatioPipe", "divisor": 0}
    found = problems_of({"exchanges": [exchange(pipe=[{"type": "RatioPipe"}, pipe])]})
    assert found == {"exchanges[0].pipe[1]": "nothing can be divided by zero"}
    assert RatioPipeDescriptor().divisor == 2.0


@pytest.mark.parametrize("option", ["source", "sink"])
def test_what_is_missing_is_told(option: str) -> None:
    document = exchange()
    del document[option]
    assert problems_of({"exchanges": [document]}) == {f"exchanges[0].{option}": "is required"}


def test_a_missing_option_of_a_component_is_told() -> None:
    found = problems_of({"exchanges": [exchange(sink={"type": "TopicSink"})]})
    assert found == {"exchanges[0].sink.topic": "is required"}


@pytest.mark.parametrize(
    ("dtype", "path"),
    [
        ("flaot64", "dtype"),
        (5, "dtype"),
        (None, "dtype"),
        ([], "dtype"),
        ([["a", "float64"], ["b", "nonsense"]], "dtype[1][1]"),
        ([["a"]], "dtype[0]"),
    ],
)
def test_a_wrong_dtype_is_told(dtype: object, path: str) -> None:
    assert list(problems_of({"exchanges": [exchange(dtype=dtype)]})) == [f"exchanges[0].{path}"]


def test_a_mistyped_dtype_names_the_nearest() -> None:
    found = problems_of({"exchanges": [exchange(dtype="flaot64")]})
    assert "did you mean 'float64'?" in found["exchanges[0].dtype"]


@pytest.mark.parametrize("shape", [None, 3, "three", {"x": 1}])
def test_a_shape_is_a_list(shape: object) -> None:
    found = problems_of({"exchanges": [exchange(shape=shape)]})
    assert "allowed: a list" in found["exchanges[0].shape"]


# Types that are wrong


@pytest.mark.parametrize(
    ("place", "component", "message"),
    [
        (
            "source",
            {"type": "CountSource"},
            "'CountSource', did you mean 'CounterSource'? (installed",
        ),
        ("sink", {"type": "Nothing"}, "'Nothing' (installed: AttributeSink, TopicSink)"),
        ("source", {"type": "KafkaConsumerSource"}, "pip install queueconnector-kafka"),
        ("sink", {"type": "TangoLocalAttributeSink"}, "pip install queueconnector-tango"),
        ("sink", COUNTER, "unknown sink type 'CounterSource': it names a source type"),
        ("sink", {"type": "KafkaConsumerSource"}, "it names a source type"),
        ("pipe", SINK, "unknown pipe type 'TopicSink': it names a sink type"),
        ("source", {"type": 5}, "found 5; allowed: text (installed: AnySource, CounterSource)"),
        ("source", {"count": 5}, "is required (installed: AnySource, CounterSource)"),
    ],
)
def test_a_wrong_type_is_told_with_the_way_out(place: str, component: object, message: str) -> None:
    found = problems_of({"exchanges": [exchange(**{place: component})]})
    assert list(found) == [f"exchanges[0].{place}.type"]
    assert message in found[f"exchanges[0].{place}.type"]


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ([], "", "found []; allowed: an object"),
        ("text", "", 'found "text"; allowed: an object'),
        (5, "", "found 5; allowed: an object"),
        ({"exchanges": 5}, "exchanges", "found 5; allowed: an object or a list or null"),
        ({"exchanges": exchange()}, "exchanges.dtype", 'found "int"; allowed: a list'),
        ({"exchanges": [[exchange()]]}, "exchanges[0]", "allowed: an object"),
        ({"exchanges": {"g": exchange()}}, "exchanges.g", "allowed: a list"),
        ({"exchanges": {"g": None}}, "exchanges.g", "found null; allowed: a list"),
        (
            {"exchanges": [exchange(source="CounterSource")]},
            "exchanges[0].source",
            "allowed: an object with a type",
        ),
        (
            {"exchanges": [exchange(source=[[COUNTER]])]},
            "exchanges[0].source[0]",
            "allowed: an object with a type",
        ),
        (
            {"exchanges": [exchange(source=[])]},
            "exchanges[0].source",
            "allowed: a length of at least 1",
        ),
        (
            {"exchanges": [exchange(sink=None)]},
            "exchanges[0].sink",
            "found null; allowed: an object with a type",
        ),
    ],
)
def test_wrong_nesting_is_told_at_its_place(document: object, path: str, message: str) -> None:
    assert message in problems_of(document)[path]


def test_all_problems_are_told_at_once() -> None:
    document = {
        "exchanges": [
            exchange(dtype="nonsense", shape="wide"),
            exchange(source=[COUNTER, COUNTER | {"count": 1.5, "delay": -1}]),
            exchange(sink={"type": "TopicSink", "topic": None, "topics": "t"}),
            {"sources": []},
        ],
        "more": 1,
    }
    assert set(problems_of(document)) == {
        "more",
        "exchanges[0].dtype",
        "exchanges[0].shape",
        "exchanges[1].source[1].count",
        "exchanges[1].source[1].delay",
        "exchanges[2].sink.topic",
        "exchanges[2].sink.topics",
        "exchanges[3].sources",
        "exchanges[3].source",
        "exchanges[3].sink",
    }


# Anything at all

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["CounterSource", "TopicSink", "RatioPipe", "float64", "S", "O", "V", "a8"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "a", ""]) | st.text(max_size=4), inner, max_size=4
        )
    ),
    max_leaves=12,
)

WHOLE: dict[str, Any] = {
    "exchanges": {
        "g": [
            {
                "dtype": [["a", "int"], ["b", "U4", [2]]],
                "shape": [2, -1],
                "source": [
                    COUNTER | {"count": 1, "delay": 0.5, "stateless": True, "mode": "change"},
                    COUNTER | {"label": None, "servers": ["a"], "window": [1]},
                    COUNTER | {"settings": {"x": 1}},
                    COUNTER | {"fields": [{"name": "az", "scale": 1}], "anything": 1},
                ],
                "pipe": [{"type": "RatioPipe", "divisor": 2}],
                "sink": [SINK, {"type": "AttributeSink", "attribute_name": "a", "more": ["b"]}],
            }
        ]
    }
}


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    inside = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    return [path, *(found for key, item in inside for found in places(item, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from(places(WHOLE)), value=json_values)
def test_any_value_at_any_place_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    problems = problems_in(json.dumps(replaced(WHOLE, path, value)))
    assert all(problem.message for problem in problems)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda b: b.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    assert all(problem.message for problem in problems_in(text))
