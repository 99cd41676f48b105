"""`test` runs an exchange as it is configured, and tells each difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from queueconnector_core.cli.trial import run_tests, trial
from queueconnector_core.errors import ConfigError
from write_schema import standard_registry

REGISTRY = standard_registry()
KAFKA = {"servers": "nowhere:1", "topic": "t"}
EXCHANGE: dict[str, Any] = {
    "dtype": "float64",
    "source": {"type": "KafkaConsumerSource", **KAFKA, "encoding": "json"},
    "sink": {"type": "KafkaProducerSink", **KAFKA, "encoding": "npy"},
}


@pytest.fixture
def tried(tmp_path: Path) -> Any:
    """Runs one case and gives its differences."""

    def run(case: dict[str, Any], *exchanges: dict[str, Any], **changes: Any) -> tuple[str, ...]:
        config, tests = tmp_path / "c.json", tmp_path / "c.test.json"
        config.write_text(json.dumps({"exchanges": list(exchanges) or [EXCHANGE | changes]}))
        tests.write_text(json.dumps([{"name": "x", **case}]))
        (outcome,) = run_tests(str(config), str(tests), REGISTRY)
        return outcome.differences

    return run


@pytest.mark.parametrize(
    ("case", "differences"),
    [
        ({"inputs": [{"value": 1.5}], "outputs": {"sink": [{"value": 1.5}]}}, []),
        ({"inputs": [{"text": "1.5"}], "outputs": {"sink": [{"value": 1.5}]}}, []),
        ({"inputs": [{"value": 1.5}], "outputs": {}}, []),
        (
            {"inputs": [{"value": 1.5}], "outputs": {"sink": [{"value": 2}]}},
            ["sink, record 0: expected {'value': 2.0}, got {'value': 1.5}"],
        ),
        (
            {"inputs": [{"value": 1}], "outputs": {"sink": []}},
            ["sink, record 0: expected nothing, got {'value': 1.0}"],
        ),
        (
            {"inputs": [], "outputs": {"sink": [{"value": 1}]}},
            ["sink, record 0: expected {'value': 1.0}, got nothing"],
        ),
        ({"inputs": [{"value": "NaN"}], "outputs": {"sink": [{"value": "NaN"}]}}, []),
        (
            {"inputs": [{"text": "x"}], "outputs": {"sink": []}},
            ["failure 0: expected nothing, got source: found no JSON: "],
        ),
        ({"inputs": [{"text": "x"}], "failures": [{"stage": "source", "message": "no JSON"}]}, []),
        (
            {"inputs": [{"text": "x"}], "failures": [{"stage": "sink"}]},
            ["failure 0: expected sink: '', got source: found no JSON"],
        ),
        (
            {"inputs": [{"value": 1}], "failures": [{"message": "boom"}]},
            ["failure 0: expected 'boom', got nothing"],
        ),
        (
            {"inputs": [{"value": 1}], "outputs": {"sink": [{"value": 1.001}]}, "tolerance": 0.01},
            [],
        ),
        (
            {
                "inputs": [
                    {"value": 1, "key": "k", "headers": {"a": "b", "c": "d"},
                     "timestamp": "2026-01-31T12:00:00Z"},
                ],
                "outputs": {"sink": [
                    {"value": 1, "key": "k", "headers": {"a": "b"},
                     "timestamp": "2026-01-31T12:00:00Z"},
                ]},
            },
            [],
        ),
        (
            {"inputs": [{"value": 1, "key": "k"}], "outputs": {"sink": [{"value": 1, "key": "l"}]}},
            ["sink, record 0: expected {'value': 1.0, 'key': 'l'}, got {'value': 1.0, 'key': 'k'}"],
        ),
        ({"inputs": [{"value": 1}], "fault": "x"}, ["fault: expected 'x', got 'none'"]),
    ],
)  # fmt: skip
def test_a_difference_is_told_and_nothing_else(
    tried: Any, case: dict[str, Any], differences: list[str]
) -> None:
    found = tried({"inputs": [], **case})
    assert len(found) == len(differences)
    assert all(one.startswith(start) for one, start in zip(found, differences, strict=True)), found


def test_pipes_and_several_sinks_are_the_real_ones(tried: Any) -> None:
    case = {
        "inputs": [{"value": n} for n in (1, 2, 3)],
        "outputs": {
            "sink[0]": [{"value": [1, 2]}, {"value": [3]}],
            "sink[1]": [{"text": "[1.0,2.0]"}, {"text": "[3.0]"}],
        },
    }
    pipe = {"type": "BufferWithTimePipe", "timespan": 3600, "max_records": 2}
    sinks = [{"type": "InMemorySink", "key": "k"}, EXCHANGE["sink"] | {"encoding": "json"}]
    assert tried(case, pipe=pipe, sink=sinks) == ()


def test_what_an_encoding_refuses_fails_at_its_sink(tried: Any) -> None:
    exchange = EXCHANGE | {
        "dtype": "str",
        "source": {"type": "InMemorySource", "data": []},
        "sink": EXCHANGE["sink"] | {"encoding": "ascii"},
    }
    case = {
        "inputs": [{"value": "grün"}, {"value": "blau"}],
        "outputs": {"sink": [{"text": "blau"}]},
        "failures": [{"stage": "sink", "message": "ascii"}],
    }
    assert tried(case, exchange) == ()


def test_a_policy_to_fail_is_a_fault(tried: Any) -> None:
    case = {"inputs": [{"text": "x"}], "failures": [{}], "fault": "errors.action is fail"}
    assert tried(case, errors={"action": "fail"}) == ()


def test_attributes_of_the_device_are_sinks_like_others(tried: Any) -> None:
    sink = {"type": "TangoLocalAttributeSink", "attribute_name": "a"}
    assert tried({"inputs": [{"value": 1}], "outputs": {"sink": [{"value": 1}]}}, sink=sink) == ()


@pytest.mark.parametrize(
    ("case", "path"),
    [
        ({"exchange": "other[0]"}, "[0].exchange"),
        ({"outputs": {"sink[3]": []}}, "[0].outputs.sink[3]"),
        ({"outputs": {"sink": [{"value": "one"}]}}, "[0].outputs.sink[0].value"),
        ({"inputs": [{"octets": "?"}]}, "[0].inputs[0].octets"),
        ({"inputs": [{"octets": "", "text": ""}]}, "[0].inputs[0].octets"),
        ({"inputs": [{"value": 1, "source": 1}]}, "[0].inputs[0].source"),
        ({"inputs": [{"value": 1, "timestamp": "noon"}]}, "[0].inputs[0].timestamp"),
        ({"inptus": []}, "[0].inptus"),
    ],
)
def test_a_test_that_cannot_be_run_is_told_at_its_place(
    tried: Any, case: dict[str, Any], path: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        tried({"inputs": [], **case})
    assert f"c.test.json: {path}: " in str(refused.value)


def test_exit_codes_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.json"
    config.write_text(json.dumps({"exchanges": [EXCHANGE]}))
    cases = [
        {"name": "good", "inputs": [{"value": 1}], "outputs": {"sink": [{"value": 1}]}},
        {"name": "bad", "inputs": [{"value": 1}], "outputs": {"sink": []}},
    ]
    assert trial([str(config)]) == 2
    (tmp_path / "c.test.json").write_text(json.dumps(cases))
    assert trial([str(config)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 1 failed"
    assert trial([str(config)], only="good") == 0
    assert trial([str(config)], only="nothing") == 2
    capsys.readouterr()
    assert trial([str(config)], as_json=True) == 1
    assert [row["passed"] for row in json.loads(capsys.readouterr().out)] == [True, False]
