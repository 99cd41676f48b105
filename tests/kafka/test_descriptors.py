"""What a user may write for the Kafka ends, and what is answered to the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from queueconnector_core.component import ComponentKind, Guarantee, Services
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import Plan, read_plan
from queueconnector_core.registry import Registry
from queueconnector_kafka.descriptors import (
    KafkaConsumerSourceDescriptor,
    KafkaProducerSinkDescriptor,
)


def planned(
    registry: Registry, end: str, exchange: dict[str, Any] | None = None, **options: Any
) -> Plan:
    """A plan of one exchange between two topics, with `options` for one of its ends."""
    document = {
        "source": {"type": "KafkaConsumerSource", "servers": "kafka", "topic": "in"},
        "sink": {"type": "KafkaProducerSink", "servers": "kafka", "topic": "out"},
        **(exchange or {}),
    }
    document[end] |= options
    return read_plan(json.dumps({"exchanges": [document]}), registry, Services())


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ("kafka", ("kafka:9092",)),
        ("kafka:19092", ("kafka:19092",)),
        (["one", "two:1"], ("one:9092", "two:1")),
        ("one:1, two", ("one:1", "two:9092")),
        ("[::1]", ("[::1]:9092",)),
        ("[::1]:9093", ("[::1]:9093",)),
    ],
)
def test_servers_are_text_or_a_list_and_a_host_alone_gets_the_usual_port(
    registry: Registry, servers: object, expected: tuple[str, ...]
) -> None:
    plan = planned(registry, "source", servers=servers)
    descriptor = plan.groups["default"][0].sources[0].descriptor
    assert isinstance(descriptor, KafkaConsumerSourceDescriptor)
    assert descriptor.bootstrap == expected


@pytest.mark.parametrize("end", ["source", "sink"])
@pytest.mark.parametrize(
    ("option", "value", "answer"),
    [
        ("servers", [], "at least"),
        ("servers", "", "host:port"),
        ("servers", "kafka://broker:9092", "without a scheme"),
        ("servers", "broker:port", "host:port"),
        ("servers", "broker:70000", "host:port"),
        ("servers", "broker:0", "host:port"),
        ("servers", "one,,two", "host:port"),
        ("servers", 9092, "allowed: text"),
        ("topic", "", "1 to 249"),
        ("topic", "a topic", '"a topic"'),
        ("topic", "topic\n", "1 to 249"),
        ("topic", "..", "neither . nor .."),
        ("topic", "t" * 250, "at most 249"),
        ("encoding", "pyhton", "did you mean 'python'"),
        ("topics", "a", "did you mean 'topic'"),
    ],
)
def test_a_wrong_option_is_refused_at_its_path(
    registry: Registry, end: str, option: str, value: Any, answer: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        planned(registry, end, **{option: value})
    (problem,) = refused.value.problems
    assert problem.path == f"exchanges[0].{end}.{option}"
    assert answer in problem.message


@pytest.mark.parametrize(
    ("option", "value", "answer"),
    [
        ("message_max_bytes", 0, "at least 1"),
        ("message_max_bytes", 1.5, "an integer"),
        ("timestamp_options", {"key": "time"}, "not yet available"),
    ],
)
def test_a_wrong_option_of_the_sink_alone(
    registry: Registry, option: str, value: Any, answer: str
) -> None:
    with pytest.raises(ConfigError, match=rf"exchanges\[0\]\.sink\.{option}: .*{answer}"):
        planned(registry, "sink", **{option: value})


@pytest.mark.parametrize("value", [0, 5001])
def test_a_wrong_fetch_wait_of_the_source_is_refused(registry: Registry, value: int) -> None:
    with pytest.raises(ConfigError, match=r"exchanges\[0\]\.source\.fetch_max_wait_ms: "):
        planned(registry, "source", fetch_max_wait_ms=value)


@pytest.mark.parametrize("end", ["source", "sink"])
def test_an_encoding_that_cannot_carry_the_dtype_is_refused(registry: Registry, end: str) -> None:
    with pytest.raises(ConfigError) as refused:
        planned(registry, end, {"dtype": "object"}, encoding="npy")
    assert [problem.path for problem in refused.value.problems] == [f"exchanges[0].{end}.encoding"]


@pytest.mark.parametrize("encoding", [None, "any label", "python"])
def test_bytes_take_any_label_or_none(registry: Registry, encoding: str | None) -> None:
    plan = planned(registry, "sink", {"dtype": "bytes"}, encoding=encoding)
    descriptor = plan.groups["default"][0].sinks[0].descriptor
    assert isinstance(descriptor, KafkaProducerSinkDescriptor)
    assert descriptor.encoding == encoding


def test_the_guarantees_are_told(registry: Registry) -> None:
    source = registry.lookup(ComponentKind.SOURCE, "KafkaConsumerSource")
    sink = registry.lookup(ComponentKind.SINK, "KafkaProducerSink")
    assert source.guarantee is Guarantee.AT_MOST_ONCE
    assert sink.guarantee is Guarantee.AT_LEAST_ONCE


WITHOUT_AIOKAFKA = """
import sys
sys.modules["aiokafka"] = None  # any import of it fails
from queueconnector_core.component import Services
from queueconnector_core.discovery import discover
from queueconnector_core.plan import read_plan
report = discover()
assert not [plugin for plugin in report.broken if "kafka" in plugin.distribution], report.broken
plan = read_plan(sys.argv[1], report.registry, Services())
try:
    plan.groups["default"][0].build(report.registry, Services())
except ImportError:
    print("planned")
"""


def test_discovery_and_plans_do_without_aiokafka() -> None:
    document = {
        "source": {"type": "KafkaConsumerSource", "servers": "kafka", "topic": "in"},
        "sink": {"type": "KafkaProducerSink", "servers": "kafka", "topic": "out"},
    }
    command = [sys.executable, "-c", WITHOUT_AIOKAFKA, json.dumps({"exchanges": [document]})]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout == "planned\n", result.stderr
