"""What an exchange promises: order, completeness, acknowledgement, balance, clean ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from queueconnector_core import exchange as exchange_module
from queueconnector_core.errors import FatalError, RecordError, RecordErrors, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.merge import QUEUED_BATCHES
from queueconnector_core.protocols import Pipe, Sink, Source
from queueconnector_core.record import Batch
from queueconnector_core.stats import Failure
from queueconnector_core.testing.doubles import PAUSE, RecordingSink, ScriptedSource, turns, until
from tests.core.doubles import Halving, Mapping, StubbornSource, Window, run_alone

MAX_IN_A_ROW = 100
"""So many failures in a row are a fault, unless the policy says otherwise."""

AWAY = "the far end is away"


def away(times: int = 1) -> list[RetryableError]:
    return [RetryableError(AWAY) for _ in range(times)]


def exchange_of(
    source: Source | Sequence[Source], sink: Sink | Sequence[Sink], *pipes: Pipe
) -> Exchange:
    sources = source if isinstance(source, Sequence) else [source]
    sinks = sink if isinstance(sink, Sequence) else [sink]
    return Exchange("test[0]", sources, pipes, sinks)


def degraded(exchange: Exchange) -> Failure | None:
    """Why and since when it waits, now."""
    return exchange.statistics.degraded


async def stream(exchange: Exchange) -> None:
    """The whole life of an exchange with finite sources."""
    try:
        await exchange.start()
        await exchange.run()
    finally:
        await exchange.stop()


# Order and completeness


async def test_every_value_arrives_in_order() -> None:
    source, sink = ScriptedSource([1, 2], [3], [4, 5, 6]), RecordingSink()
    await stream(exchange_of(source, sink))
    assert sink.accepted == [1, 2, 3, 4, 5, 6]


async def test_several_sources_are_merged_each_in_its_own_order() -> None:
    sources = [
        ScriptedSource(*[[(name, n)] for n in range(20)], awaits=name) for name in range(1, 4)
    ]
    sink = RecordingSink()
    await stream(exchange_of(sources, sink))
    for name in range(1, 4):
        assert [n for source, n in sink.accepted if source == name] == list(range(20))


async def test_a_slow_source_does_not_hold_up_another_one() -> None:
    waiting, fast = ScriptedSource(PAUSE, ["late"]), ScriptedSource(*[[n] for n in range(50)])
    sink = RecordingSink()
    exchange = exchange_of([waiting, fast], sink)
    running = asyncio.create_task(stream(exchange))
    await until(lambda: len(sink.accepted) == 50)
    waiting.resume()
    await running
    assert sink.accepted == [*range(50), "late"]


async def test_every_sink_gets_every_value() -> None:
    source, sinks = ScriptedSource([1, 2], [3]), [RecordingSink(), RecordingSink(awaits=5)]
    await stream(exchange_of(source, sinks))
    assert [sink.accepted for sink in sinks] == [[1, 2, 3], [1, 2, 3]]


async def test_pipes_are_applied_one_after_the_other() -> None:
    source, sink = ScriptedSource([1, 2], [3]), RecordingSink()
    double, increment = Mapping(lambda v: 2 * v), Mapping(lambda v: v + 1)
    await stream(exchange_of(source, sink, double, increment))
    assert sink.accepted == [3, 5, 7]


async def test_a_pipe_delivers_what_it_holds_when_the_sources_end() -> None:
    source, sink = ScriptedSource([1, 2], [3], [4]), RecordingSink()
    await stream(exchange_of(source, sink, Window(2)))
    assert sink.accepted == [[1, 2, 3], [4]]


async def test_sinks_start_before_sources_and_stop_after_them() -> None:
    events: list[str] = []

    class Source(ScriptedSource):
        async def start(self) -> None:
            events.append("source starts")
            await super().start()

        async def stop(self) -> None:
            await super().stop()
            events.append("source stopped")

    class Sink(RecordingSink):
        async def start(self) -> None:
            await super().start()
            events.append("sink started")

        async def stop(self) -> None:
            events.append("sink stops")
            await super().stop()

    await stream(exchange_of(Source([1]), Sink()))
    assert events == ["sink started", "source starts", "source stopped", "sink stops"]


async def test_many_sources_start_at_once() -> None:
    waiting = [ScriptedSource([number], failures=away()) for number in range(3)]
    waiting[0].unreachable = RetryableError(AWAY)
    exchange = exchange_of(waiting, RecordingSink())
    starting = asyncio.create_task(exchange.start())
    await until(lambda: all(source.starts > 1 for source in waiting))
    waiting[0].unreachable = None
    await starting
    await exchange.run()
    await exchange.stop()
    assert exchange.statistics.delivered == 3


async def test_an_exchange_runs_again_after_it_was_stopped() -> None:
    source, sink = ScriptedSource([1], FatalError("broken"), [2]), RecordingSink()
    exchange = exchange_of(source, sink)
    with pytest.raises(FatalError, match="broken"):
        await stream(exchange)
    await stream(exchange)
    assert sink.accepted == [1, 2]


# Acknowledgement


async def test_a_batch_is_acknowledged_after_every_sink_accepted_it() -> None:
    gate = asyncio.Event()
    source, sinks = ScriptedSource([1, 2]), [RecordingSink(), RecordingSink(gate=gate)]
    running = asyncio.create_task(stream(exchange_of(source, sinks)))
    await until(lambda: sinks[1].writes == 1)
    assert sinks[0].accepted == [1, 2]
    assert source.acknowledged == []
    gate.set()
    await running
    assert source.acknowledged == [1, 2]


async def test_a_window_holds_the_acknowledgements_of_all_its_batches() -> None:
    source, sink = ScriptedSource([1], [2], PAUSE, [3], [4]), RecordingSink()
    running = asyncio.create_task(stream(exchange_of(source, sink, Window(3))))
    await until(lambda: source.given == [1, 2])
    await turns(10)
    assert source.acknowledged == []
    source.resume()
    await running
    assert source.acknowledged == [1, 2, 3, 4]


async def test_a_split_batch_is_acknowledged_after_its_last_part() -> None:
    gate = asyncio.Event()
    source, sink = ScriptedSource([1, 2, 3, 4]), RecordingSink()
    blocked = RecordingSink(gate=gate)
    running = asyncio.create_task(stream(exchange_of(source, [sink, blocked], Halving())))
    gate.set()
    await until(lambda: blocked.writes == 1)
    gate.clear()
    await until(lambda: blocked.writes == 2)
    assert source.acknowledged == []
    gate.set()
    await running
    assert source.acknowledged == [1, 2, 3, 4]


async def test_what_was_given_up_is_never_acknowledged() -> None:
    source, sink = ScriptedSource([1], [2], [3]), RecordingSink(None, FatalError("broken"))
    with pytest.raises(FatalError):
        await stream(exchange_of(source, sink))
    assert source.acknowledged == [1]


# Far ends that are away


async def test_start_waits_for_far_ends_that_are_away() -> None:
    source = ScriptedSource([1], failures=away(3))
    sink = RecordingSink(failures=away(2))
    exchange = exchange_of(source, sink)
    await stream(exchange)
    assert (sink.starts, source.starts) == (3, 4)
    assert sink.accepted == [1]


async def test_an_exchange_says_why_and_since_when_it_waits() -> None:
    source, sink = ScriptedSource([1]), RecordingSink()
    sink.unreachable = RetryableError(AWAY)
    exchange = exchange_of(source, sink)
    starting = asyncio.create_task(exchange.start())
    await until(lambda: sink.starts > 1)
    first = degraded(exchange)
    await until(lambda: sink.starts > 5)
    assert first is not None
    assert first.text == AWAY
    assert degraded(exchange) == first
    sink.unreachable = None
    await starting
    assert degraded(exchange) is None
    await exchange.stop()


async def test_of_two_far_ends_that_are_away_the_recovery_of_one_does_not_hide_the_other() -> None:
    source = ScriptedSource(RetryableError("the source is away"), endless=True)
    sink = RecordingSink()
    exchange = exchange_of([source, ScriptedSource([1], PAUSE)], sink)
    source.unreachable = None
    await exchange.start()
    source.unreachable = RetryableError("the source is away")
    running = asyncio.create_task(exchange.run())
    await until(lambda: source.starts > 2)
    exchange.statistics.waiting(sink, "the sink is away")
    exchange.statistics.recovered(sink)
    waits = degraded(exchange)
    running.cancel()
    await asyncio.wait((running,))
    await exchange.stop()
    assert waits is not None
    assert waits.text == "the source is away"
    assert degraded(exchange) is None


async def test_a_lost_source_is_connected_again_and_order_is_kept() -> None:
    source = ScriptedSource([1, 2], *away(), [3], *away(), [4])
    sink = RecordingSink()
    await stream(exchange_of(source, sink))
    assert sink.accepted == [1, 2, 3, 4]
    assert source.starts == 3


async def test_a_batch_that_a_sink_could_not_take_is_written_again_before_the_next() -> None:
    source, sink = ScriptedSource([1, 2], [3]), RecordingSink(*away(4), None, *away(2))
    exchange = exchange_of(source, sink)
    await stream(exchange)
    assert sink.accepted == [1, 2, 3]
    assert exchange.statistics.delivered == 3
    assert exchange.statistics.degraded is None


async def test_values_refused_on_the_second_try_are_counted_once() -> None:
    source, sink = ScriptedSource([1, 2, 3, 4]), RecordingSink(*away(), 2)
    exchange = exchange_of(source, sink)
    await stream(exchange)
    assert sink.accepted == [2, 4]
    assert (exchange.statistics.delivered, exchange.statistics.dropped) == (2, 2)


@pytest.mark.parametrize("lost", ["read", "write", "start"])
async def test_the_far_end_chooses_the_time_of_the_next_try(lost: str) -> None:
    """Also of the first one after a failure in `read` or `write`: the runner never spins."""
    error = RetryableError("busy", retry_after_s=0.2)
    source = ScriptedSource(*([error] if lost == "read" else []), [1])
    sink = RecordingSink(
        *([error] if lost == "write" else []), failures=[error] if lost == "start" else []
    )
    stamina.set_testing(False)
    began = asyncio.get_running_loop().time()
    await stream(exchange_of(source, sink))
    assert asyncio.get_running_loop().time() - began >= 0.2
    assert sink.accepted == [1]


async def test_a_timeout_error_of_a_component_is_not_mistaken_for_a_drain() -> None:
    source = ScriptedSource([1], *away(), [2])
    exchange = exchange_of(source, RecordingSink())
    await exchange.start()
    source.failures.append(TimeoutError("mine"))
    with pytest.raises(TimeoutError, match="mine"):
        await exchange.run()
    await exchange.stop()


# Records that fail


async def test_a_value_that_a_sink_refuses_is_dropped_and_the_others_go_on() -> None:
    source, sink = ScriptedSource([1, 2, 3, 4], [5]), RecordingSink(2)
    exchange = exchange_of(source, sink)
    await stream(exchange)
    assert sink.accepted == [2, 4, 5]
    assert (exchange.statistics.delivered, exchange.statistics.dropped) == (3, 2)
    assert [failure.text for failure in exchange.statistics.failures] == ["refused", "refused"]
    assert source.acknowledged == [1, 2, 3, 4, 5]


async def test_a_value_refused_by_two_sinks_is_dropped_once() -> None:
    source, sinks = ScriptedSource([1, 2, 3, 4]), [RecordingSink(2), RecordingSink(3)]
    exchange = exchange_of(source, sinks)
    await stream(exchange)
    assert (exchange.statistics.delivered, exchange.statistics.dropped) == (1, 3)


async def test_failures_of_source_and_pipe_are_counted() -> None:
    def positive(value: int) -> int:
        if value < 0:
            raise RecordError(f"{value} is negative")
        return value

    source = ScriptedSource([1, -2], Batch([3], failures=[RecordError("garbled", records=2)]))
    sink = RecordingSink()
    exchange = exchange_of(source, sink, Mapping(positive))
    await stream(exchange)
    assert sink.accepted == [1, 3]
    statistics = exchange.statistics
    assert (statistics.received, statistics.delivered, statistics.dropped) == (5, 2, 3)
    assert {failure.text for failure in statistics.failures} == {"-2 is negative", "garbled"}


async def test_a_refused_window_counts_all_the_records_in_it() -> None:
    source, sink = ScriptedSource([1, 2], [3], [4]), RecordingSink(1)
    exchange = exchange_of(source, sink, Window(2))
    await stream(exchange)
    assert (exchange.statistics.dropped, exchange.statistics.delivered) == (3, 1)


def bad(number: int) -> Batch:
    return Batch([], failures=[RecordError(f"bad {n}") for n in range(number)])


async def test_too_many_failures_in_a_row_are_fatal() -> None:
    source = ScriptedSource(*[bad(1)] * MAX_IN_A_ROW, [1])
    with pytest.raises(FatalError, match="100 records in a row failed; last: bad 0"):
        await stream(exchange_of(source, RecordingSink()))


async def test_a_success_between_failures_keeps_an_exchange_alive() -> None:
    nearly = bad(MAX_IN_A_ROW - 1)
    source, sink = ScriptedSource(nearly, [1], nearly, [2]), RecordingSink()
    await stream(exchange_of(source, sink))
    assert sink.accepted == [1, 2]


async def test_failures_among_successes_of_one_batch_are_not_in_a_row() -> None:
    count = MAX_IN_A_ROW
    source, sink = ScriptedSource(list(range(2 * count))), RecordingSink(2)
    exchange = exchange_of(source, sink)
    await stream(exchange)
    assert exchange.statistics.dropped == count


async def test_failures_before_a_restart_are_forgiven() -> None:
    source = ScriptedSource(bad(MAX_IN_A_ROW), bad(1), [1])
    sink = RecordingSink()
    exchange = exchange_of(source, sink)
    with pytest.raises(FatalError):
        await stream(exchange)
    await stream(exchange)
    assert sink.accepted == [1]


async def test_a_sink_that_refuses_an_index_it_was_not_given_is_a_defect() -> None:
    class Wrong(RecordingSink):
        async def write(self, batch: Batch) -> None:
            raise RecordErrors({7: RecordError("no such value")})

    with pytest.raises(IndexError, match="a batch of 2 values has no index 7"):
        await stream(exchange_of(ScriptedSource([1, 2]), Wrong()))


# Errors that end an exchange


@pytest.mark.parametrize("error", [FatalError("broken"), ZeroDivisionError("a defect")])
@pytest.mark.parametrize("where", ["start", "read", "write", "pipe", "merged read"])
async def test_other_errors_end_the_exchange_and_everything_is_stopped(
    error: Exception, where: str
) -> None:
    def broken(_: object) -> Any:
        raise error

    sources = [
        ScriptedSource(
            [1], *([error] if "read" in where else []), failures=[error] if where == "start" else []
        )
    ]
    if where == "merged read":
        sources.append(ScriptedSource(*[[n] for n in range(100)], endless=True))
    sink = RecordingSink(error if where == "write" else None)
    exchange = exchange_of(sources, sink, Mapping(broken if where == "pipe" else lambda v: v))
    with pytest.raises(type(error), match=str(error)):
        await stream(exchange)
    assert not any(component.running for component in (*sources, sink))
    assert exchange.statistics.in_flight == 0


async def test_what_came_before_the_error_of_a_merged_source_is_delivered() -> None:
    sources = [ScriptedSource([1], [2], FatalError("broken")), ScriptedSource(endless=True)]
    sink = RecordingSink(awaits=20)
    with pytest.raises(FatalError):
        await stream(exchange_of(sources, sink))
    assert sink.accepted == [1, 2]


async def test_every_component_is_stopped_although_one_fails_to() -> None:
    class Failing(ScriptedSource):
        async def stop(self) -> None:
            await super().stop()
            raise OSError("cannot say goodbye")

    sources, sink = [Failing([1]), ScriptedSource([2])], RecordingSink()
    with pytest.raises(OSError, match="cannot say goodbye"):
        await stream(exchange_of(sources, sink))
    assert [source.stops for source in sources] == [1, 1]
    assert sink.stops == 1


async def test_a_component_that_does_not_stop_is_named_and_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange_module, "STOP_TIMEOUT_S", 0.05)
    source, sink = StubbornSource([1], endless=False), RecordingSink()
    with pytest.raises(FatalError, match=r"StubbornSource did not stop within 0.05 s"):
        await stream(exchange_of(source, sink))
    assert not sink.running
    source.let_go.set()
    await until(lambda: not source.running)


# Draining


async def test_a_drain_delivers_what_was_received() -> None:
    gate = asyncio.Event()
    sources = [ScriptedSource(*[[n] for n in range(3)], endless=True) for _ in range(2)]
    sink = RecordingSink(gate=gate)
    exchange = exchange_of(sources, sink)
    running = asyncio.create_task(stream(exchange))
    await until(lambda: exchange.statistics.received >= QUEUED_BATCHES)
    draining = asyncio.create_task(exchange.drain())
    await turns(5)
    gate.set()
    await running
    await draining
    assert sorted(sink.accepted) == sorted([*sources[0].given, *sources[1].given])
    assert exchange.statistics.delivered == exchange.statistics.received


async def test_a_drain_does_not_wait_for_a_source_that_is_away() -> None:
    source = ScriptedSource([1], *away(), [2])
    sink = RecordingSink()
    exchange = exchange_of(source, sink)
    await exchange.start()
    source.unreachable = RetryableError(AWAY)
    running = asyncio.create_task(exchange.run())
    await until(lambda: source.starts > 3)
    await exchange.drain()
    async with asyncio.timeout(1):
        await running
    await exchange.stop()
    assert sink.accepted == [1]
    assert not source.running


async def test_a_drained_exchange_connects_again_at_the_next_start() -> None:
    source, sink = ScriptedSource([1], PAUSE, *away(), [2]), RecordingSink()
    exchange = exchange_of(source, sink)
    running = asyncio.create_task(stream(exchange))
    await until(lambda: sink.accepted == [1])
    await exchange.drain()
    await running
    await stream(exchange)
    assert sink.accepted == [1, 2]


# Cancellation


@pytest.mark.parametrize("sources", [1, 2])
@pytest.mark.parametrize("gated", [False, True])
def test_cancelled_anywhere_nothing_is_left(sources: int, *, gated: bool) -> None:
    """At each of the first 120 turns of the loop: no task, no open component, a true balance."""

    async def cancelled_at(turn: int) -> None:
        gate = asyncio.Event()
        if not gated:
            gate.set()
        made = [
            ScriptedSource(*[[n] for n in range(8)], *away(), [8], endless=True, failures=away())
            for _ in range(sources)
        ]
        sinks = [RecordingSink(*away(2), gate=gate), RecordingSink(failures=away(2))]
        exchange = exchange_of(made, sinks, Halving(), Window(3))

        async def life() -> None:
            await exchange.start()
            await exchange.run()

        living = asyncio.create_task(life())
        await turns(turn)
        living.cancel()
        async with asyncio.timeout(2):
            await asyncio.wait((living,))
            await exchange.stop()
        assert living.cancelled()
        assert not any(component.running for component in (*made, *sinks))
        statistics = exchange.statistics
        assert statistics.received == statistics.delivered, "the rest will be received again"
        acknowledged = sum(len(source.acknowledged) for source in made)
        assert acknowledged == statistics.delivered

    for turn in range(120):
        run_alone(lambda turn=turn: cancelled_at(turn))  # type: ignore[misc]


# Backpressure


@pytest.mark.parametrize("number", [1, 2, 5])
async def test_a_slow_sink_bounds_what_is_read(number: int) -> None:
    gate = asyncio.Event()
    sources = [
        ScriptedSource(*[[n] for n in range(1000)], endless=True, awaits=0) for _ in range(number)
    ]
    exchange = exchange_of(sources, RecordingSink(gate=gate))
    running = asyncio.create_task(stream(exchange))
    await turns(2000)
    read = sum(source.received for source in sources)
    # One in the sink, those in the queue, and one in the hands of each source.
    assert read <= 1 + (QUEUED_BATCHES + number if number > 1 else 0)
    running.cancel()
    await asyncio.wait((running,))


async def test_an_exchange_whose_ends_are_always_ready_does_not_starve_others() -> None:
    source = ScriptedSource(*[[n] for n in range(1000)], awaits=0)
    sink = RecordingSink(awaits=0)
    running = asyncio.create_task(stream(exchange_of(source, sink)))
    await turns(100)
    assert 0 < len(sink.accepted) < 1000
    await running
    assert len(sink.accepted) == 1000


async def test_an_iterator_that_cannot_be_closed_is_a_stream_too() -> None:
    class Once:
        def __init__(self) -> None:
            self._left = [Batch([1]), Batch([2])]

        def __aiter__(self) -> AsyncIterator[Batch]:
            return self

        async def __anext__(self) -> Batch:
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop(0)

    class Source(ScriptedSource):
        def read(self) -> AsyncIterator[Batch]:
            return Once()

    sink = RecordingSink()
    await stream(exchange_of(Source(), sink))
    assert sink.accepted == [1, 2]


# The balance, at every point that can be seen

steps = st.one_of(
    st.integers(1, 4),  # a batch of so many values
    st.just("lost"),
    st.integers(-3, -1),  # so many records that cannot be decoded
)
writes = st.one_of(st.none(), st.just("away"), st.integers(1, 3))
UNWANTED = "source 0, value 1"


def _wanted(value: Any) -> Any:
    if value == UNWANTED:
        raise RecordError("not this one")
    return value


PIPES: dict[str, Callable[[], Pipe]] = {
    "halve": Halving,
    "window": lambda: Window(2),
    "refuse": lambda: Mapping(_wanted),
}


class Scripted:
    """An exchange of scripts, which looks at its balance whenever one of its ends is busy."""

    def __init__(
        self, scripts: list[list[int | str]], sinks: list[list[int | str | None]], chain: list[str]
    ) -> None:
        self.sources = [self._source(number, script) for number, script in enumerate(scripts)]
        self.sinks = [
            RecordingSink(
                *(RetryableError(step) if isinstance(step, str) else step for step in script),
                observe=self.observe,
            )
            for script in sinks
        ]
        self.exchange = exchange_of(self.sources, self.sinks, *(PIPES[name]() for name in chain))

    def _source(self, number: int, script: list[int | str]) -> ScriptedSource:
        made: list[Batch | BaseException] = []
        values = itertools.count()
        for step in script:
            if isinstance(step, str):
                made.append(RetryableError(step))
            elif step < 0:
                made.append(Batch([], failures=[RecordError("garbled", records=-step)]))
            else:
                made.append(Batch([f"source {number}, value {next(values)}" for _ in range(step)]))
        return ScriptedSource(*made, observe=self.observe)

    def observe(self) -> None:
        balance = self.exchange.statistics
        assert balance.received == sum(source.received for source in self.sources)
        settled = balance.delivered + balance.dropped + balance.dead_lettered
        assert balance.received == settled + balance.in_flight
        assert balance.in_flight >= 0

    def seen_by(self, sink: RecordingSink, source: int) -> list[str]:
        """The values of a source that a sink was given, those of windows one by one."""
        values = _leaves(value for batch in sink.batches for value in batch.values)
        return [value for value in values if value.startswith(f"source {source},")]


def _leaves(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from [value] if isinstance(value, str) else _leaves(value)


@settings(max_examples=150, deadline=None)
@given(
    scripts=st.lists(st.lists(steps, max_size=8), min_size=1, max_size=3),
    sinks=st.lists(st.lists(writes, max_size=8), min_size=1, max_size=2),
    chain=st.lists(st.sampled_from(sorted(PIPES)), max_size=3),
)
def test_whatever_happens_the_balance_holds_order_is_kept_and_nothing_is_lost(
    scripts: list[list[int | str]], sinks: list[list[int | str | None]], chain: list[str]
) -> None:
    scripted = Scripted(scripts, sinks, chain)
    run_alone(lambda: stream(scripted.exchange))
    scripted.observe()
    assert scripted.exchange.statistics.in_flight == 0
    # A value in a window is no longer a value of its own that the pipe could refuse.
    refuses = "refuse" in chain and "window" not in chain[: chain.index("refuse")]
    for number, source in enumerate(scripted.sources):
        assert sorted(source.acknowledged) == sorted(source.given)
        expected = [value for value in source.given if not (refuses and value == UNWANTED)]
        for sink in scripted.sinks:
            assert scripted.seen_by(sink, number) == expected
