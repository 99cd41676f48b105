"""A connector that is killed again and again loses nothing and keeps the order.

Promise: what a source with a memory gives (a group's committed positions, a checkpoint) arrives at
least once, in order; after a clean stop exactly once. What comes twice is bounded: no more than was
delivered in one commit interval (and a second of grace) before the kill.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from devservices.kafka import KafkaBroker
from tests.chaos.ends import FileFeed, FileOutlet, KafkaFeed, KafkaOutlet
from tests.chaos.killing import Flow


@attrs.frozen
class Scale:
    records: int
    kills: int
    stops: int


SHORT = Scale(10_000, 2, 1)
LONG = Scale(1_000_000, 100, 20)

SEED = 5


def prove(flow: Flow, scale: Scale, tell: Callable[..., None]) -> None:
    """Kill it while the records flow, then stop it cleanly while more flow."""
    began_s = time.monotonic()
    share = scale.records // scale.kills
    for _ in range(scale.kills):
        flow.kill(share)
    killed = flow.settle()
    at_risk = [life.at_risk for life in flow.lives]
    killed.assert_at_least_once(scale.kills, sum(at_risk))
    for _ in range(scale.stops):
        flow.stop(share)
    stopped = flow.settle()
    stopped.assert_at_least_once(scale.kills, sum(at_risk))
    tell(
        records=stopped.sent,
        kills=scale.kills,
        clean_stops=scale.stops + 1,
        lost=stopped.lost,
        out_of_order=stopped.out_of_order,
        duplicates=killed.duplicates,
        allowed=sum(at_risk),
        duplicates_per_kill=killed.duplicates / scale.kills,
        duplicates_by_clean_stops=stopped.duplicates - killed.duplicates,
        seconds=time.monotonic() - began_s,
    )
    assert stopped.duplicates == killed.duplicates


@pytest.mark.timeout(3600)
def test_from_file_to_file(tmp_path: Path, is_long: bool, tell: Callable[..., None]) -> None:
    flow = Flow(FileFeed(tmp_path), FileOutlet(tmp_path), tmp_path, SEED)
    prove(flow, LONG if is_long else SHORT, tell)


@pytest.mark.timeout(3600)
def test_from_kafka_to_kafka(
    kafka_broker: KafkaBroker, tmp_path: Path, is_long: bool, tell: Callable[..., None]
) -> None:
    flow = Flow(KafkaFeed(kafka_broker), KafkaOutlet(kafka_broker), tmp_path, SEED)
    prove(flow, LONG if is_long else SHORT, tell)


@pytest.mark.timeout(3600)
def test_from_kafka_to_file(
    kafka_broker: KafkaBroker, tmp_path: Path, is_long: bool, tell: Callable[..., None]
) -> None:
    flow = Flow(KafkaFeed(kafka_broker), FileOutlet(tmp_path), tmp_path, SEED)
    prove(flow, LONG if is_long else SHORT, tell)
