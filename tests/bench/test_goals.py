"""The benchmarks in short: an exchange keeps up with the least hand-written loop of its kind.

Only ratios of one run are compared; the whole form is `make bench`.
"""

from __future__ import annotations

import pytest

from bench.in_memory import in_memory
from bench.kafka_copy import kafka_copy


def test_in_memory_it_reaches_its_goal() -> None:
    comparison = in_memory(records=100_000, size_bytes=1024, rounds=3)

    assert comparison.missed == [], comparison.table()


@pytest.mark.usefixtures("kafka_broker")
def test_over_kafka_it_reaches_its_goal() -> None:
    comparison = kafka_copy(records=20_000, size_bytes=1024, rounds=3)

    assert comparison.missed == [], comparison.table()
