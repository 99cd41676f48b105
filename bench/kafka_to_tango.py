"""Messages of a topic to the events of an attribute: the device beside the least one of its kind.

A client hears every event; broker, device and client share the machine: only ratios count.
"""

from __future__ import annotations

import json
import struct
import time
from typing import Final

import numpy as np
from confluent_kafka import Producer

from bench.children import child, cpu_of, device
from bench.least_device import SIZE
from bench.measure import Comparison, Measurement, Options, at_least, at_most, check_equal, compare
from devservices.kafka import KafkaBroker
from devservices.tango import TangoDeviceServer

__all__ = ("benchmark", "kafka_to_tango")

LEAST: Final = "least synchronous device"
DEVICE: Final = "SDPQueueConnector"
RECORDS: Final = {"scalar": 20_000, "spectrum": 8_000}


def benchmark(options: Options) -> list[Comparison]:
    """Numbers and spectra, which stand in the topic when reading begins."""
    with KafkaBroker() as broker:
        return [
            kafka_to_tango(broker, name, count, options.rounds) for name, count in RECORDS.items()
        ]


def kafka_to_tango(broker: KafkaBroker, attribute: str, records: int, rounds: int) -> Comparison:
    """From `Start` until the client has heard the last number; the processor time of the device."""
    topic = f"numbers-{attribute}-{records}"
    _fill(broker, topic, attribute, records)

    def measured(server: TangoDeviceServer) -> Measurement:
        pid = server.process.pid
        with child("counting_client", server.trl(), attribute, records) as client:
            client.told()
            begun, used_s = time.monotonic(), cpu_of(pid)
            server.proxy().Start()
            told = client.told()
            check_equal(told["wrong"], 0)
            return Measurement(records, told["ended"] - begun, cpu_of(pid) - used_s)

    def least() -> Measurement:
        given = {"TOPIC": topic, "SERVERS": broker.bootstrap, "ATTRIBUTE": attribute}
        with device("least_device", "Least", given) as server:
            return measured(server)

    def connector() -> Measurement:
        with device() as server:
            exchange = _exchange(broker.bootstrap, topic, attribute)
            server.proxy().Configure(json.dumps({"exchanges": [exchange]}))
            return measured(server)

    return compare(
        f"Kafka to Tango, {records:,} messages, {attribute}",
        ((LEAST, least), (DEVICE, connector)),
        rounds,
        (at_least(0.9, "rate", DEVICE, row=8), at_most(1.2, "cpu_us", DEVICE, row=8)),
    )


def _exchange(servers: str, topic: str, attribute: str) -> dict[str, object]:
    return {
        "dtype": "float64",
        "shape": [] if attribute == "scalar" else [SIZE],
        "source": {
            "type": "KafkaConsumerSource",
            "servers": servers,
            "topic": topic,
            "start": "earliest",
            "encoding": "carray",
        },
        "sink": {"type": "TangoLocalAttributeSink", "attribute_name": attribute},
    }


def _fill(broker: KafkaBroker, topic: str, attribute: str, records: int) -> None:
    """Numbers from 1 on; all elements of a spectrum are the same."""
    broker.create_topic(topic)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5})
    for number in range(1, records + 1):
        one = attribute == "scalar"
        value = struct.pack("<d", number) if one else np.full(SIZE, float(number)).tobytes()
        producer.produce(topic, value)
        producer.poll(0)
    producer.flush()
