"""Chains of core's pipes in an exchange: the balance holds, and everything is acknowledged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queueconnector_core.errors import FatalError, RecordError, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.protocols import Pipe
from queueconnector_core.record import Batch
from queueconnector_core.report import statistics_report
from queueconnector_core.status import _exchange as status_line
from queueconnector_core.testing.doubles import RecordingSink, ScriptedSource
from tests.core.doubles import run_alone
from tests.core.piping import FLOAT, described, made

CHAIN: dict[str, list[dict[str, Any]]] = {
    "filter": [{"type": "FilterPipe", "when": {"ge": 2}}],
    "search": [{"type": "FilterPipe", "when": "abs(@) != `3`"}],
    "dead band": [{"type": "DeadbandPipe", "absolute": 1}],
    "duplicates": [{"type": "DeduplicatePipe"}],
    "rate": [{"type": "RateLimitPipe", "max_per_s": 1e-3, "burst": 2}],
    "latest in a while": [{"type": "RateLimitPipe", "max_per_s": 1e-3, "mode": "latest"}],
    "latest": [{"type": "LatestOnlyPipe"}],
    "scale": [{"type": "ScaleOffsetPipe", "scale": 0.5}],
    "narrow": [{"type": "ScaleOffsetPipe", "dtype": "uint8"},
               {"type": "CastPipe", "dtype": "float64"}],
    "search value": [{"type": "MapPipe", "expression": "abs(@)", "dtype": "float64"}],
    "window": [{"type": "TumblingWindowPipe", "reduce": "sum", "count": 3}],
    "sliding": [{"type": "SlidingWindowPipe", "reduce": "max", "count": 3, "step_count": 2}],
    "there and back": [{"type": "BufferWithTimePipe", "max_records": 2, "timespan": 60},
                       {"type": "SplitPipe"}],
}  # fmt: skip


def chained(*names: str) -> list[Pipe]:
    """The pipes, each proven for what the one before it gives."""
    pipes, spec = [], FLOAT
    for name in names:
        for options in CHAIN[name]:
            pipes.append(made(options["type"], spec, **_without_type(options)))
            spec = described(options["type"], **_without_type(options)).output(spec)
    assert spec == FLOAT
    return pipes


def _without_type(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "type"}


async def stream(exchange: Exchange) -> None:
    await exchange.start()
    try:
        await exchange.run()
    finally:
        await exchange.stop()


BATCHES = st.lists(st.integers(-3, 300), min_size=1, max_size=5) | st.integers(1, 3)
WRITES = st.none() | st.just("away") | st.integers(1, 3)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(BATCHES, max_size=6), st.lists(WRITES, max_size=6),
    st.lists(st.sampled_from(sorted(CHAIN)), max_size=3),
)  # fmt: skip
def test_in_any_chain_the_balance_holds_and_all_is_acknowledged(
    script: list[list[int] | int], writes: list[int | str | None], names: list[str]
) -> None:
    def observe() -> None:
        settled = balance.delivered + balance.dropped + balance.dead_lettered
        assert balance.received == source.received == settled + balance.in_flight
        assert balance.in_flight >= 0
        assert 0 <= balance.filtered <= balance.delivered

    garbled = [RecordError("garbled", 2)]
    batches = [
        Batch([], failures=garbled) if isinstance(step, int) else Batch(list(map(float, step)))
        for step in script
    ]
    away = RetryableError("away", retry_after_s=0)
    source = ScriptedSource(*batches, observe=observe)
    sink = RecordingSink(
        *(away if isinstance(step, str) else step for step in writes), observe=observe
    )
    exchange = Exchange("a[0]", [source], chained(*names), [sink])
    balance = exchange.statistics
    run_alone(lambda: stream(exchange))

    observe()
    assert balance.in_flight == 0
    assert sorted(source.acknowledged) == sorted(source.given)


async def test_what_is_filtered_is_told_beside_what_was_delivered() -> None:
    exchange = Exchange(
        "a[0]", [ScriptedSource([1.0, 2.0, 3.0], [0.0])], chained("filter"), [RecordingSink()]
    )
    await stream(exchange)
    group = Group("a", [exchange])

    told = statistics_report([group])["a[0]"]

    assert (told["received"], told["delivered"], told["filtered"]) == (4, 4, 2)
    assert "4 received, 4 delivered (2 of them filtered)" in status_line("a[0]", exchange, None)


async def test_what_is_filtered_is_acknowledged_after_what_came_before_it() -> None:
    """A consumer group commits in order, also over batches of which nothing was left."""
    source = ScriptedSource([9.0], [0.0, 1.0], [8.0], [7.0, 0.0])
    exchange = Exchange("a[0]", [source], chained("filter"), [RecordingSink()])

    await stream(exchange)

    assert source.acknowledged == [9.0, 0.0, 1.0, 8.0, 7.0, 0.0]


async def test_filtered_records_do_not_end_a_row_of_failures() -> None:
    script = [Batch([0.0], failures=[RecordError("bad") for _ in range(10)])] * 10
    exchange = Exchange("a[0]", [ScriptedSource(*script)], chained("filter"), [RecordingSink()])

    with pytest.raises(FatalError, match="100 records in a row failed"):
        await stream(exchange)
