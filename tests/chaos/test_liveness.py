"""Health on a real broker that is well: what is stuck shows in time, what only waits does not.

A broker that is not well: `test_brokers.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from devservices.kafka import KafkaBroker
from queueconnector_core.component import BuildContext
from queueconnector_core.discovery import discover
from queueconnector_core.pipes.buffer_with_time import (
    BufferWithTimePipe,
    BufferWithTimePipeDescriptor,
)
from queueconnector_core.registry import Registry
from tests.chaos.copying import SPEC, Copy, Gate, Options, Writer, new_topic, running, until

REGISTRY: Registry = discover().registry
LATE_S = 3.0
"""A machine that does other things as well may notice so much later."""


@pytest.fixture
def limit_s(is_long: bool) -> float:
    """The limit of health: the default in the long form."""
    return 15.0 if is_long else 1.0


@pytest.mark.timeout(300)
async def test_a_frozen_pipe_or_sink_shows_in_time_and_heals(
    kafka_broker: KafkaBroker, limit_s: float, tell: Callable[..., None]
) -> None:
    topic, pipe, sink = new_topic(kafka_broker), Gate(), asyncio.Event()
    sink.set()
    copies = [
        Copy(kafka_broker, REGISTRY, topic, Options(health_limit_s=limit_s), [pipe]),
        Copy(kafka_broker, REGISTRY, topic, Options(health_limit_s=limit_s, gate=sink)),
    ]
    async with running(*copies):
        writer = Writer(kafka_broker, topic)
        await asyncio.gather(*(copy.more() for copy in copies))
        assert [copy.ailment for copy in copies] == [None, None]
        pipe.open.clear()
        sink.clear()
        late_s = limit_s + LATE_S
        ill_s = await asyncio.gather(
            *(until(lambda c=copy: c.ailment, late_s, "it shows") for copy in copies)  # type: ignore[misc]
        )
        assert all("none was delivered" in (copy.ailment or "") for copy in copies)
        pipe.open.set()
        sink.set()
        for copy in copies:
            await until(lambda c=copy: c.ailment is None, 5, "all are well again")  # type: ignore[misc]
        await writer.end()
        for copy in copies:
            assert writer.acknowledged - set(await copy.delivered(writer.acknowledged)) == set()
            assert copy.gaps == []
    tell(limit_s=limit_s, ill_after_s=max(ill_s))
    assert min(ill_s) > limit_s / 2


@pytest.mark.timeout(300)
async def test_an_idle_topic_and_a_window_that_is_open_are_well(
    kafka_broker: KafkaBroker, limit_s: float, tell: Callable[..., None]
) -> None:
    hold_s = 3 * limit_s
    window = BufferWithTimePipe(
        BufferWithTimePipeDescriptor(timespan=hold_s), BuildContext(SPEC, REGISTRY)
    )
    topic, options = new_topic(kafka_broker), Options(health_limit_s=limit_s)
    holding = Copy(kafka_broker, REGISTRY, topic, options, [window])
    idle = Copy(kafka_broker, REGISTRY, new_topic(kafka_broker), options)
    async with running(holding, idle):
        writer = Writer(kafka_broker, topic)
        await writer.more(10)
        await writer.end()
        began_s, looks = time.monotonic(), 0
        while time.monotonic() - began_s < hold_s or not holding.passed:
            assert (idle.ailment, holding.ailment) == (None, None)
            looks += 1
            await asyncio.sleep(0.02)
        await idle.stop()
        await holding.stop()
    tell(limit_s=limit_s, held_s=hold_s, looks=looks)
