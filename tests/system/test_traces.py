"""Traces from Kafka to Kafka, as a collector receives them over OTLP."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from confluent_kafka import Consumer, Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from devservices.kafka import KafkaBroker
from devservices.process import wait_until
from devservices.tango import TangoDeviceServer

COMMAND = str(Path(sys.executable).parent / "queueconnector")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"

Received: TypeAlias = "queue.SimpleQueue[ResourceSpans]"


@pytest.fixture
def collector() -> Iterator[tuple[str, Received]]:
    """The address of a receiver of OTLP over HTTP, and what it has received."""
    received: Received = queue.SimpleQueue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            octets = self.rfile.read(int(self.headers["Content-Length"]))
            for each in ExportTraceServiceRequest.FromString(octets).resource_spans:
                received.put(each)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def produce(broker: KafkaBroker, topic: str) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(topic, b"'x'", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert producer.flush(30) == 0


def headers_of_one(broker: KafkaBroker, topic: str) -> dict[str, bytes]:
    """The headers of the first message."""
    settings = {
        "bootstrap.servers": broker.bootstrap,
        "group.id": uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
    }
    consumer = Consumer(settings)
    try:
        consumer.subscribe([topic])
        message: Any = wait_until(lambda: consumer.poll(0.2), 60, f"a message in {topic}")
        assert message.error() is None
        return dict(message.headers() or ())
    finally:
        consumer.close()


@pytest.mark.parametrize("headers", ["record", "provenance"])
def test_a_trace_goes_on_from_topic_to_topic(
    kafka_broker: KafkaBroker, collector: tuple[str, Received], tmp_path: Path, headers: str
) -> None:
    endpoint, received = collector
    first, second = (f"traced-{uuid.uuid4().hex[:8]}" for _ in range(2))
    for topic in (first, second):
        kafka_broker.create_topic(topic)
    produce(kafka_broker, first)
    kafka = {"servers": kafka_broker.bootstrap, "encoding": "utf-8"}
    ends = {
        "source": {
            **kafka, "type": "KafkaConsumerSource", "topic": first,
            "start": "earliest", "until": "latest",
        },
        "sink": {**kafka, "type": "KafkaProducerSink", "topic": second, "headers": headers},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps({"exchanges": [ends]}))

    subprocess.run(
        [COMMAND, "run", "config.json"],
        cwd=tmp_path,
        env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"},
        timeout=90,
        check=True,
    )

    told = received.get(timeout=10)
    (span,) = told.scope_spans[0].spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert span.name == "exchange default[0]"
    assert [event.name for event in span.events] == ["sink"]
    assert span.start_time_unix_nano <= span.events[0].time_unix_nano <= span.end_time_unix_nano
    names = {each.key: each.value.string_value for each in told.resource.attributes}
    assert names["service.name"] == "queueconnector"

    found = headers_of_one(kafka_broker, second)
    assert found["traceparent"].decode() == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert ("ce_id" in found) == (headers == "provenance")


def test_a_device_tells_its_commands_by_tango_and_its_batches_by_itself(
    collector: tuple[str, Received],
) -> None:
    endpoint, received = collector
    name = "SDPQueueConnector"
    variables = {
        "TANGO_TELEMETRY_ENABLE": "on",
        "TANGO_TELEMETRY_TRACING_EXPORTERS": "http",
        "TANGO_TELEMETRY_TRACING_ENDPOINTS": f"{endpoint}/v1/traces",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    exchange = {
        "source": {"type": "InMemorySource", "data": ["x"]},
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "traced"},
    }
    command = [sys.executable, "-m", "queueconnector_tango.server"]
    names = set[str]()

    def told() -> bool:
        while not received.empty():
            spans = [each.spans for each in received.get().scope_spans]
            names.update(span.name for each in spans for span in each)
        return {"exchange default[0]", f"{name}.Configure"} <= names

    with TangoDeviceServer(
        command, name, "t", name, ["test/qc/1"], environment=variables
    ) as server:
        device = server.proxy()
        device.Configure(json.dumps({"exchanges": [exchange]}))
        device.Start()
        try:
            wait_until(told, 30, "the spans")
        except TimeoutError:
            raise AssertionError(names) from None


def test_a_collector_that_is_away_does_not_hold_anything_up(tmp_path: Path) -> None:
    ends = {
        "source": {"type": "InMemorySource", "data": ["x"] * 100},
        "sink": {"type": "InMemorySink", "key": "untraced"},
    }
    (tmp_path / "config.json").write_text(json.dumps({"exchanges": [ends]}))
    done = subprocess.run(
        [COMMAND, "run", "config.json", "--report", "report.json"],
        cwd=tmp_path,
        env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert "100" in json.dumps(report)
