"""What the README shows is executed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from queueconnector_core.component import Services
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import read_plan
from queueconnector_core.registry import Registry
from queueconnector_tango.host import AttributeHost

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Every plugin of the project."""
    return discover().registry


@pytest.fixture
def device() -> Services:
    """The services that the device server offers."""
    return Services({AttributeHost: object()})


def test_the_configuration_is_accepted(registry: Registry, device: Services) -> None:
    (text,) = blocks("json")

    plan = read_plan(text, registry, device)

    assert [exchange.name for exchange in plan.groups["default"]] == ["default[0]", "default[1]"]
    assert [claim.name for claim in plan.claims] == ["pointing_cal_ska001"]


def test_the_errors_are_those_that_it_gives(registry: Registry, device: Services) -> None:
    (text,) = blocks("json")
    misspelt = text.replace('"attribute_name": "pointing', '"atribute_name": "pointing')
    kafka_absent = registry.without("KafkaConsumerSource", "KafkaProducerSink")
    source = json.dumps(json.loads(text)["exchanges"][0]["source"])
    second = json.dumps({"exchanges": [json.loads(text)["exchanges"][1]] * 2})
    swapped = second.replace(json.dumps(json.loads(second)["exchanges"][0]["source"]), source)

    with pytest.raises(ConfigError) as unknown_option:
        read_plan(misspelt, registry, device)
    with pytest.raises(ConfigError) as unknown_type:
        read_plan(swapped, kafka_absent, device)

    shown = next(block for block in blocks("") if "did you mean" in block).splitlines()
    assert shown[0] in str(unknown_option.value).splitlines()
    assert shown[1] in str(unknown_type.value).splitlines()


async def test_the_plugin_prints(registry: Registry, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = blocks("python")
    plugin = types.ModuleType("my_module")
    exec(compile(source, "README.md", "exec"), plugin.__dict__)  # noqa: S102 - our own README
    connector = Connector(registry.with_(plugin.queueconnector_components()))
    exchange = {
        "source": {"type": "InMemorySource", "data": ["Hello", "world!"]},
        "sink": {"type": "PrintSink"},
    }

    await connector.configure(json.dumps({"exchanges": [exchange]}))
    await connector.start()
    async with asyncio.timeout(10):
        await connector.settled()

    assert capsys.readouterr().out == "Hello\nworld!\n"


def test_what_was_lost_is_told_as_it_says(tmp_path: Path) -> None:
    (commands,) = [text for text in blocks("sh") if "dlq list" in text]
    small = {"type": "FileSink", "path": str(tmp_path / "values.jsonl"), "max_bytes": 1}
    letters = {"type": "FileSink", "path": str(tmp_path / "letters.jsonl")}
    exchange = {
        "dtype": "int64",
        "source": {"type": "InMemorySource", "data": [1, 2]},
        "sink": small,
        "errors": {"action": "dead_letter", "dead_letters": letters},
    }
    (tmp_path / "configuration.json").write_text(json.dumps({"exchanges": [exchange]}))
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    run = subprocess.run(
        ["bash", "-euc", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": here},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "dead_lettered=2" in run.stderr
    assert "sink" in run.stdout
