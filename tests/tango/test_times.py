"""The time of a record survives the way into an attribute, to the microsecond."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from queueconnector_tango.local_sink import seconds_of

if TYPE_CHECKING:
    from tests.tango.conftest import Publisher, Reading


async def test_a_time_is_equal_to_the_microsecond_after_it_went_through_tango(
    publisher: Publisher, reading: Reading
) -> None:
    began_us = time.time_ns() // 1_000
    times_us = [began_us + 7 * number for number in range(100)]
    await publisher.publish("DevLong64_scalar", -1, time=began_us / 1e6 - 1)
    async with reading(publisher.options("DevLong64_scalar"), "int64") as reader:
        for number, time_us in enumerate(times_us):
            at = seconds_of(time_us * 1_000)
            await publisher.publish("DevLong64_scalar", number, time=at)
        await reader.wait_for(lambda: reader.values[-1:] == [99])
    stamps = [record.metadata.timestamp_ns for record in reader.records[-100:]]
    assert stamps == [time_us * 1_000 for time_us in times_us]
