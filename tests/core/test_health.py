"""An exchange is well while it moves, or while it is proven that there is nothing to move."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest

from queueconnector_core.errors import FatalError, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.health import ailment, ailments
from queueconnector_core.record import Batch
from queueconnector_core.states import State
from queueconnector_core.testing.doubles import PAUSE, RecordingSink, ScriptedSource, until

LIMIT_S = 15.0


class Proven(ScriptedSource):
    """A source that knows for how long its far end is silent."""

    silence_s = 0.0

    def silent_s(self) -> float:
        return self.silence_s


class Gate:
    """A pipe that passes nothing on before it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def process(self, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        async for batch in batches:
            await self.open.wait()
            yield batch


class Holding(Gate):
    longest_hold_s = 60.0


def exchange_of(
    source: ScriptedSource, *pipes: Gate, sink: RecordingSink | None = None
) -> Exchange:
    return Exchange("group[0]", [source], pipes, [sink or RecordingSink()])


def pass_time(exchange: Exchange, seconds: float) -> None:
    """As if nothing had moved for so long."""
    exchange.statistics.moved_s -= seconds


class Running:
    """A context in which an exchange streams."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def __aenter__(self) -> Exchange:
        await self._exchange.start()
        self._task = asyncio.create_task(self._exchange.run())
        return self._exchange

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._exchange.stop()


async def test_the_limit_is_fifteen_seconds_unless_said_otherwise() -> None:
    assert exchange_of(ScriptedSource()).health_limit_s == LIMIT_S


async def test_without_records_nothing_is_wrong() -> None:
    async with Running(exchange_of(ScriptedSource(endless=True))) as exchange:
        pass_time(exchange, 1e6)
        assert ailment(exchange) is None


async def test_the_first_record_after_a_long_rest_is_given_its_time() -> None:
    sink = RecordingSink(gate=asyncio.Event())
    source = ScriptedSource(PAUSE, [1], endless=True)
    async with Running(exchange_of(source, sink=sink)) as exchange:
        pass_time(exchange, 1e6)
        source.resume()
        await until(lambda: exchange.statistics.in_flight)
        assert ailment(exchange) is None


async def test_a_frozen_sink_shows_and_ends_with_a_delivery() -> None:
    gate = asyncio.Event()
    source = ScriptedSource([1, 2], endless=True)
    async with Running(exchange_of(source, sink=RecordingSink(gate=gate))) as exchange:
        await until(lambda: exchange.statistics.in_flight)
        pass_time(exchange, LIMIT_S - 1)
        assert ailment(exchange) is None
        pass_time(exchange, 1.1)
        assert ailment(exchange) == "2 records are in flight, and none was delivered for 15 s"
        gate.set()
        await until(lambda: not exchange.statistics.in_flight)
        assert ailment(exchange) is None


async def test_a_frozen_pipe_shows_although_more_records_come() -> None:
    pipe, source = Gate(), ScriptedSource([1], PAUSE, [2], endless=True)
    other = ScriptedSource(PAUSE, [3], endless=True)
    exchange = Exchange("group[0]", [source, other], [pipe], [RecordingSink()])
    async with Running(exchange):
        await until(lambda: exchange.statistics.in_flight)
        pass_time(exchange, LIMIT_S + 0.1)
        exchange.statistics.receive(1, replayable=True)
        assert re.match("2 records are in flight", ailment(exchange) or "")
        exchange.statistics.abandon("that was not one of the source")


async def test_a_pipe_that_may_hold_records_is_given_that_time_on_top() -> None:
    pipe = Holding()
    async with Running(exchange_of(ScriptedSource([1], endless=True), pipe)) as exchange:
        await until(lambda: exchange.statistics.in_flight)
        pass_time(exchange, LIMIT_S + pipe.longest_hold_s - 1)
        assert ailment(exchange) is None
        pass_time(exchange, 1.1)
        assert ailment(exchange) is not None


async def test_a_source_that_hears_nothing_shows() -> None:
    sources = [Proven(endless=True), Proven(endless=True), ScriptedSource(endless=True)]
    async with Running(Exchange("group[0]", sources, [], [RecordingSink()])) as exchange:
        assert ailment(exchange) is None
        sources[1].silence_s = LIMIT_S + 0.1  # type: ignore[attr-defined]
        assert ailment(exchange) == "no sign of life from a source for 15 s"
        sources[1].silence_s = 0.5  # type: ignore[attr-defined]
        assert ailment(exchange) is None


@pytest.mark.parametrize("end", ["source", "sink"])
async def test_a_far_end_that_is_away_shows_at_once(end: str) -> None:
    source, sink = ScriptedSource(endless=True), RecordingSink()
    far = source if end == "source" else sink
    far.unreachable = RetryableError("nobody answers")
    exchange = exchange_of(source, sink=sink)
    starting = asyncio.create_task(exchange.start())
    await until(lambda: exchange.statistics.degraded)
    assert ailment(exchange) == "waits for 0 s: nobody answers"
    far.unreachable = None
    await starting
    assert ailment(exchange) is None
    await exchange.stop()


class Slow(ScriptedSource):
    """A source whose end takes a time."""

    def __init__(self, *script: BaseException) -> None:
        super().__init__(*script, endless=True)
        self.may_stop = asyncio.Event()

    async def stop(self) -> None:
        await self.may_stop.wait()
        await super().stop()


async def test_a_lost_source_shows_also_while_it_is_disconnected() -> None:
    source = Slow(RetryableError("the connection is lost"))
    async with Running(exchange_of(source)) as exchange:
        try:
            await until(lambda: ailment(exchange) is not None, timeout_s=2)
            assert "the connection is lost" in (ailment(exchange) or "")
        finally:
            source.may_stop.set()
        await until(lambda: ailment(exchange) is None)


async def test_how_long_it_waits_is_told() -> None:
    exchange = exchange_of(ScriptedSource())
    exchange.statistics.waiting(self := object(), "nobody answers")
    degraded = exchange.statistics.degraded
    assert degraded is not None
    assert time.time() - degraded.time_s < 5
    exchange.statistics.waiting(self, "still nobody")
    assert exchange.statistics.degraded is not None
    assert exchange.statistics.degraded.time_s == degraded.time_s


# Groups


def frozen(name: str) -> Exchange:
    exchange = Exchange(name, [ScriptedSource([1], endless=True)], [Gate()], [RecordingSink()])
    exchange.health_limit_s = -1.0
    return exchange


async def test_what_is_wrong_is_told_by_the_name_of_the_exchange() -> None:
    well = Exchange("a[1]", [ScriptedSource(endless=True)], [], [RecordingSink()])
    group = Group("a", [frozen("a[0]"), well])
    group.start()
    await until(lambda: "a[0]" in ailments([group]))
    assert set(ailments([group])) == {"a[0]"}
    await group.abort()


async def test_a_group_at_rest_is_not_judged() -> None:
    group = Group("a", [frozen("a[0]")])
    group.exchanges[0].statistics.waiting(group, "of before")
    assert group.state is State.OFF
    assert ailments([group, Group("empty")]) == {}


async def test_a_group_in_fault_says_why_by_its_own_name() -> None:
    broken = Exchange("a[0]", [ScriptedSource(FatalError("it broke"))], [], [RecordingSink()])
    group = Group("a", [broken])
    group.start()
    await group.settled()
    assert group.state is State.FAULT
    assert list(ailments([group])) == ["a"]
    assert "it broke" in ailments([group])["a"]
