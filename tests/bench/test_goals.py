"""The benchmarks in short: each goal is reached with twice its slack.

Only ratios of one run are compared; the whole form is `make bench`.
"""

from __future__ import annotations

import pytest

from bench.codecs import codecs
from bench.copying import field
from bench.in_memory import in_memory
from bench.kafka_copy import kafka_copy


def test_in_memory_the_goals_are_reached() -> None:
    comparison = in_memory(records=50_000, rounds=3)

    assert comparison.far_missed == [], comparison.table()


def test_the_goals_of_the_encodings_are_reached() -> None:
    comparisons = [comparison for comparison in codecs(rounds=3, at_most=1_000) if comparison.goals]

    assert len(comparisons) == 6
    assert [text for comparison in comparisons for text in comparison.far_missed] == []


@pytest.mark.usefixtures("kafka_broker")
def test_over_kafka_the_goals_of_processor_time_are_reached() -> None:
    with field() as ground:
        comparison = kafka_copy(ground, records=20_000, size_bytes=1024, rounds=2)

    missed = [text for text in comparison.far_missed if "cpu_us" in text]
    assert missed == [], comparison.table()
