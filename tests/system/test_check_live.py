"""`check --connect` asks real far ends, names what is wrong there, and leaves no trace."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from devservices.etcd import EtcdServer
from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from devservices.tango import TangoTest
from queueconnector_core.cli.check import check_files
from queueconnector_core.cli.checking import Checked
from queueconnector_core.registry import Registry
from tests.config.faulty import FAULTY_LIVE, Faulty
from write_schema import standard_registry

TRIPLES = "check-triples"
MISSING = "check-missing"
TIMEOUT_S = 4.0


@pytest.fixture(scope="module")
def registry() -> Registry:
    return standard_registry()


@pytest.fixture(scope="module")
def admin(kafka_broker: KafkaBroker) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_broker.bootstrap})


@pytest.fixture(scope="module")
def triples(kafka_broker: KafkaBroker, admin: AdminClient) -> str:
    """A topic of two partitions whose last record is three fractions in JSON."""
    admin.create_topics([NewTopic(TRIPLES, 2, 1)])[TRIPLES].result()
    wait_until(lambda: kafka_broker.admin.partitions(TRIPLES) == 2, 20, "leaders of partitions")
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap})
    producer.produce(TRIPLES, b"[0.5, 1.5, 2.5]", partition=1)
    assert producer.flush(20) == 0
    return TRIPLES


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The address of somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def closed() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def names(
    kafka_broker: KafkaBroker,
    triples: str,
    silent: str,
    closed: str,
    tango_test: TangoTest,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """What stands for the names in the faulty configurations."""
    nowhere = str(tmp_path_factory.mktemp("check") / "nowhere")
    return {
        "BROKER": kafka_broker.bootstrap,
        "TRIPLES": triples,
        "MISSING": MISSING,
        "SILENT": silent,
        "CLOSED": closed,
        "DEVICE": tango_test.trl(),
        "AWAY": f"tango://{closed}/a/b/c#dbase=no",
        "NOWHERE": nowhere,
        "NOWHERE/out.jsonl": f"{nowhere}/out.jsonl",
    }


def asked(path: Path, text: str, registry: Registry) -> Checked:
    path.write_text(text)
    (checked,) = check_files([str(path)], (), registry, TIMEOUT_S).values()
    return checked


@pytest.mark.parametrize("faulty", FAULTY_LIVE, ids=str)
def test_what_only_the_far_end_knows_is_told_at_its_place(
    faulty: Faulty, names: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    began = time.monotonic()
    checked = asked(tmp_path / "x.json", faulty.of(names).text, registry)

    told = {(found.place and found.place.line, found.path) for found in checked.errors}
    assert told == {(fault.line, fault.path) for fault in faulty.faults}, checked.errors
    for fault in faulty.faults:
        messages = [found.message for found in checked.errors if found.path == fault.path]
        assert any(fault.words in message for message in messages), messages
    assert time.monotonic() - began < 2 * TIMEOUT_S + 2


def exchange(source: dict[str, Any], sink: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"source": source, "sink": sink, **options}


def test_nothing_is_told_where_all_is_there(
    names: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    kafka = {"servers": names["BROKER"], "topic": TRIPLES, "encoding": "json"}
    tango = {"device_name": names["DEVICE"]}
    memory = {"type": "InMemorySource", "data": []}
    kept = {"type": "FileSink", "path": str(tmp_path / "kept.jsonl")}
    document = {
        "exchanges": [
            exchange(
                {"type": "KafkaConsumerSource", **kafka, "group_id": "check-group"},
                {"type": "KafkaProducerSink", **kafka, "partition": 1},
                dtype="float64",
                shape=[3],
            ),
            exchange(
                {"type": "TangoSubscriptionSource", **tango, "attribute_name": "double_scalar"},
                kept,
                dtype="float64",
            ),
            exchange(
                {"type": "TangoSubscriptionSource", **tango, "attribute_name": "short_image"},
                {"type": "InMemorySink", "key": "k"},
                dtype="int64",
                shape=[-1, 251],
            ),
            exchange(
                memory,
                {"type": "TangoRemoteAttributeSink", **tango, "attribute_name": "double_scalar"},
                dtype="float64",
            ),
        ]
    }

    checked = asked(tmp_path / "x.json", json.dumps(document), registry)

    assert [found for found in checked.errors if "short_image" not in found.message] == []
    assert not (tmp_path / "kept.jsonl").exists()


def test_nobody_notices_that_somebody_has_asked(
    names: dict[str, str], registry: Registry, admin: AdminClient, tmp_path: Path
) -> None:
    kafka = {"type": "KafkaConsumerSource", "servers": names["BROKER"], "group_id": "check-none"}
    sink = {"type": "KafkaProducerSink", "servers": names["BROKER"], "topic": "check-never"}
    document = {
        "exchanges": [exchange({**kafka, "topic": each}, sink) for each in (TRIPLES, "check-not")]
    }

    asked(tmp_path / "x.json", json.dumps(document), registry)

    topics = admin.list_topics(timeout=20).topics
    assert not {"check-never", "check-not", MISSING} & set(topics)
    groups = [group.group_id for group in admin.list_consumer_groups().result().valid]
    assert not {"check-none", "check-group"} & set(groups)


def test_many_far_ends_that_are_away_are_asked_at_once(
    silent: str, registry: Registry, tmp_path: Path
) -> None:
    kafka = {"type": "KafkaConsumerSource", "servers": silent, "topic": "t"}
    sink = {"type": "InMemorySink", "key": "k"}
    document = {"exchanges": [exchange(kafka, sink) for _ in range(20)]}
    began = time.monotonic()

    checked = asked(tmp_path / "x.json", json.dumps(document), registry)

    assert len(checked.errors) == 20
    assert time.monotonic() - began < 2 * TIMEOUT_S + 2


@pytest.mark.parametrize("away", [False, True])
def test_a_configuration_database_is_asked(
    away: bool, closed: str, etcd_server: EtcdServer, registry: Registry
) -> None:
    server = f"http://{closed}" if away else etcd_server.url
    source = {"type": "EtcdConfigSource", "servers": server, "path": "/check"}

    (checked,) = check_files((), [json.dumps(source)], registry, TIMEOUT_S).values()

    assert [found.path for found in checked.errors] == (["servers"] if away else [])
