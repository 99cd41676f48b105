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
from queueconnector_core.schema import json_schema
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
        ("timestamp_options", [], "allowed: an object or null"),
        ("timestamp_options.keys", {"keys": "t"}, "did you mean 'key'"),
        ("timestamp_options.key", {"key": 5}, "allowed: text or null"),
        ("timestamp_options.reducer", {"reducer": "median"}, "mean"),
        ("timestamp_options.slices", {"slices": 0}, "a list"),
        ("timestamp_options.slices[1]", {"slices": [0, "1"]}, "an integer or a list"),
        ("timestamp_options.slices[0]", {"slices": [1.5]}, "an integer or a list"),
        ("timestamp_options.slices[0]", {"slices": [True]}, "an integer or a list"),
        ("timestamp_options.slices[0]", {"slices": [[0, 1]]}, "at least 3"),
        ("timestamp_options.slices[0]", {"slices": [[0, 1, 1, 1]]}, "at most 3"),
        ("timestamp_options.slices[0][2]", {"slices": [[0, 1, "1"]]}, "an integer or null"),
        ("timestamp_options.slices[0][2]", {"slices": [[0, 1, 0]]}, "a step is not zero"),
    ],
)
def test_a_wrong_option_of_the_sink_alone(
    registry: Registry, option: str, value: Any, answer: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        planned(registry, "sink", **{option.split(".", 1)[0]: value})
    told = {problem.path: problem.message for problem in refused.value.problems}
    assert answer in told.pop(f"exchanges[0].sink.{option}")
    # That text is no time is told as well.
    assert set(told) <= {"exchanges[0].sink.timestamp_options"}


ROW = [["name", "U8"], ["time", "datetime64[ns]"], ["track", "float64", [3]], ["good", "bool"]]


@pytest.mark.parametrize(
    ("dtype", "shape", "options"),
    [
        ("int64", [], {}),
        ("float32", [], {"reducer": "mean"}),
        ("datetime64[us]", [], {}),
        ("int64", [1, 1], {}),
        ("int64", [3, 4], {"slices": [0, -4]}),
        ("int64", [3, 4], {"slices": [2.0, [3, None, None]]}),
        ("int64", [3, 4], {"slices": [[None, None, 2], 0], "reducer": "min"}),
        ("int64", [3, 4], {"reducer": "max"}),
        ("int64", [-1], {}),
        ("int64", [-1, 4], {"slices": [7, 0]}),
        ("int64", [-1], {"slices": [[0, 9, 1]]}),
        (ROW, [], {"key": "time"}),
        (ROW, [64], {"key": "time", "slices": [0]}),
        (ROW, [-1], {"key": "time", "reducer": "max"}),
        (ROW, [], {"key": "track", "slices": [0]}),
        (ROW, [64], {"key": "track", "slices": [0, 2]}),
        ("object", [], {}),
        ("object", [], {"key": "time", "slices": [0, [0, 1, 1]]}),
    ],
)
def test_time_stamps_can_stand_in(
    registry: Registry, dtype: Any, shape: list[int], options: dict[str, Any]
) -> None:
    exchange = {"dtype": dtype, "shape": shape}
    plan = planned(registry, "sink", exchange, timestamp_options=options)
    descriptor = plan.groups["default"][0].sinks[0].descriptor
    assert isinstance(descriptor, KafkaProducerSinkDescriptor)
    found = descriptor.timestamp_options
    assert found is not None
    assert (found.key, found.reducer) == (options.get("key"), options.get("reducer"))
    assert json.loads(json.dumps(found.slices)) == options.get("slices", [])


@pytest.mark.parametrize(
    ("dtype", "shape", "options", "path", "answer"),
    [
        ("str", [], {}, "", "dtype str is no time; allowed: integers and floats"),
        ("bytes", [], {}, "", "dtype bytes is no time"),
        ("bool", [2], {"slices": [0]}, "", "dtype bool is no time"),
        ("complex128", [], {}, "", "dtype complex128 is no time"),
        ("int64", [], {"key": "time"}, ".key", "found 'time', but dtype int64 has no fields"),
        ("str", [], {"key": "time"}, ".key", "has no fields"),
        (ROW, [], {}, ".key", "allowed: name, time, track, good"),
        (ROW, [], {"key": "tine"}, ".key", "did you mean 'time'?"),
        (ROW, [], {"key": "name"}, ".key", "dtype U8 is no time"),
        (ROW, [], {"key": "good"}, ".key", "dtype bool is no time"),
        ([["in", ROW]], [], {"key": "in"}, ".key", "is no time"),
        ("int64", [], {"slices": [0]}, ".slices", "found 1, shape [] has 0 dimensions"),
        ("int64", [3, 4], {"slices": [0]}, ".slices", "found 1, shape [3, 4] has 2"),
        (ROW, [64], {"key": "track", "slices": [0]}, ".slices", "shape [64, 3]"),
        ("int64", [3, 4], {"slices": [3, 0]}, ".slices[0]", "found 3; the dimension has the size"),
        ("int64", [3, 4], {"slices": [0, -5]}, ".slices[1]", "found -5"),
        ("int64", [3], {"slices": [[3, None, None]]}, ".slices[0]", "leaves nothing"),
        ("int64", [0], {"reducer": "max"}, ".slices", "leaves nothing"),
        ("int64", [3, 4], {}, ".reducer", "12 times are left"),
        ("int64", [3, 4], {"slices": [0, [0, 2, 1]]}, ".reducer", "2 times are left"),
        ("int64", [-1, 4], {"slices": [[0, 1, 1], [0, 3, 1]]}, ".reducer", "3 times are left"),
        (ROW, [], {"key": "track"}, ".reducer", "3 times are left"),
        ("object", [], {"slices": [[0, 0, 0]]}, ".slices[0][2]", "not zero"),
    ],
)
def test_time_stamps_that_no_value_has_are_refused(
    registry: Registry,
    dtype: Any,
    shape: list[int],
    options: dict[str, Any],
    path: str,
    answer: str,
) -> None:
    exchange = {"dtype": dtype, "shape": shape}
    with pytest.raises(ConfigError) as refused:
        planned(registry, "sink", exchange, timestamp_options=options)
    (problem,) = refused.value.problems
    assert problem.path == f"exchanges[0].sink.timestamp_options{path}"
    assert answer in problem.message


def test_all_wrong_slices_and_a_wrong_encoding_are_told_at_once(registry: Registry) -> None:
    exchange = {"dtype": "int64", "shape": [3, 4]}
    options = {"slices": [3, 4]}
    with pytest.raises(ConfigError) as refused:
        planned(registry, "sink", exchange, encoding="utf-8", timestamp_options=options)
    assert [
        problem.path.removeprefix("exchanges[0].sink.") for problem in refused.value.problems
    ] == [
        "encoding",
        "timestamp_options.slices[0]",
        "timestamp_options.slices[1]",
    ]


def test_time_stamps_follow_the_pipe(registry: Registry) -> None:
    window = {"dtype": ROW, "pipe": {"type": "BufferWithTimePipe", "timespan": 1}}
    planned(registry, "sink", window, timestamp_options={"key": "time", "reducer": "max"})
    planned(registry, "sink", window, timestamp_options={"key": "time", "slices": [-1]})
    with pytest.raises(ConfigError, match=r"found 2, shape \[-1\] has 1 dimensions"):
        planned(registry, "sink", window, timestamp_options={"key": "time", "slices": [-1, 0]})


def test_the_schema_knows_the_options_of_time_stamps(registry: Registry) -> None:
    schema = json_schema(registry)["$defs"]["TimestampOptions"]
    properties = schema["properties"]
    index, bounds = properties["slices"]["items"]["anyOf"]
    assert index == {"type": "integer"}
    assert (bounds["type"], bounds["minItems"], bounds["maxItems"]) == ("array", 3, 3)
    assert bounds["items"] == {"type": ["integer", "null"]}
    assert properties["key"]["type"] == ["string", "null"]
    assert {"enum": ["min", "max", "mean"]} in properties["reducer"]["anyOf"]
    defaults = {name: option["default"] for name, option in properties.items()}
    assert json.loads(json.dumps(defaults)) == {"slices": [], "key": None, "reducer": None}
    assert schema["additionalProperties"] is False


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


USELESS = "has no effect with protocol {}; allowed: {}"
TLS = {"protocol": "SSL", "ca_file": "ca.pem"}
LOGIN = {
    "protocol": "SASL_SSL",
    "mechanism": "SCRAM-SHA-512",
    "user": "me",
    "password_file": "/run/secrets/kafka",
}


@pytest.mark.parametrize("end", ["source", "sink"])
@pytest.mark.parametrize(
    "security",
    [
        None,
        {"protocol": "PLAINTEXT"},
        TLS,
        TLS | {"cert_file": "c", "key_file": "k", "key_password_env": "P"},
        TLS | {"check_hostname": False, "tls_strict": False},
        LOGIN,
        LOGIN | {"protocol": "SASL_PLAINTEXT", "mechanism": "PLAIN"},
    ],
)
def test_security_goes_together(registry: Registry, end: str, security: Any) -> None:
    assert planned(registry, end, security=security).groups


@pytest.mark.parametrize("end", ["source", "sink"])
@pytest.mark.parametrize(
    ("security", "answers"),
    [
        ({}, {"protocol": "is required"}),
        ({"protocol": "TLS"}, {"protocol": "SASL_SSL"}),
        (LOGIN | {"password": "x"}, {"password": "password_env or password_file say where"}),
        (TLS | {"key_password": "x"}, {"key_password": "key_password_env or key_password_file"}),
        (LOGIN | {"mechanism": "GSSAPI"}, {"mechanism": "SCRAM-SHA-256"}),
        (LOGIN | {"password_env": "P"}, {"password_file": "password_env is there too"}),
        (LOGIN | {"user": ""}, {"user": "at least 1"}),
        (
            {"protocol": "SASL_SSL"},
            {
                "mechanism": "is required with protocol SASL_SSL",
                "user": "is required with protocol SASL_SSL",
                "password_env": "is required, or password_file",
            },
        ),
        (
            LOGIN | {"protocol": "SSL"},
            dict.fromkeys(
                ("mechanism", "user", "password_file"),
                USELESS.format("SSL", "SASL_PLAINTEXT, SASL_SSL"),
            ),
        ),
        (
            TLS | {"protocol": "PLAINTEXT", "check_hostname": False},
            dict.fromkeys(
                ("ca_file", "check_hostname"),
                USELESS.format("PLAINTEXT", "SSL, SASL_SSL"),
            ),
        ),
        (TLS | {"key_file": "k"}, {"key_file": "needs the certificate too: cert_file"}),
        (
            TLS | {"cert_file": "c", "key_password_env": "A", "key_password_file": "b"},
            {"key_password_file": "key_password_env is there too"},
        ),
    ],
)
def test_security_that_does_not_go_together_is_refused_at_each_path(
    registry: Registry, end: str, security: Any, answers: dict[str, str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        planned(registry, end, security=security)
    found = {problem.path: problem.message for problem in refused.value.problems}
    assert found.keys() == {f"exchanges[0].{end}.security.{name}" for name in answers}
    for name, answer in answers.items():
        assert answer in found[f"exchanges[0].{end}.security.{name}"]
