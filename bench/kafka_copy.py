"""Kafka to Kafka: the exchange beside the least aiokafka loop with the same guarantee.

Both wait for all confirmations of a fetch before the next. A process of its own fills the input
topic meanwhile. Broker, filler and copy share the machine: only ratios count.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

from bench.copying import Contestant, Field, exchange, field, program
from bench.measure import Comparison, Options, at_least, at_most, compare

__all__ = ("EXCHANGE", "GROUP", "LOOP", "benchmark", "kafka_copy", "latency")

LOOP: Final = program(
    "aiokafka getmany + send, all acks, 256 KiB", sys.executable, "-m", "bench.copies", "262144"
)
DEFAULT: Final = program(
    "the same with the default of 16 KiB", sys.executable, "-m", "bench.copies", "16384"
)
EXCHANGE: Final = exchange("exchange KafkaConsumerSource -> KafkaProducerSink")
GROUP: Final = exchange("the same with a group_id", in_group=True)

LARGE_BYTES: Final = 100 * 1024
PER_S: Final = 1_000
LATENCY_S: Final = 5


def benchmark(options: Options) -> list[Comparison]:
    """Records of 1 KiB and of 100 KiB."""
    contestants = (LOOP, DEFAULT, EXCHANGE, GROUP)
    with field() as ground:
        return [
            kafka_copy(ground, options.records, 1024, options.rounds, contestants),
            kafka_copy(ground, options.records // 50, LARGE_BYTES, options.rounds, contestants),
            latency(ground, PER_S * LATENCY_S, options.rounds),
        ]


def kafka_copy(
    ground: Field,
    records: int,
    size_bytes: int,
    rounds: int,
    contestants: Sequence[Contestant] = (LOOP, EXCHANGE),
) -> Comparison:
    """Copy `records` messages of `size_bytes` bytes with each contestant."""
    names = [each.name for each in contestants]
    exchanges = [each.name for each in (EXCHANGE, GROUP) if each.name in names]
    if size_bytes < LARGE_BYTES:
        goals = [at_most(0.8, "cpu_us", name, row=1) for name in exchanges]
        goals += [at_least(1.2, "rate", name, row=2) for name in exchanges]
    else:
        goals = [at_most(1.1, "cpu_us", name, row=4) for name in exchanges]
    return compare(
        f"Kafka to Kafka, {records:,} records of {size_bytes} bytes",
        [(each.name, partial(ground.copy, each, records, size_bytes)) for each in contestants],
        rounds,
        goals,
    )


def latency(ground: Field, records: int, rounds: int) -> Comparison:
    """How long records of 1 KiB are under way that come evenly, `PER_S` each second."""
    cases = [(each.name, partial(ground.pace, each, records, PER_S)) for each in (LOOP, EXCHANGE)]
    cases.append(("no copy: written and read", partial(ground.pace, None, records, PER_S)))
    return compare(
        f"Kafka to Kafka, latency at {PER_S:,} records of 1 KiB per second",
        cases,
        rounds,
        [
            at_most(0.5, "p50_ms", EXCHANGE.name, kind="difference", beside=LOOP.name, row=5),
            at_most(1.5, "p99_ms", EXCHANGE.name, beside=LOOP.name, row=5),
        ],
    )
