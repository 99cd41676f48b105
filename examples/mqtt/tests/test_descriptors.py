"""What a user may write, and what is refused before anything is connected."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from queueconnector_core.component import Services
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import read_plan
from queueconnector_core.registry import Registry

SOURCE = {"type": "MqttSource", "host": "localhost", "topic_filter": "a/+"}
SINK = {"type": "MqttSink", "host": "localhost", "topic": "b"}


def problems(registry: Registry, **changed: Any) -> dict[str, str]:
    """What is wrong, by place; options begin with the end that they belong to."""
    ends: dict[str, dict[str, Any]] = {"source": dict(SOURCE), "sink": dict(SINK)}
    exchange: dict[str, Any] = {"dtype": changed.pop("dtype", "float64")}
    for name, value in changed.items():
        end, _, option = name.partition("_")
        ends[end][option] = value
    try:
        read_plan(json.dumps({"exchanges": [exchange | ends]}), registry, Services())
    except ConfigError as error:
        found = {problem.path: problem.message for problem in error.problems}
        return {path.removeprefix("exchanges[0]."): text for path, text in found.items()}
    return {}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"source_topic_filter": ["a/#", "b/+/c"], "source_qos": 0, "source_key_level": -1},
        {"source_session_expiry_s": 60, "source_client_id": "c", "source_receive_maximum": 10},
        {"source_shared_subscription": "g", "source_retain_handling": "ignore"},
        {"source_protocol": "3.1.1", "sink_protocol": "3.1.1", "sink_qos": 2},
        {"sink_topic": "b/{key}", "sink_retain": True, "sink_headers": "provenance"},
        {"sink_tls": {}, "sink_user": "u", "sink_password_env": "SECRET"},
        {"sink_will": {"topic": "gone", "payload": "x", "qos": 1, "retain": True, "delay_s": 5}},
        {"sink_host": "::1", "sink_port": 1, "source_host": "broker.example"},
        {"dtype": "bytes", "source_encoding": "any-label", "sink_encoding": "any-label"},
    ],
)
def test_configurations_of_real_users_are_accepted(
    registry: Registry, options: dict[str, Any]
) -> None:
    assert problems(registry, **options) == {}


@pytest.mark.parametrize(
    ("options", "place", "text"),
    [
        ({"source_topic_filter": "a/#/b"}, "source.topic_filter", "#"),
        ({"source_topic_filter": ["a", "b+"]}, "source.topic_filter[1]", "wildcard|\\+"),
        ({"source_topic_filter": []}, "source.topic_filter", ""),
        ({"source_topic_filter": "$share/g/a"}, "source.topic_filter", "shared_subscription"),
        ({"sink_topic": "a/+"}, "sink.topic", "wildcards"),
        ({"sink_topic": "a/{level}"}, "sink.topic", "only placeholder"),
        ({"source_qos": 2}, "source.qos", "2"),
        ({"sink_qos": 3}, "sink.qos", "3"),
        ({"source_session_expiry_s": 1}, "source.client_id", "required"),
        (
            {"source_session_expiry_s": 1, "source_client_id": "c", "source_qos": 0},
            "source.qos",
            "session",
        ),
        ({"sink_headers": "record", "sink_protocol": "3.1.1"}, "sink.headers", "no effect"),
        ({"source_shared_subscription": "g/h"}, "source.shared_subscription", ""),
        (
            {"source_retain_handling": "send_if_new", "source_protocol": "3.1.1"},
            "source.retain_handling",
            "lacks",
        ),
        ({"sink_password_env": "SECRET"}, "sink.password_env", "user"),
        ({"sink_password": "secret"}, "sink.password", "password_env or password_file"),
        ({"sink_tls": {"key_file": "k"}}, "sink.tls.key_file", "cert_file"),
        ({"sink_will": {"topic": "a/#"}}, "sink.will.topic", ""),
        ({"source_host": "mqtt://localhost"}, "source.host", "scheme"),
        ({"source_host": "localhost:1883"}, "source.host", "port"),
        ({"source_port": 0}, "source.port", ""),
        ({"source_encoding": "carray", "dtype": "str"}, "source.encoding", "encodings for"),
        ({"source_keep_alive_s": 0}, "source.keep_alive_s", ""),
    ],
)
def test_what_cannot_work_is_refused_at_its_place(
    registry: Registry, options: dict[str, Any], place: str, text: str
) -> None:
    found = problems(registry, **options)

    assert list(found) == [place]
    assert re.search(text, found[place])


def test_all_problems_are_told_at_once(registry: Registry) -> None:
    found = problems(
        registry, source_session_expiry_s=1, source_qos=0, sink_topic="{x}", sink_encoding="npz"
    )

    assert set(found) == {"source.client_id", "source.qos", "sink.topic", "sink.encoding"}


def test_listing_the_plugin_imports_no_client() -> None:
    code = (
        "import sys, queueconnector_mqtt.plugin as p; list(p.queueconnector_components());"
        "print([m for m in sys.modules if m.startswith('paho')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
