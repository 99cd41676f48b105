"""An hour of mixed load, new configurations and faults: nothing grows, nothing is lost for good.

Promise: a device server holds what its configuration needs and no more, whatever happened to it
before; groups deliver at least once; the device is ON again when the far ends are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devservices.kafka import KafkaBroker
from tests.chaos.soaking import KEPT, Soak

SHORT_S = 20.0
SEED = 5
GROWTH_KB = 15_000
"""An allocator that was never told to give back; a leak of 100 octets a record would show."""
SHORT_GROWTH_KB = 80_000
"""The short form measures while it warms up."""
GROWTH = 4
"""What faults and configurations that are under way hold for the moment."""


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[KafkaBroker]:
    """A broker that may be killed and frozen."""
    request.getfixturevalue("kafka_broker")  # where Kafka cannot run this says so
    with KafkaBroker() as broker:
        yield broker


@pytest.mark.timeout(0)
def test_mixed_load_with_faults(
    broker: KafkaBroker,
    tmp_path: Path,
    is_long: bool,
    request: pytest.FixtureRequest,
    tell: Callable[..., None],
) -> None:
    duration_s = 60 * request.config.getoption("--soak-minutes") if is_long else SHORT_S
    soak = Soak(broker, tmp_path, duration_s, SEED)
    try:
        soak.run()
        soak.settle()
        balances = soak.connector.balances()
        growth = {name: soak.quarters(name) for name in (*KEPT, "tasks")}
        values = soak.in_topic()
        tell(
            minutes=duration_s / 60,
            messages=soak.messages.last,
            poison=soak.messages.poison,
            events=len(values),
            configured=soak.counts.configured,
            refused=soak.counts.refused,
            slowest_configure_s=soak.counts.slowest_s,
            **dict(soak.counts.faults),
            gaps=balances["stable[1]"]["gaps"],
            **{name: f"{first:g} -> {last:g}" for name, (first, last) in growth.items()},
        )
        for name in (*KEPT[1:], "tasks"):
            assert growth[name][1] <= growth[name][0] + GROWTH, (name, growth)
        first_kb, last_kb = growth["resident_kb"]
        assert last_kb - first_kb < (GROWTH_KB if is_long else SHORT_GROWTH_KB)
        to_attribute = balances["stable[0]"]
        assert to_attribute["in_flight"] == 0
        assert to_attribute["dropped"] == soak.messages.poison
        begins = sum(after <= before for before, after in itertools.pairwise(values))
        faults = soak.counts.faults
        assert begins <= faults["restart_ramp"] + faults["kill_broker"] + faults["pause_broker"]
    finally:
        soak.close()
    assert soak.connector.process.exit_code == 0, soak.connector.process.output()
