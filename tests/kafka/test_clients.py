"""Two client libraries behind the same options: both do the same, also in one group."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from queueconnector_core.cli.check import check
from queueconnector_core.record import Batch, Metadata
from tests.kafka.clients import CLIENTS

if TYPE_CHECKING:
    from tests.kafka.conftest import Harness, Reader

BUILT = """
import json, sys
from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.plan import read_plan
registry = discover().registry
plan = read_plan(sys.argv[1], registry, Services())
plan.groups["default"][0].build(registry, Services())
print("confluent_kafka" in sys.modules)
"""


def document(client: str) -> str:
    far = {"servers": "kafka", "client": client}
    source = {"type": "KafkaConsumerSource", "topic": "in", **far}
    sink = {"type": "KafkaProducerSink", "topic": "out", **far}
    return json.dumps({"exchanges": [{"source": source, "sink": sink}]})


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("reader_client", CLIENTS)
@pytest.mark.parametrize("writer_client", CLIENTS)
async def test_what_one_client_writes_either_reads_with_all_that_is_known_of_it(
    kafka: Harness, reading: type[Reader], writer_client: str, reader_client: str
) -> None:
    topic = kafka.topic(partitions=3)
    source = kafka.source(topic, "int64", client=reader_client)
    options: dict[str, Any] = {"key": "record", "headers": "provenance"}
    sink = kafka.sink(topic, "int64", client=writer_client, **options)
    await source.start()
    await sink.start()
    reader = reading(source)
    times_ns = [1_700_000_000_000_000_000 + n * 1_000_000 for n in range(300)]
    metadata = [
        Metadata(timestamp_ns=time_ns, key=b"%d" % (time_ns % 7), headers=(("h", b"\x00"),))
        for time_ns in times_ns
    ]
    await sink.write(Batch(list(range(300)), metadata))
    await reader.until(300)
    await source.stop()
    await sink.stop()
    await reader.end()
    found = {
        record.value: record.metadata for batch in reader.batches for record in batch.records()
    }
    assert sorted(found) == list(range(300))  # type: ignore[type-var]
    for number, sent in enumerate(metadata):
        assert (found[number].timestamp_ns, found[number].key) == (sent.timestamp_ns, sent.key)
        assert ("h", b"\x00") in found[number].headers


@pytest.mark.usefixtures("coordinator")
async def test_members_with_either_client_share_a_group_and_lose_nothing(
    kafka: Harness, reading: type[Reader]
) -> None:
    topic, group = kafka.topic(partitions=4), f"g-{uuid.uuid4().hex}"
    options: dict[str, Any] = {"group_id": group, "session_timeout_s": 6.0, "start": "earliest"}
    sources = [kafka.source(topic, "int64", client=client, **options) for client in CLIENTS]
    readers = []
    for source in sources:
        await source.start()
        readers.append(reading(source))
    async with asyncio.timeout(30):
        while [len(s._consumer.positions) for s in sources if s._consumer] != [2, 2]:
            await asyncio.sleep(0.05)
    for partition in range(4):
        values = [b"%d" % (10 * partition + n) for n in range(10)]
        await asyncio.to_thread(kafka.produce, topic, *values, partition=partition)
    shares = [set(await reader.until(20)) for reader in readers]
    assert shares[0] | shares[1] == set(range(40))
    # What one of them has committed the other goes on with.
    for batch in readers[0].batches:
        batch.acknowledgements[0].release()
    await sources[0].stop()
    await readers[0].end()
    async with asyncio.timeout(30):
        while not sources[1]._consumer or len(sources[1]._consumer.positions) != 4:
            assert not readers[1].task.done(), readers[1].task
            await asyncio.sleep(0.05)
    await asyncio.to_thread(kafka.produce, topic, b"100")
    assert shares[0].isdisjoint(await readers[1].until(21))
    await sources[1].stop()
    await readers[1].end()


@pytest.mark.parametrize("client", CLIENTS)
def test_no_library_of_the_extra_is_imported_before_its_exchange_starts(client: str) -> None:
    command = [sys.executable, "-c", BUILT, document(client)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "False\n", result.stderr


def test_a_client_that_is_not_installed_is_told_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "queueconnector_kafka.descriptors.find_spec",
        lambda name: None if name == "confluent_kafka" else find_spec(name),
    )
    configuration = tmp_path / "night.json"
    configuration.write_text(document("aiokafka"))
    assert check(str(configuration)) == 0
    configuration.write_text(document("confluent"))
    assert check(str(configuration)) == 2
    told = " ".join(capsys.readouterr().out.split())
    assert "exchanges[0].source.client: found 'confluent', which is not installed" in told
    assert "pip install 'queueconnector-kafka[confluent]'" in told
