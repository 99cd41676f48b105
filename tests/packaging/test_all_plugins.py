"""All plugins of the project installed together: what is listed, and what is not imported."""

from __future__ import annotations

import json

import pytest

from tests.packaging.environment import Environment

PLUGINS = ["core", "memory", "kafka", "tango", "sdp"]

IN_MEMORY = {
    "source": {"type": "InMemorySource", "data": ["a"]},
    "sink": {"type": "InMemorySink", "key": "texts"},
}
BRIDGE = {
    "dtype": "float64",
    "source": {"type": "KafkaConsumerSource", "servers": "localhost:9092", "topic": "t"},
    "sink": {"type": "TangoLocalAttributeSink", "attribute_name": "x"},
}

NO_TRANSPORT = """
import sys
assert not {"tango", "aiokafka", "aiohttp"} & set(sys.modules), "a transport was imported"
"""


def imported_by(environment: Environment, *arguments: str) -> set[str]:
    """The top-level names that the command line imports on its way."""
    script = environment.command("queueconnector")
    done = environment.run("python", "-X", "importtime", script, *arguments)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.split("|")[2].strip().split(".")[0] for line in lines}


def test_all_transports_are_there(everything: Environment) -> None:
    everything.python("import tango, aiokafka, aiohttp")


def test_list_imports_every_plugin_and_no_transport(everything: Environment) -> None:
    imported = imported_by(everything, "list")

    assert {f"queueconnector_{name}" for name in PLUGINS} <= imported
    assert not {"tango", "aiokafka", "aiohttp"} & imported


def test_running_a_configuration_imports_no_transport_that_it_does_not_use(
    everything: Environment,
) -> None:
    config = everything.write("memory.json", json.dumps({"exchanges": [IN_MEMORY]}))

    assert not {"tango", "aiokafka", "aiohttp"} & imported_by(everything, "run", config)


@pytest.mark.parametrize("name", PLUGINS)
def test_the_module_of_a_plugin_imports_no_transport(everything: Environment, name: str) -> None:
    everything.python(f"import queueconnector_{name}.plugin{NO_TRANSPORT}")


def test_reading_even_a_bridge_imports_no_transport(everything: Environment) -> None:
    everything.python(f"""
from queueconnector_core.discovery import discover
from queueconnector_core.structure import structure
read = structure({{"exchanges": [{BRIDGE}]}}, discover().registry)
assert type(read.exchanges[0].source[0]).__name__ == "KafkaConsumerSourceDescriptor"
{NO_TRANSPORT}""")


def test_a_sink_that_needs_a_device_is_refused_in_a_terminal(everything: Environment) -> None:
    done = everything.run("queueconnector", "run", "-", stdin=json.dumps({"exchanges": [BRIDGE]}))

    assert done.returncode == 2
    assert "exchanges[0].sink" in done.stderr
    assert "AttributeHost" in done.stderr


def test_the_hints_for_installing_name_exactly_the_types_of_our_plugins(
    everything: Environment,
) -> None:
    hints = json.loads(
        everything.python(
            "from importlib.resources import files\n"
            "print(files('queueconnector_core').joinpath('install_hints.json').read_text())"
        )
    )
    listed = json.loads(everything.run("queueconnector", "list", "--json").stdout)

    provided = {
        plugin["distribution"]: {
            name for found in plugin["types"] for name in (found["name"], *found["aliases"])
        }
        for plugin in listed
        if plugin["distribution"] in hints
    }
    # That of the configuration database is named before it is there.
    if "queueconnector-sdp" not in provided:
        del hints["queueconnector-sdp"]
    assert {distribution: set(names) for distribution, names in hints.items()} == provided


@pytest.mark.parametrize("kind", ["source", "sink"])
def test_every_type_says_what_it_guarantees(everything: Environment, kind: str) -> None:
    listed = json.loads(everything.run("queueconnector", "list", "--json").stdout)

    found = {t["guarantee"] for plugin in listed for t in plugin["types"] if t["kind"] == kind}
    assert found <= {"at most once", "at least once"}
