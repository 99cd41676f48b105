"""A configuration is proven as a whole before anything runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from queueconnector_core.component import Claim, ComponentKind, ComponentType, Services
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.dead_letters.writing import LETTER_SPEC
from queueconnector_core.descriptors import SinkDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import ExchangePlan, Plan, read_plan
from queueconnector_core.registry import Registry
from tests.core.components import (
    AttributeClaim,
    Made,
    registry_of,
    services_of,
)

REGISTRY = registry_of()
COUNTER = {"type": "CounterSource"}
ANY = {"type": "AnySource"}
RATIO = {"type": "RatioPipe"}
TOPIC = {"type": "TopicSink", "topic": "t"}


def attribute(name: str, *more: str) -> dict[str, Any]:
    return {"type": "AttributeSink", "attribute_name": name} | ({"more": more} if more else {})


def exchange(**changes: Any) -> dict[str, Any]:
    return {"dtype": "int", "source": COUNTER, "sink": TOPIC} | changes


def plan_of(exchanges: object, services: Services | None = None) -> Plan:
    document = json.dumps({"exchanges": exchanges})
    return read_plan(document, REGISTRY, services or services_of())


def problems_of(exchanges: object, services: Services | None = None) -> dict[str, str]:
    with pytest.raises(ConfigError) as refusal:
        plan_of(exchanges, services)
    found = {problem.path: problem.message for problem in refusal.value.problems}
    assert len(found) == len(refusal.value.problems), "each problem is told once"
    return found


def test_types_are_followed_from_source_through_pipes_to_sinks() -> None:
    sinks = [TOPIC, attribute("a")]
    plan = plan_of([exchange(shape=[3], pipe=[RATIO, RATIO], sink=sinks)])
    (found,) = plan.groups["default"]
    whole, ratio = DataSpec.of("int64", [3]), DataSpec.of("float64", [3])
    assert [source.spec for source in found.sources] == [whole]
    assert [pipe.spec for pipe in found.pipes] == [whole, ratio]
    assert [sink.spec for sink in found.sinks] == [ratio, ratio]
    assert found.claims == (AttributeClaim("a", "float64[3]"),)


def test_exchanges_are_named_by_group_and_place() -> None:
    plan = plan_of({"a": [exchange()], "b": [exchange(), exchange()]})
    names = [found.name for group in plan.groups.values() for found in group]
    assert names == ["a[0]", "b[0]", "b[1]"]


@pytest.mark.parametrize("text", ["", "  \n", "null", "{}", '{"exchanges": []}', '"null"'])
def test_nothing_is_an_empty_plan(text: str) -> None:
    assert read_plan(text, REGISTRY, Services()) == Plan()


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"dtype": "str"}, "source", "counts are integers, not str"),
        ({"dtype": "str", "source": [ANY, COUNTER]}, "source[1]", "counts are integers, not str"),
        ({"dtype": "str", "source": ANY, "pipe": RATIO}, "pipe", "made of numbers, not str"),
        ({"shape": [2, 2], "sink": attribute("a")}, "sink", "dimension, not int64[2, 2]"),
        ({"shape": [2, 2], "sink": [TOPIC, attribute("a")]}, "sink[1]", "at most one dimension"),
        ({"shape": [-1, -1]}, "shape[1]", "at most one dimension may be negative"),
        ({"dtype": "bytes", "shape": [2], "source": ANY}, "shape", "always a scalar"),
    ],
)
def test_a_type_that_does_not_fit_is_told_at_the_component(
    changes: dict[str, Any], path: str, message: str
) -> None:
    found = problems_of([exchange(), exchange(**changes)])
    assert list(found) == [f"exchanges[1].{path}"]
    assert message in found[f"exchanges[1].{path}"]


def test_problems_of_all_exchanges_and_groups_are_told_at_once() -> None:
    exchanges = {
        "a": [exchange(dtype="str"), exchange(shape=[2, 2], sink=attribute("State"))],
        "b": [exchange(dtype="str", source=[COUNTER, COUNTER])],
        "c": [exchange(sink=attribute("Status"))],
    }
    assert set(problems_of(exchanges)) == {
        "exchanges.a[0].source",
        "exchanges.a[1].sink",
        "exchanges.b[0].source[0]",
        "exchanges.b[0].source[1]",
        "exchanges.c[0].sink.attribute_name",
    }


def test_a_name_is_claimed_once_in_the_whole_configuration_case_ignored() -> None:
    exchanges = {
        "a": [exchange(sink=attribute("Twice")), exchange(sink=attribute("tWICE"))],
        "b": [exchange(sink=[TOPIC, attribute("other", "TWICE")])],
    }
    found = problems_of(exchanges)
    assert set(found) == {"exchanges.a[1].sink.attribute_name", "exchanges.b[0].sink[1].more[0]"}
    assert found["exchanges.a[1].sink.attribute_name"] == (
        "attribute 'tWICE' is already used at exchanges.a[0].sink.attribute_name; "
        "names must differ, case ignored"
    )


def test_the_host_refuses_names_at_their_place() -> None:
    found = problems_of([exchange(sink=attribute("fine", "Status"))])
    assert found == {"exchanges[0].sink.more[0]": "'Status' is the device's own"}


def test_a_component_says_which_service_it_lacks() -> None:
    found = problems_of([exchange(sink=attribute("a"))], Services())
    assert list(found) == ["exchanges[0].sink"]
    assert (
        "AttributeSink needs AttributeHost, which this host does not offer"
        in (found["exchanges[0].sink"])
    )


def test_equal_configurations_make_equal_plans_however_they_are_written() -> None:
    one = plan_of([exchange(dtype="int64", sink=[attribute("a")])])
    other = plan_of(
        {"default": [exchange(dtype="int", shape=[], pipe=[], sink=attribute("a"))]},
    )
    assert one == other


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "int32"},
        {"shape": [2]},
        {"source": COUNTER | {"count": 4}},
        {"source": [COUNTER, COUNTER]},
        {"pipe": RATIO},
        {"sink": attribute("b")},
        {"sink": [attribute("a"), TOPIC]},
    ],
)
def test_any_change_makes_another_plan(changes: dict[str, Any]) -> None:
    sink = {"sink": attribute("a")}
    assert plan_of([exchange(**sink)]) != plan_of([exchange(**(sink | changes))])


async def test_a_plan_builds_what_it_describes() -> None:
    made = Made()
    registry, services = registry_of(made), services_of()
    text = json.dumps({"exchanges": [exchange(pipe=RATIO, sink=[TOPIC, attribute("a")])]})
    (plan,) = read_plan(text, registry, services).groups["default"]
    built = plan.build(registry, services)
    assert [name for name, _ in (*made.sources, *made.sinks)] == ["default[0]"] * 3
    assert not any(component.running for _, component in (*made.sources, *made.sinks))
    await built.start()
    async with asyncio.timeout(5):
        await built.run()
    await built.stop()
    assert [sink.accepted for _, sink in made.sinks] == [[0.0, 0.5, 1.0]] * 2


# Dead letters


@attrs.frozen
class NumberSinkDescriptor(SinkDescriptor):
    """Takes numbers only, and claims a place for them."""

    def check(self, spec: DataSpec, registry: Registry) -> None:
        if spec.dtype.kind not in "iuf":
            raise ConfigError.at("", f"takes numbers, not {spec}")

    def claims(self, spec: DataSpec) -> Sequence[Claim]:
        self.check(spec, REGISTRY)
        return ()


NUMBERS = ComponentType(
    "NumberSink", ComponentKind.SINK, Made().sink, descriptor=NumberSinkDescriptor
)


def refused(**errors: Any) -> dict[str, str]:
    """What is wrong with the second exchange, which has this option `errors`."""
    registry = REGISTRY.with_([NUMBERS])
    document = json.dumps({"exchanges": [exchange(), exchange(errors=errors)]})
    with pytest.raises(ConfigError) as refusal:
        read_plan(document, registry, services_of())
    problems = refusal.value.problems
    found = {problem.path: problem.message for problem in problems}
    assert len(found) == len(problems), "each problem is told once"
    return found


PATH = "exchanges[1].errors.dead_letters"


def test_dead_letters_need_a_place() -> None:
    assert refused(action="dead_letter") == {
        PATH: "is required with action dead_letter: a topic, a file"
    }


@pytest.mark.parametrize("action", ["skip", "fail"])
def test_a_place_for_dead_letters_without_any_is_a_mistake(action: str) -> None:
    assert refused(action=action, dead_letters=TOPIC) == {
        PATH: f"has no use with action {action}; use dead_letter"
    }


def test_a_place_for_dead_letters_takes_octets() -> None:
    found = refused(action="dead_letter", dead_letters={"type": "NumberSink"})
    assert found == {PATH: "takes numbers, not bytes"}


def test_options_of_the_place_are_checked_as_those_of_any_sink() -> None:
    found = refused(action="dead_letter", dead_letters={"type": "TopicSink"})
    assert list(found) == [f"{PATH}.topic"]
    found = refused(action="dead_letter", dead_letters=attribute("State"))
    assert list(found) == [f"{PATH}.attribute_name"]


def test_dead_letters_go_to_the_sink_as_octets() -> None:
    errors = {"action": "dead_letter", "dead_letters": TOPIC}
    (found,) = plan_of([exchange(shape=[3], errors=errors)]).groups["default"]
    assert found.dead_letters is not None
    assert found.dead_letters.spec == LETTER_SPEC


# The hash


def only(**changes: Any) -> ExchangePlan:
    (found,) = plan_of([exchange(**changes)]).groups["default"]
    return found


def test_the_hash_is_the_same_each_time_and_wherever_the_exchange_stands() -> None:
    known = only().hash
    assert len(known) == 12
    assert set(known) <= set("0123456789abcdef")
    assert only().hash == known
    elsewhere = plan_of({"other": [exchange(pipe=RATIO), exchange()]}).groups["other"]
    assert [plan.hash == known for plan in elsewhere] == [False, True]


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "int32"},
        {"shape": [2]},
        {"source": COUNTER | {"count": 4}},
        {"source": COUNTER | {"settings": {"gain": 2.0}}},
        {"source": [COUNTER, COUNTER]},
        {"pipe": RATIO},
        {"sink": TOPIC | {"topic": "other"}},
        {"sink": [TOPIC, TOPIC]},
        {"errors": {"action": "fail"}},
        {"errors": {"action": "dead_letter", "dead_letters": TOPIC}},
    ],
)
def test_the_hash_differs_with_every_option_that_changes_what_is_delivered(
    changes: dict[str, Any],
) -> None:
    assert only(**changes).hash != only().hash


@pytest.mark.parametrize("changes", [{"gaps": TOPIC}, {"health_limit_s": 1.0}])
def test_the_hash_is_the_same_however_the_exchange_is_watched(changes: dict[str, Any]) -> None:
    assert only(**changes).hash == only().hash


def test_the_hash_is_the_same_in_every_process() -> None:
    program = "from tests.core.test_plan import only; print(only().hash)"
    for seed in ("1", "2"):
        told = subprocess.check_output(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, text=True, timeout=60
        )
        assert told.strip() == only().hash
