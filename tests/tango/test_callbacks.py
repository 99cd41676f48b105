"""What an event costs: it comes straight from Tango, and is asked for each thing once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queueconnector_tango._events import looks_of
from queueconnector_tango._proxy import Subscription

if TYPE_CHECKING:
    from tests.tango.conftest import Publisher, Reading

CHANGE = 0
NAME = "DevDouble_scalar"


def callers(frame: FrameType | None) -> Iterator[str]:
    """The files of all functions that are being called in this thread."""
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back


async def test_events_come_without_the_wrappers_of_pytango(publisher: Publisher) -> None:
    heard: list[tuple[Any, list[str]]] = []

    def hear(event: Any) -> None:
        heard.append((event.attr_value.value, list(callers(sys._getframe()))))

    subscription = Subscription(publisher.trl(), NAME, CHANGE, stateless=False, on_event=hear)
    await subscription.open()
    try:
        async with asyncio.timeout(10):
            while not heard or heard[-1][0] != 7.0:
                await publisher.publish(NAME, 7.0)
                await asyncio.sleep(0.05)
    finally:
        await subscription.close()
    assert heard[-1][1] == [__file__]


async def test_the_stamp_of_a_record_is_that_of_its_metadata(
    publisher: Publisher, reading: Reading
) -> None:
    async with reading(publisher.options(NAME)) as reader:
        await publisher.publish(NAME, 1.5, time=time.time() + 1, quality="ALARM")
        await reader.wait_for(lambda: reader.values[-1:] == [1.5])
    for batch in reader.batches:
        known = [record.metadata for record in batch.records()]
        assert list(batch.stamps()) == [(each.timestamp_ns, each.quality) for each in known]


@pytest.mark.parametrize(
    ("one", "other"),
    [(1.5, 2.5), ("a", "b"), (True, False), (np.zeros(3), np.ones(9)), (np.zeros((2, 2)),) * 2],
)
def test_values_of_one_form_look_alike(one: object, other: object) -> None:
    assert looks_of(one) is not None
    assert looks_of(one) == looks_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.5, "a"),
        (1.5, True),
        (1.5, np.zeros(1)),
        (np.zeros(3), np.zeros((1, 3))),
        (np.zeros(3), np.zeros(3, "float32")),
    ],
)
def test_values_of_different_forms_do_not(one: object, other: object) -> None:
    assert looks_of(one) != looks_of(other)


@pytest.mark.parametrize("value", [1, np.zeros(3, "int16"), ("a", b"b"), ["a"], None])
def test_a_value_that_may_be_of_another_form_does_not_tell(value: object) -> None:
    assert looks_of(value) is None
