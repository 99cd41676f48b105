"""Looking at the records of an exchange: every stage, in order, bounded, and never in the way."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from queueconnector_core import tap as tap_module
from queueconnector_core.errors import ConfigError
from queueconnector_core.exchange import Exchange
from queueconnector_core.record import Batch, LazyMetadata, Metadata
from queueconnector_core.tap import MAX_KEPT, View
from queueconnector_core.testing.doubles import RecordingSink, ScriptedSource
from tests.core.doubles import Mapping


def doubling(*script: list[int] | Batch, sink: RecordingSink | None = None) -> Exchange:
    double = Mapping(lambda value: 2 * value)
    negate = Mapping(lambda value: -value)
    return Exchange("x", [ScriptedSource(*script)], [double, negate], [sink or RecordingSink()])


async def through(exchange: Exchange) -> None:
    await exchange.start()
    await exchange.run()
    await exchange.stop()


@pytest.mark.parametrize(
    ("stage", "values"),
    [
        *(("source", [1, 2, 3]), ("source[0]", [1, 2, 3])),
        *(("pipe[0]", [2, 4, 6]), ("pipe[1]", [-2, -4, -6]), ("sink[0]", [-2, -4, -6])),
    ],
)
async def test_each_stage_shows_what_has_passed_it(stage: str, values: list[int]) -> None:
    exchange = doubling([1, 2], [3])
    with exchange.taps.view(stage) as view:
        await through(exchange)
        seen = [record.value for record in await view.take()]
    assert seen == values


async def test_nothing_is_kept_when_nobody_looks_any_more() -> None:
    exchange = doubling([1])
    with exchange.taps.view("source"), exchange.taps.view("sink"):
        assert exchange.taps.are_watched
    assert not exchange.taps.are_watched


async def test_values_that_the_sink_refused_are_shown_as_they_were_given_to_it() -> None:
    exchange = doubling([1, 2], sink=RecordingSink(2))
    with exchange.taps.view("sink") as view:
        await through(exchange)
        assert [record.value for record in await view.take()] == [-2, -4]
    assert exchange.statistics.dropped == 1


async def test_a_view_that_is_full_counts_what_it_has_not_kept() -> None:
    view = View()
    for start in (0, 50):
        view.offer(Batch(list(range(start, start + 50))))
    assert [record.value for record in await view.take()] == list(range(MAX_KEPT))
    assert view.skipped == 100 - MAX_KEPT
    view.offer(Batch([100]))
    assert [record.value for record in await view.take()] == [100]


async def test_large_values_fill_a_view_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_module, "MAX_OCTETS", 1000)
    view = View()
    view.offer(Batch([np.zeros(100), np.zeros(100), np.zeros(100)]))
    assert len(await view.take()) == 2
    assert view.skipped == 1


async def test_metadata_are_made_only_of_what_is_looked_at() -> None:
    made = []

    def make(number: int) -> Metadata:
        made.append(number)
        return Metadata(position=str(number))

    view = View()
    view.offer(Batch([1, 2], LazyMetadata([1, 2], make)))
    assert made == []
    assert [record.metadata.position for record in await view.take()] == ["1", "2"]


async def test_who_looks_waits_for_the_next_record() -> None:
    view = View()
    looking = asyncio.create_task(view.take())
    await asyncio.sleep(0.01)
    assert not looking.done()
    view.offer(Batch([7]))
    assert [record.value for record in await looking] == [7]


def test_a_stage_that_is_not_there_is_told_with_those_that_are() -> None:
    exchange = doubling([1])
    with (
        pytest.raises(ConfigError, match=r"found 'pipe\[2\]'; allowed: source, pipe\[0\], pipe"),
        exchange.taps.view("pipe[2]"),
    ):
        pass
