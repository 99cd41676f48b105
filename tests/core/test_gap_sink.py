"""The sink of gaps hears of each once, and never holds up the exchange."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from queueconnector_core import exchange as exchange_module
from queueconnector_core import gap_sink
from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.gap_sink import GAP_SPEC, GapSink
from queueconnector_core.gaps import Gap, GapLedger, GapReason
from queueconnector_core.plan import read_plan
from queueconnector_core.record import Batch
from queueconnector_core.testing.doubles import RecordingSink, ScriptedSource, turns, until
from tests.core.components import Made, registry_of, services_of
from tests.core.doubles import other_tasks

AWAY = RetryableError("nobody answers")


def gap(number: int) -> Gap:
    return Gap("t[0]", GapReason.RETENTION, number, number + 1, number, is_exact=True)


def told(sink: RecordingSink) -> list[int]:
    """The gaps that a sink was told, by what they cost."""
    return [value["records"] for value in sink.accepted]


class Told:
    """A ledger whose gaps are told to a sink."""

    def __init__(self, *script: Any, **options: Any) -> None:
        self.ledger = GapLedger()
        self.sink = RecordingSink(*script, **options)
        self.gaps = GapSink(self.sink, self.ledger)

    def lose(self, *numbers: int) -> None:
        for number in numbers:
            self.ledger.add(gap(number))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap_sink, "LONGEST_WAIT_S", 0.0)


async def test_each_gap_is_told_once_in_order_those_of_before_the_start_too() -> None:
    made = Told()
    made.lose(1)
    made.gaps.start("a[0]")
    made.lose(2, 3)
    await until(lambda: told(made.sink) == [1, 2, 3])
    made.lose(4)
    await made.gaps.stop(1)
    assert told(made.sink) == [1, 2, 3, 4]
    assert (made.sink.starts, made.sink.stops) == (1, 1)


async def test_a_gap_is_told_with_its_exchange_and_when_it_ended() -> None:
    made = Told()
    made.gaps.start("a[0]")
    made.lose(7)
    await made.gaps.stop(1)
    assert made.sink.accepted == [
        {
            "exchange": "a[0]",
            "source": "t[0]",
            "reason": "retention",
            "from_ns": 7,
            "to_ns": 8,
            "records": 7,
            "is_exact": True,
            "text": "",
        }
    ]
    (batch,) = made.sink.batches
    assert batch.metadata is not None
    assert (batch.metadata[0].timestamp_ns, batch.metadata[0].source) == (8, "t[0]")


async def test_a_gap_that_goes_on_is_told_when_it_ends_and_one_without_a_loss_never() -> None:
    made = Told()
    made.gaps.start("a[0]")
    empty = made.ledger.open("a/b/c/d", GapReason.DEVICE_AWAY)
    lost = made.ledger.open("a/b/c/d", GapReason.DEVICE_AWAY)
    await turns(10)
    assert told(made.sink) == []
    empty.close(records=0, is_exact=True)
    lost.close(records=5)
    await made.gaps.stop(1)
    assert told(made.sink) == [5]


async def test_a_sink_that_is_away_is_tried_again() -> None:
    made = Told(AWAY, AWAY, failures=[AWAY])
    made.gaps.start("a[0]")
    made.lose(1, 2)
    await until(lambda: told(made.sink) == [1, 2])
    await made.gaps.stop(1)
    assert (made.sink.starts, made.sink.writes) == (2, 4)


@pytest.mark.parametrize(
    "defect", [1, FatalError("forbidden"), ZeroDivisionError("a defect of the sink")]
)
async def test_a_gap_that_the_sink_refuses_does_not_keep_it_from_the_next(
    defect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = Told(defect)
    made.gaps.start("a[0]")
    made.lose(1, 2)
    await until(lambda: told(made.sink) == [2])
    await made.gaps.stop(1)
    assert "a[0]: a gap could not be told" in caplog.text


async def test_of_too_many_gaps_the_oldest_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap_sink, "KEPT_GAPS", 2)
    gate = asyncio.Event()
    made = Told(gate=gate)
    made.gaps.start("a[0]")
    made.lose(1)
    await until(lambda: made.sink.writes == 1)
    made.lose(2, 3, 4)
    gate.set()
    await made.gaps.stop(1)
    assert told(made.sink) == [1, 3, 4]


# The end


class Hanging(RecordingSink):
    """A sink that hangs in one of its methods, whatever is done to it."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self.let_go = asyncio.Event()

    async def _hang(self, here: str) -> None:
        while self._where == here and not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue

    async def start(self) -> None:
        await self._hang("start")
        await super().start()

    async def write(self, batch: Batch) -> None:
        await self._hang("write")
        await super().write(batch)

    async def stop(self) -> None:
        await self._hang("stop")
        await super().stop()


@pytest.mark.parametrize("where", ["start", "write", "stop"])
async def test_stop_ends_in_time_whatever_the_sink_does(where: str) -> None:
    sink, ledger = Hanging(where), GapLedger()
    gaps = GapSink(sink, ledger)
    gaps.start("a[0]")
    ledger.add(gap(1))
    await turns(20)
    async with asyncio.timeout(2):
        await gaps.stop(0.05)
    sink.let_go.set()
    await until(lambda: not other_tasks())


async def test_stop_is_idempotent_and_safe_before_the_start() -> None:
    made = Told()
    await made.gaps.stop(1)
    made.gaps.start("a[0]")
    await made.gaps.stop(1)
    await made.gaps.stop(1)
    assert (made.sink.starts, made.sink.stops) == (0, 1)


async def test_what_was_not_told_is_told_after_the_next_start() -> None:
    made = Told()
    made.sink.unreachable = AWAY
    made.gaps.start("a[0]")
    made.lose(1)
    await made.gaps.stop(0.05)
    made.sink.unreachable = None
    made.gaps.start("a[0]")
    await until(lambda: told(made.sink) == [1])
    await made.gaps.stop(1)


# The exchange


async def test_an_exchange_streams_on_while_its_sink_of_gaps_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange_module, "GAPS_TIMEOUT_S", 0.05)
    hanging, ledger = Hanging("start"), GapLedger()
    source, sink = ScriptedSource([1], [2], [3]), RecordingSink()
    exchange = Exchange("a[0]", [source], [], [sink], gaps=ledger, gap_sink=hanging)
    await exchange.start()
    ledger.add(gap(1))
    began_s = time.monotonic()
    await exchange.run()
    await exchange.stop()
    assert time.monotonic() - began_s < 2
    assert sink.accepted == [1, 2, 3]
    assert ledger.total == 1
    hanging.let_go.set()
    await until(lambda: not other_tasks())


TOPIC = {"type": "TopicSink", "topic": "t"}


def document(**options: Any) -> str:
    counter = {"type": "CounterSource", "endless": True}
    return json.dumps({"exchanges": [{"dtype": "int", "source": counter, "sink": TOPIC} | options]})


async def test_the_option_gaps_names_the_sink() -> None:
    made, services = Made(), services_of()
    registry = registry_of(made)
    (plan,) = read_plan(document(gaps=TOPIC), registry, services).groups["default"]
    assert plan.gaps is not None
    assert plan.gaps.spec == GAP_SPEC
    exchange = plan.build(registry, services)
    await exchange.start()
    exchange.gaps.add(gap(3))
    await exchange.stop()
    (_, values), (_, gaps) = made.sinks
    assert (values.accepted, told(gaps)) == ([], [3])


def test_the_sink_of_gaps_is_proven_as_any_other() -> None:
    wrong = {"type": "AttributeSink", "attribute_name": "State"}
    with pytest.raises(ConfigError) as refused:
        read_plan(document(gaps=wrong), registry_of(), services_of())
    assert [problem.path for problem in refused.value.problems] == [
        "exchanges[0].gaps.attribute_name"
    ]
