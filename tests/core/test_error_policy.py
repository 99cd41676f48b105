"""What becomes of records that fail: at every stage, under each policy."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.dead_letters.writing import DeadLetters
from queueconnector_core.descriptors import ErrorPolicyDescriptor
from queueconnector_core.discovery import discover
from queueconnector_core.error_policy import ErrorPolicy
from queueconnector_core.errors import FatalError, RecordError, RecordErrors, RetryableError
from queueconnector_core.exchange import Exchange
from queueconnector_core.pipes.buffer_with_time import (
    BufferWithTimePipe,
    BufferWithTimePipeDescriptor,
)
from queueconnector_core.protocols import Pipe
from queueconnector_core.record import Batch, Metadata, Original, Quality, Record, Value
from queueconnector_core.simple import ValuePipe
from queueconnector_core.testing.doubles import RecordingSink, ScriptedSource

REGISTRY = discover().registry
INTEGER = DataSpec.of("int64", [])
POISON = 4
RECORDS = [1, 2, 3, POISON, 5]
GOOD = [value for value in RECORDS if value != POISON]
STAGES = ("source", "pipe", "sink")


class Picky(ValuePipe):
    """Refuses one value, so many times."""

    def __init__(self, poison: int = POISON, times: int = 1_000_000) -> None:
        self._poison = poison
        self._left = times

    def map(self, value: Any) -> Value:
        if value == self._poison and self._left:
            self._left -= 1
            raise RecordError(f"{value} is poison")
        return value  # type: ignore[no-any-return]


class PickySink(RecordingSink):
    """Refuses one value so many times, or every value."""

    def __init__(self, times: int = 0, *, everything: bool = False) -> None:
        super().__init__()
        self._left = times
        self._everything = everything

    async def write(self, batch: Batch) -> None:
        self.writes += 1
        self.batches.append(batch)
        refused = [n for n, value in enumerate(batch.values) if self._refuses(value)]
        self.accepted += [v for n, v in enumerate(batch.values) if n not in refused]
        if refused:
            raise RecordErrors({n: RecordError("refused") for n in refused})

    def _refuses(self, value: Any) -> bool:
        if self._everything:
            return True
        if value == POISON and self._left:
            self._left -= 1
            return True
        return False


def poisoned_source() -> ScriptedSource:
    """Gives the octets of a record that it could not read as a failure."""
    origin = Metadata(key=b"k", position="topic[0]@3", original=Original(b"\xffgarbled"))
    failure = RecordError("topic[0]@3: garbled", origins=[origin])
    return ScriptedSource(Batch(GOOD, failures=[failure]))


FOREVER = 1_000_000


@attrs.define
class Bench:
    """An exchange with poison at one stage, and what became of it."""

    exchange: Exchange
    source: ScriptedSource
    sink: PickySink
    letter_sink: RecordingSink

    async def stream(self) -> None:
        try:
            await self.exchange.start()
            await self.exchange.run()
        finally:
            await self.exchange.stop()

    @property
    def balance(self) -> tuple[int, int, int, int]:
        """Received, delivered, dropped, dead-lettered."""
        counts = self.exchange.statistics
        return counts.received, counts.delivered, counts.dropped, counts.dead_lettered

    @property
    def letters(self) -> list[Record]:
        return [record for batch in self.letter_sink.batches for record in batch.records()]


def bench(
    options: ErrorPolicyDescriptor,
    source: ScriptedSource | None = None,
    *pipes: Pipe,
    sink: PickySink | None = None,
    letter_sink: RecordingSink | None = None,
) -> Bench:
    source, sink = source or ScriptedSource(RECORDS), sink or PickySink()
    kept = letter_sink or RecordingSink()
    letters = DeadLetters(kept, INTEGER, REGISTRY, "0123456789ab")
    policy = ErrorPolicy(options, letters if options.action == "dead_letter" else None)
    return Bench(Exchange("test[0]", [source], pipes, [sink], errors=policy), source, sink, kept)


def poisoned(stage: str, options: ErrorPolicyDescriptor) -> Bench:
    if stage == "source":
        return bench(options, poisoned_source())
    if stage == "pipe":
        return bench(options, None, Picky())
    return bench(options, sink=PickySink(FOREVER))


@pytest.mark.parametrize("stage", STAGES)
async def test_skip_goes_on_without_it_and_counts_it(stage: str) -> None:
    made = poisoned(stage, ErrorPolicyDescriptor())
    await made.stream()
    assert made.sink.accepted == GOOD
    assert made.balance == (5, 4, 1, 0)


@pytest.mark.parametrize("stage", STAGES)
async def test_fail_stops_with_the_reason_and_the_stage(stage: str) -> None:
    made = poisoned(stage, ErrorPolicyDescriptor(action="fail"))
    with pytest.raises(FatalError, match=rf"^{stage}: .*errors\.action is fail"):
        await made.stream()
    assert made.source.acknowledged == [], "the source gives the batch again"
    assert made.exchange.statistics.in_flight == 0


@pytest.mark.parametrize("stage", STAGES)
async def test_dead_letter_keeps_the_record_with_its_context(stage: str) -> None:
    made = poisoned(stage, ErrorPolicyDescriptor(action="dead_letter"))
    await made.stream()
    assert made.sink.accepted == GOOD
    assert made.balance == (5, 4, 0, 1)
    (letter,) = made.letters
    assert letter.value == (("received", b"\xffgarbled") if stage == "source" else ("json", b"4"))
    headers = dict(letter.metadata.headers)
    assert headers["qc_stage"] == stage.encode()
    assert headers["qc_exchange"] == b"test[0]"
    assert headers["qc_configuration"] == b"0123456789ab"
    assert headers["qc_attempts"] == b"1"
    assert (headers["qc_dtype"], headers["qc_shape"]) == (b'"int64"', b"[]")
    assert headers["qc_error"]
    assert headers.get("qc_encoding") == (None if stage == "source" else b"json")


async def test_a_dead_letter_keeps_key_headers_time_quality_and_position() -> None:
    origin = Metadata(
        1_700_000_000_000_000_001,
        key=b"dish-1",
        headers=(("trace", b"7"),),
        quality=Quality.ALARM,
        position="topic[2]@9",
        original=Original(b"?"),
    )
    source = ScriptedSource(Batch([], failures=[RecordError("bad", origins=[origin])]))
    made = bench(ErrorPolicyDescriptor("dead_letter"), source)
    await made.stream()
    (letter,) = made.letters
    headers = dict(letter.metadata.headers)
    assert letter.metadata.key == b"dish-1"
    assert headers["trace"] == b"7"
    assert headers["ce_time"] == b"2023-11-14T22:13:20.000000001Z"
    assert headers["ce_quality"] == b"ALARM"
    assert headers["qc_position"] == b"topic[2]@9"


async def test_a_window_that_is_refused_gives_one_letter_for_each_record_in_it() -> None:
    window = BufferWithTimePipe(BufferWithTimePipeDescriptor(), BuildContext(INTEGER, REGISTRY))
    sink = PickySink(everything=True)
    made = bench(ErrorPolicyDescriptor("dead_letter"), None, window, sink=sink)
    await made.stream()
    assert made.balance == (5, 0, 0, 5)
    assert [letter.value for letter in made.letters] == [
        ("json", str(value).encode()) for value in RECORDS
    ]


async def test_what_is_not_there_any_more_is_dropped_under_dead_letter_too() -> None:
    source = ScriptedSource(Batch([1], failures=[RecordError("the buffer was full", records=7)]))
    made = bench(ErrorPolicyDescriptor("dead_letter"), source)
    await made.stream()
    assert made.balance == (8, 1, 7, 0)
    assert made.letters == []


async def test_a_letter_that_cannot_be_kept_is_a_fault_and_nothing_is_acknowledged() -> None:
    options = ErrorPolicyDescriptor("dead_letter")
    full = PickySink(everything=True)
    made = bench(options, sink=PickySink(everything=True), letter_sink=full)
    with pytest.raises(FatalError, match=r"a dead letter could not be kept: .*refused"):
        await made.stream()
    assert made.source.acknowledged == []


async def test_a_place_of_letters_that_is_away_is_waited_for() -> None:
    away = RecordingSink(RetryableError("the place of dead letters is away"))
    made = bench(ErrorPolicyDescriptor("dead_letter"), None, Picky(), letter_sink=away)
    await made.stream()
    assert made.balance == (5, 4, 0, 1)
    assert away.writes == 2
    assert len(made.letters) == 1


# Retries


QUICK: dict[str, Any] = {"retry_wait_s": 0.001, "retry_longest_wait_s": 0.002}


async def test_a_sink_is_given_again_only_what_it_refused() -> None:
    made = bench(ErrorPolicyDescriptor(retries=2, **QUICK), sink=PickySink(times=2))
    await made.stream()
    assert [list(batch.values) for batch in made.sink.batches] == [RECORDS, [POISON], [POISON]]
    assert sorted(made.sink.accepted) == RECORDS
    assert made.balance == (5, 5, 0, 0)


async def test_after_the_last_retry_the_action_is_taken() -> None:
    options = ErrorPolicyDescriptor("dead_letter", retries=2, **QUICK)
    made = bench(options, sink=PickySink(times=3))
    await made.stream()
    assert made.sink.writes == 3
    assert made.balance == (5, 4, 0, 1)


async def test_a_pipe_that_maps_value_by_value_is_tried_again_in_order() -> None:
    made = bench(ErrorPolicyDescriptor(retries=3, **QUICK), None, Picky(times=3))
    await made.stream()
    assert made.sink.accepted == RECORDS
    assert made.balance == (5, 5, 0, 0)


async def test_waits_grow_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float) -> None:
        if delay:
            waits.append(delay)
        await sleep(0)

    monkeypatch.setattr("queueconnector_core.error_policy.asyncio.sleep", noted)
    options = ErrorPolicyDescriptor(retries=6, retry_wait_s=1, retry_longest_wait_s=5)
    made = bench(options, None, Picky())
    await made.stream()
    assert len(waits) == 6
    for wait, longest in zip(waits, (1, 2, 4, 5, 5, 5), strict=True):
        assert longest / 2 <= wait <= longest


# Too many


@pytest.mark.parametrize("action", ["skip", "dead_letter"])
async def test_too_many_in_a_row_are_a_fault(action: Any) -> None:
    options = ErrorPolicyDescriptor(action, max_in_a_row=3)
    made = bench(options, sink=PickySink(everything=True))
    with pytest.raises(FatalError, match="5 records in a row failed"):
        await made.stream()


async def test_null_never_gives_up() -> None:
    failing = [Batch([], failures=[RecordError("bad")]) for _ in range(1_000)]
    made = bench(ErrorPolicyDescriptor(max_in_a_row=None), ScriptedSource(*failing))
    await made.stream()
    assert made.balance == (1_000, 0, 1_000, 0)
