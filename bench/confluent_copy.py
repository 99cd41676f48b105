"""Kafka to Kafka by means of librdkafka: the exchange beside the least loop, same guarantee.

All else is as in `bench.kafka_copy`.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Final

from bench.copying import Field, exchange, field, program
from bench.kafka_copy import LARGE_BYTES
from bench.measure import Comparison, Options, at_least, compare

__all__ = ("EXCHANGE", "LOOP", "benchmark", "confluent_copy")

LOOP: Final = program(
    "confluent consume(500) + produce, all acks", sys.executable, "-m", "bench.confluent_copies"
)
EXCHANGE: Final = exchange("exchange with client confluent", client="confluent")


def benchmark(options: Options) -> list[Comparison]:
    """Records of 1 KiB and of 100 KiB."""
    with field() as ground:
        return [
            confluent_copy(ground, options.records, 1024, options.rounds),
            confluent_copy(ground, options.records // 50, LARGE_BYTES, options.rounds),
        ]


def confluent_copy(ground: Field, records: int, size_bytes: int, rounds: int) -> Comparison:
    """Copy `records` messages of `size_bytes` bytes with each of the two."""
    contestants = (LOOP, EXCHANGE)
    return compare(
        f"Kafka to Kafka by librdkafka, {records:,} records of {size_bytes} bytes",
        [(each.name, partial(ground.copy, each, records, size_bytes)) for each in contestants],
        rounds,
        [at_least(0.8, "rate", EXCHANGE.name)],
    )
