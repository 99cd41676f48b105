"""The time stamps that other clients see on what the sink wrote."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from devservices import kcat
from queueconnector_core.errors import FatalError, RecordErrors
from queueconnector_core.record import Batch, Value
from queueconnector_kafka.timestamps import TimestampOptions

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness

KEEP = {"retention.ms": "-1"}
"""Kafka deletes by time stamp, and those of the tests are old."""

ROW = [["name", "U8"], ["time", "datetime64[ns]"]]
TAI = np.array(["2017-01-01T00:00:35", "2017-01-01T00:00:36.5", "2024-06-17T14:32:06.2"], "M8[ns]")
TAI_MS = [1483228799000, 1483228800500, 1718634689200]


def rows(*times: np.datetime64) -> Value:
    return np.array([("SKA001", moment) for moment in times], [("name", "U8"), ("time", "M8[ns]")])


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("dtype", "shape", "options", "values", "expected_ms"),
    [
        ("int64", [], {}, [3, 1, 2], [3, 1, 2]),
        ("float64", [2], {"slices": (1,)}, [np.array([0.0, 7.9])], [7]),
        ("datetime64[ns]", [], {}, list(TAI), TAI_MS),
        (ROW, [2], {"key": "time", "reducer": "max"}, [rows(*TAI[1:])], TAI_MS[2:]),
        ("object", [], {"key": "time"}, [{"time": 5}, {"time": 4.5}], [5, 4]),
    ],
)
async def test_other_clients_see_the_times_of_the_data(
    kafka: Harness,
    dtype: object,
    shape: list[int],
    options: dict[str, Any],
    values: list[Value],
    expected_ms: list[int],
) -> None:
    topic = kafka.topic(config=KEEP)
    sink = kafka.sink(topic, dtype, shape, timestamp_options=TimestampOptions(**options))
    await sink.start()
    await sink.write(Batch(values))
    await sink.stop()
    messages = await asyncio.to_thread(kafka.messages, topic)
    assert [message.timestamp()[1] for message in messages] == expected_ms
    command = [
        kcat.kcat(),
        "-C",
        "-b",
        kafka.broker.bootstrap,
        "-t",
        topic,
        "-e",
        "-q",
        "-f",
        "%T ",
    ]
    seen = await asyncio.to_thread(subprocess.check_output, command, text=True, timeout=30)
    assert [int(word) for word in seen.split()] == expected_ms


@pytest.mark.usefixtures("clean")
async def test_values_without_a_time_are_refused_and_the_others_written(kafka: Harness) -> None:
    topic = kafka.topic(config=KEEP)
    options = TimestampOptions(key="time")
    sink = kafka.sink(topic, "object", encoding="json", timestamp_options=options)
    await sink.start()
    batch: list[Value] = [{"time": 1}, {}, {"time": {1, 2}}, {"time": 2}, {"time": -3}]
    with pytest.raises(RecordErrors) as refused:
        await sink.write(Batch(batch))
    assert list(refused.value.failures) == [1, 2, 4]
    assert "there is no key 'time'" in str(refused.value.failures[1])
    assert "found -3 ms" in str(refused.value.failures[4])
    await sink.stop()
    messages = await asyncio.to_thread(kafka.messages, topic)
    assert [message.timestamp()[1] for message in messages] == [1, 2]


@pytest.mark.usefixtures("clean")
async def test_times_stay_with_their_values_over_many_record_batches(kafka: Harness) -> None:
    topic = kafka.topic(config=KEEP | {"max.message.bytes": "50000"})
    sink = kafka.sink(topic, "object", encoding="json", timestamp_options=TimestampOptions(key="t"))
    await sink.start()
    values: list[Value] = [{"t": n * n, "text": "x" * (n % 7 * 2_000)} for n in range(1, 301)]
    values[100] = {"t": 5, "text": "x" * 60_000}
    with pytest.raises(RecordErrors) as refused:
        await sink.write(Batch(values))
    assert list(refused.value.failures) == [100]
    await sink.stop()
    messages = await asyncio.to_thread(kafka.messages, topic)
    expected = [n * n for n in range(1, 301) if n != 101]
    assert [message.timestamp()[1] for message in messages] == expected
    assert [json.loads(message.value() or b"")["t"] for message in messages] == expected


@pytest.mark.usefixtures("clean")
async def test_times_that_the_topic_refuses_cost_only_their_own_values(kafka: Harness) -> None:
    topic = kafka.topic(config={"message.timestamp.after.max.ms": "3600000"})
    sink = kafka.sink(topic, "int64", timestamp_options=TimestampOptions())
    await sink.start()
    now_ms = time.time_ns() // 1_000_000
    values: list[Value] = [now_ms + number for number in range(20)]
    values[3] = values[17] = now_ms * 1000  # microseconds by mistake
    with pytest.raises(RecordErrors, match="the topic refuses the time stamp") as refused:
        await sink.write(Batch(values))
    assert list(refused.value.failures) == [3, 17]
    await sink.stop()
    messages = await asyncio.to_thread(kafka.messages, topic)
    assert [message.timestamp()[1] for message in messages] == [
        value for index, value in enumerate(values) if index not in {3, 17}
    ]


@pytest.mark.usefixtures("clean")
async def test_a_topic_that_refuses_the_time_of_writing_is_fatal(kafka: Harness) -> None:
    topic = kafka.topic(config={"message.timestamp.before.max.ms": "0"})
    sink = kafka.sink(topic, "int64")
    await sink.start()
    with pytest.raises(FatalError, match="InvalidTimestampError"):
        await sink.write(Batch(range(20_000)))  # to pack so many takes more than a millisecond
    await sink.stop()
