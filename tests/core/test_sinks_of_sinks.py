"""FallbackSink and RouteSink: sinks that lead records to other sinks (contract, section 6)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import attrs
import pytest

from queueconnector_core.component import Services
from queueconnector_core.errors import ConfigError, FatalError, RecordErrors, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.health import ailment
from queueconnector_core.plan import read_plan
from queueconnector_core.plugin import queueconnector_components
from queueconnector_core.record import Batch
from queueconnector_core.registry import Registry
from queueconnector_core.sinks.fallback import FallbackSink
from queueconnector_core.sinks.route import RouteSink
from queueconnector_core.testing.doubles import RecordingSink, ScriptedSource, until
from tests.core.components import AttributeHost, Made, component_types, services_of
from tests.core.doubles import other_tasks

AWAY = RetryableError("the far end is away", retry_after_s=0.001)


@attrs.define
class Bench:
    """A sink of sinks in an exchange, and the sinks inside it."""

    exchange: Exchange
    source: ScriptedSource
    sinks: list[RecordingSink]

    @property
    def sink(self) -> Any:
        (sink,) = self.exchange._sinks
        return sink

    @property
    def accepted(self) -> list[list[Any]]:
        return [sink.accepted for sink in self.sinks]


def topic(name: str) -> dict[str, Any]:
    return {"type": "TopicSink", "topic": name}


def registry(made: Made) -> Registry:
    return Registry().with_([*queueconnector_components(), *component_types(made)])


def bench(sink: dict[str, Any], *script: Any, dtype: str = "object", **options: Any) -> Bench:
    """An exchange as a configuration makes it; its source follows the script."""
    made = Made()
    exchange = {"dtype": dtype, "source": {"type": "AnySource"}, "sink": sink, **options}
    known = registry(made)
    plan = read_plan(json.dumps({"exchanges": [exchange]}), known, services_of())
    source = ScriptedSource(*script)
    built = plan.groups["default"][0].build(known, services_of(), source)
    return Bench(built, source, [sink for _, sink in made.sinks])


def fallback(*script: Any, number: int = 2, patience_s: float = 0.03, **options: Any) -> Bench:
    sinks = [topic(str(place)) for place in range(number)]
    sink = {"type": "FallbackSink", "sinks": sinks, "patience_s": patience_s}
    return bench(sink, *script, **options)


async def streamed(made: Bench) -> Bench:
    """Stream to the end of the script, and stop."""
    async with asyncio.timeout(10):
        await made.exchange.start()
        await made.exchange.run()
    await made.exchange.stop()
    assert made.exchange.statistics.in_flight == 0
    assert other_tasks() == set()
    return made


# fallback


async def test_the_first_sink_gets_everything_while_it_works() -> None:
    made = await streamed(fallback([1, 2], [3]))

    assert made.accepted == [[1, 2, 3], []]
    assert [sink.stops for sink in made.sinks] == [1, 1]
    assert made.source.acknowledged == [1, 2, 3]


async def test_what_the_first_refuses_the_next_gets_and_nothing_else() -> None:
    made = fallback([1, 2, 3, 4], [5])
    made.sinks[0]._script.append(3)

    await streamed(made)

    assert made.accepted == [[2, 3, 5], [1, 4]]
    assert made.exchange.statistics.delivered == 5
    assert made.sink.fallen_back == 2


async def test_what_all_refuse_is_refused() -> None:
    made = fallback([1, 2, 3, 4, 5])
    made.sinks[0]._script.append(2)
    made.sinks[1]._script.append(2)

    await streamed(made)

    assert made.accepted == [[2, 4], [3]]
    balance = made.exchange.statistics
    assert (balance.delivered, balance.dropped) == (3, 2)


async def test_a_sink_that_is_away_for_long_is_passed_over_until_it_is_back() -> None:
    made = fallback([1], [2], [3], [4])
    first, second = made.sinks
    await made.exchange.start()
    first._script.extend([None, *[AWAY] * 1000])
    first.unreachable = AWAY
    accept = second.write

    async def mend_the_first(batch: Batch) -> None:
        await accept(batch)
        if batch.values == [3]:
            first._script.clear()
            first.unreachable = None
            await until(lambda: made.sink.impaired() is None)

    second.write = mend_the_first  # type: ignore[method-assign]
    async with asyncio.timeout(10):
        await made.exchange.run()
    await made.exchange.stop()

    assert made.accepted == [[1, 4], [2, 3]]
    assert made.source.acknowledged == [1, 2, 3, 4]


async def test_a_short_absence_is_waited_for() -> None:
    made = fallback([1], [2], patience_s=5)
    made.sinks[0]._script.extend([AWAY, AWAY, None])

    await streamed(made)

    assert made.accepted == [[1, 2], []]


async def test_a_sink_that_hangs_is_passed_over() -> None:
    made = fallback([1], [2])
    made.sinks[0]._gate = asyncio.Event()

    await streamed(made)

    assert made.accepted == [[], [1, 2]]


async def test_one_sink_that_starts_is_enough_and_the_loss_is_shown() -> None:
    made = fallback([1])
    made.sinks[0].unreachable = AWAY
    shown: list[str | None] = []
    made.sinks[1]._observe = lambda: shown.append(ailment(made.exchange))

    await streamed(made)

    assert made.accepted == [[], [1]]
    assert shown == ["0 records went to another sink; default[0]: sinks[0]: the far end is away"]
    assert ailment(made.exchange) is None, "a sink that was stopped does not fail"


async def test_a_sink_that_gives_up_is_tried_no_more() -> None:
    made = fallback([1], [2])
    made.sinks[0]._script.append(FatalError("no such topic"))

    await streamed(made)

    assert made.accepted == [[], [1, 2]]
    assert made.sinks[0].writes == 1


async def test_when_all_give_up_the_exchange_does() -> None:
    made = fallback([1])
    for sink in made.sinks:
        sink._script.append(FatalError("no such topic"))
    await made.exchange.start()

    with pytest.raises(FatalError, match="all sinks have given up: default"):
        await made.exchange.run()
    await made.exchange.stop()


async def test_while_all_are_away_the_exchange_waits_and_loses_nothing() -> None:
    made = fallback([1, 2])
    for sink in made.sinks:
        sink._script.extend([AWAY] * 40)

    await streamed(made)

    assert sorted(made.accepted[0] + made.accepted[1]) == [1, 2]
    assert made.exchange.statistics.dropped == 0


async def test_what_was_accepted_is_not_written_again_while_the_rest_waits() -> None:
    """The first refuses one record, for which the second has to come back."""
    made = fallback([1, 2, 3])
    first, second = made.sinks
    first._script.append(3)
    second._script.extend([AWAY] * 40)

    await streamed(made)

    assert made.accepted == [[2, 3], [1]]


async def test_stop_is_idempotent_and_ends_the_attempts_to_return() -> None:
    made = fallback([1])
    made.sinks[0].unreachable = AWAY
    sink = made.sink
    assert isinstance(sink, FallbackSink)
    await sink.stop()
    await sink.start()
    assert other_tasks()

    await sink.stop()
    await sink.stop()

    assert other_tasks() == set()


# routes


def routes(*ways: tuple[Any, str], otherwise: str | None = None) -> dict[str, Any]:
    return {
        "type": "RouteSink",
        "routes": [{"when": when, "sink": topic(name)} for when, name in ways],
        "otherwise": None if otherwise is None else topic(otherwise),
    }


async def test_each_record_takes_the_first_route_that_is_open() -> None:
    ways = routes(("n > `5`", "high"), ("n > `2`", "middle"), otherwise="low")
    made = await streamed(bench(ways, [{"n": n} for n in (1, 9, 3)], [{"n": 7}]))

    assert [[value["n"] for value in part] for part in made.accepted] == [[9, 7], [3], [1]]
    assert made.exchange.statistics.delivered == 4


async def test_numbers_are_routed_by_limits() -> None:
    made = await streamed(
        bench(routes(({"ge": 3}, "a"), ({"lt": 1}, "b")), [0, 1, 2, 3], dtype="int")
    )

    assert made.accepted == [[3], [0]]
    assert made.exchange.statistics.delivered == 4, "what takes no route is not missing"
    assert made.source.acknowledged == [0, 1, 2, 3]


async def test_refusals_keep_their_place() -> None:
    made = bench(routes(({"ge": 3}, "a"), otherwise="b"), dtype="int")
    for sink, every in zip(made.sinks, (2, 3), strict=True):
        sink._script.append(every)
    await made.sink.start()

    with pytest.raises(RecordErrors) as refused:
        await made.sink.write(Batch([0, 3, 1, 4, 5]))
    await made.sink.stop()

    assert list(refused.value.failures) == [0, 1, 4]
    assert made.accepted == [[4], [1]]


async def test_a_record_of_which_the_route_cannot_be_told_is_refused() -> None:
    made = await streamed(bench(routes(("starts_with(n, 'a')", "a"), otherwise="b"),
                                [{"n": "a"}, {"n": 1}, {"n": "b"}]))  # fmt: skip

    assert made.accepted == [[{"n": "a"}], [{"n": "b"}]]
    assert made.exchange.statistics.dropped == 1


async def test_while_one_route_is_closed_the_others_are_not_written_again() -> None:
    made = bench(routes(({"lt": 2}, "a"), ({"lt": 4}, "b"), otherwise="c"), [0, 2, 4], dtype="int")
    made.sinks[1]._script.extend([AWAY, AWAY])

    await streamed(made)

    assert made.accepted == [[0], [2], [4]]
    assert [sink.writes for sink in made.sinks] == [1, 3, 1]


async def test_sinks_that_have_started_are_not_started_again() -> None:
    made = bench(routes(({"lt": 2}, "a"), otherwise="b"), dtype="int")
    made.sinks[1].failures.extend([AWAY, AWAY])

    await streamed(made)

    assert [sink.starts for sink in made.sinks] == [1, 3]
    assert [sink.running for sink in made.sinks] == [False, False]


async def test_every_sink_is_stopped_although_one_fails() -> None:
    made = bench(routes(({"lt": 2}, "a"), otherwise="b"), dtype="int")
    assert isinstance(made.sink, RouteSink)
    await made.sink.start()

    async def fail() -> None:
        raise ZeroDivisionError

    made.sinks[0].stop = fail  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        await made.sink.stop()

    assert not made.sinks[1].running


async def test_a_reserve_may_stand_behind_a_route() -> None:
    reserve = {"type": "FallbackSink", "sinks": [topic("a"), topic("b")], "patience_s": 0.03}
    made = bench({"type": "RouteSink", "routes": [{"when": {"ge": 1}, "sink": reserve}]}, [0, 1],
                 dtype="int")  # fmt: skip
    made.sinks[0].unreachable = AWAY
    shown: list[str | None] = []
    made.sinks[1]._observe = lambda: shown.append(ailment(made.exchange))

    await streamed(made)

    assert made.accepted == [[], [1]]
    assert "sinks[0]: the far end is away" in str(shown)


# configuration


def problems(
    sink: dict[str, Any], services: Services | None = None, **options: Any
) -> dict[str, str]:
    exchange = {"dtype": "int", "source": {"type": "AnySource"}, "sink": sink, **options}
    with pytest.raises(ConfigError) as refused:
        read_plan(
            json.dumps({"exchanges": [exchange]}), registry(Made()), services or services_of()
        )
    return {problem.path: problem.message for problem in refused.value.problems}


def attribute(name: str) -> dict[str, Any]:
    return {"type": "AttributeSink", "attribute_name": name}


def test_every_sink_inside_is_checked_at_its_place() -> None:
    inner = {"type": "FallbackSink", "sinks": [topic("a"), attribute("b")]}
    sink = {
        "type": "RouteSink",
        "routes": [{"when": "a[", "sink": inner}],
        "otherwise": attribute("c"),
    }

    assert set(problems(sink, shape=[2, 2])) == {
        "exchanges[0].sink.routes[0].when",
        "exchanges[0].sink.routes[0].sink.sinks[1]",
        "exchanges[0].sink.otherwise",
    }


def test_options_of_sinks_inside_are_read_at_their_place() -> None:
    assert set(
        problems({"type": "FallbackSink", "sinks": [topic("a"), {"type": "TopicSink"}]})
    ) == {"exchanges[0].sink.sinks[1].topic"}


def test_what_sinks_inside_claim_is_claimed_once() -> None:
    sink = {"type": "FallbackSink", "sinks": [attribute("a"), attribute("A")]}

    assert problems(sink) == {
        "exchanges[0].sink.sinks[1].attribute_name": "attribute 'A' is already used at "
        "exchanges[0].sink.sinks[0].attribute_name; names must differ, case ignored"
    }


def test_what_sinks_inside_need_of_the_host_is_asked_for() -> None:
    sink = {"type": "FallbackSink", "sinks": [topic("a"), attribute("b")]}

    (told,) = problems(sink, Services()).values()

    assert AttributeHost.__name__ in told


def test_as_the_place_of_dead_letters_all_sinks_inside_are() -> None:
    letters = {
        "type": "RouteSink",
        "routes": [{"when": "@", "sink": topic("a")}],
        "otherwise": topic("b"),
    }
    reserve = {"type": "FallbackSink", "sinks": [letters, topic("c")]}
    made = bench(topic("t"), errors={"action": "dead_letter", "dead_letters": reserve}, dtype="int")

    assert len(made.sinks) == 4
