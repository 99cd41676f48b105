"""Core and the memory plugin, installed alone: no Tango, no Kafka, no checkout."""

from __future__ import annotations

import json

import pytest

from tests.packaging.environment import Environment


def in_memory(count: int = 3, **options: object) -> dict[str, object]:
    return {
        "dtype": "int64",
        "source": {"type": "InMemorySource", "data": list(range(count)), **options},
        "sink": {"type": "InMemorySink", "key": "numbers"},
    }


def test_neither_tango_nor_aiokafka_nor_the_checkout_is_there(core_and_memory: Environment) -> None:
    found = core_and_memory.python(
        "import importlib.util, queueconnector_core, queueconnector_memory\n"
        "for name in ('tango', 'aiokafka', 'queueconnector_tango', 'queueconnector_kafka'):\n"
        "    assert importlib.util.find_spec(name) is None, name\n"
        "print(queueconnector_core.__file__)\n"
        "print(queueconnector_memory.__file__)\n"
    )

    assert all(line.startswith(str(core_and_memory.folder)) for line in found.splitlines())


def test_run_streams_an_exchange_to_its_end_and_says_the_counts(
    core_and_memory: Environment,
) -> None:
    config = core_and_memory.write("good.json", json.dumps({"exchanges": [in_memory(1234)]}))

    done = core_and_memory.run("queueconnector", "run", config)

    assert done.returncode == 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith("default[0] OFF received=1234 delivered=1234 dropped=0 in_flight=0")


def test_the_status_page_names_the_extra_that_it_needs(core_and_memory: Environment) -> None:
    config = core_and_memory.write("page.json", json.dumps({"exchanges": [in_memory()]}))

    done = core_and_memory.run("queueconnector", "run", config, "--web-port", "0")

    assert done.returncode == 2
    assert done.stderr == (
        "queueconnector: --web-port: it needs: pip install 'queueconnector-core[web]'\n"
    )


def test_run_reads_a_configuration_from_standard_input(core_and_memory: Environment) -> None:
    groups = {"one": [in_memory()], "two": [in_memory(5)]}

    done = core_and_memory.run(
        "queueconnector", "run", "-", stdin=json.dumps({"exchanges": groups})
    )

    assert done.returncode == 0
    assert "one[0] OFF received=3 delivered=3" in done.stderr
    assert "two[0] OFF received=5 delivered=5" in done.stderr


def test_a_type_of_a_plugin_that_is_missing_is_answered_with_how_to_install_it(
    core_and_memory: Environment,
) -> None:
    source = {"type": "KafkaConsumerSource", "servers": "localhost:9092", "topic": "t"}
    exchange = {**in_memory(), "source": source}
    config = core_and_memory.write("kafka.json", json.dumps({"exchanges": [exchange]}))

    done = core_and_memory.run("queueconnector", "run", config)

    assert done.returncode == 2
    assert "exchanges[0].source.type: unknown source type 'KafkaConsumerSource'" in done.stderr
    assert "pip install queueconnector-kafka" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"exchanges": [', "not valid JSON: Expecting value (line 1, column 16)"),
        (b"\xff\xfe{}", "cannot read"),
        ('{"exchange": []}', "exchange: unknown option, did you mean 'exchanges'?"),
        ("[]", "found []; allowed: an object"),
    ],
    ids=["malformed", "not UTF-8", "unknown option", "not an object"],
)
def test_a_configuration_that_cannot_be_used_is_refused_with_its_reason(
    core_and_memory: Environment, content: str | bytes, reason: str
) -> None:
    config = core_and_memory.write("bad.json", content)

    done = core_and_memory.run("queueconnector", "run", config)

    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_named(core_and_memory: Environment, name: str) -> None:
    done = core_and_memory.run("queueconnector", "run", name)

    assert done.returncode == 2
    assert done.stderr.startswith(f"queueconnector: cannot read {name}: ")
    assert "Traceback" not in done.stderr


def test_an_empty_configuration_is_nothing_to_do(core_and_memory: Environment) -> None:
    done = core_and_memory.run("queueconnector", "run", "-", stdin="{}")

    assert done.returncode == 0
    assert done.stderr == "queueconnector: no exchanges are configured\n"


@pytest.mark.parametrize(
    "arguments", [["run", "a", "b"], ["run", "-", "--interval-s", "0"], ["stream"]]
)
def test_wrong_arguments_are_told_apart_from_a_fault(
    core_and_memory: Environment, arguments: list[str]
) -> None:
    done = core_and_memory.run("queueconnector", *arguments)

    assert done.returncode == 2
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_group_that_fails_ends_the_run_with_1_and_its_reason(
    core_and_memory: Environment,
) -> None:
    full = in_memory(2000)
    full["sink"] = {"type": "InMemorySink", "key": "small", "max_records": 10}
    groups = {"small": [full], "other": [in_memory()]}
    config = core_and_memory.write("full.json", json.dumps({"exchanges": groups}))

    done = core_and_memory.run("queueconnector", "run", config)

    assert done.returncode == 1
    assert "small[0] FAULT" in done.stderr
    assert "other[0] OFF received=3 delivered=3" in done.stderr
    assert "group small failed: " in done.stderr
    assert "records in a row failed; last: the store 'small' is full" in done.stderr


def test_list_names_types_distributions_and_versions(core_and_memory: Environment) -> None:
    version = core_and_memory.run("queueconnector", "--version").stdout.strip()

    done = core_and_memory.run("queueconnector", "list")

    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["kind", "type", "plugin", "guarantee", "stability"]
    assert ["source", "InMemorySource", "queueconnector-memory", version] in [r[:4] for r in rows]
    assert ["pipe", "DefaultPipe", "queueconnector-core", version] in [r[:4] for r in rows]
    assert ["codec", "msgpack_numpy", "queueconnector-core", version] in [r[:4] for r in rows]
    assert "broken" not in done.stdout


def test_list_as_json_is_for_programs(core_and_memory: Environment) -> None:
    core, memory = json.loads(core_and_memory.run("queueconnector", "list", "--json").stdout)

    assert (core["distribution"], memory["distribution"]) == (
        "queueconnector-core",
        "queueconnector-memory",
    )
    assert core["version"] == memory["version"]
    assert memory["error"] is None
    assert memory["types"][0] == {
        "name": "InMemorySource",
        "kind": "source",
        "aliases": [],
        "guarantee": "at most once",
        "stability": "stable",
    }


def test_the_python_interface_streams_without_a_command_line(core_and_memory: Environment) -> None:
    exchange = json.dumps({"exchanges": [in_memory()]})

    output = core_and_memory.python(f"""
import asyncio
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_memory import store

async def main():
    connector = Connector(discover().registry)
    await connector.configure('{exchange}')
    await connector.start()
    print([record.value for record in await store.wait_for("numbers", 3)])
    await connector.shut_down()
    print(connector.status_text())

asyncio.run(main())
""")

    *lines, applied = output.splitlines()
    assert lines == [
        "[0, 1, 2]",
        "Group default is OFF",
        "  default[0]: 3 received, 3 delivered",
    ]
    assert applied.endswith(": 1 exchanges new, 0 ended, 0 unchanged.")


def test_core_alone_knows_its_own_types_and_says_what_its_command_line_needs(
    core_alone: Environment,
) -> None:
    names = core_alone.python(
        "from queueconnector_core.discovery import discover\n"
        "print(*(component.name for component in discover().registry.walk()))"
    )
    done = core_alone.run("queueconnector", "list")

    assert {"DefaultPipe", "json", "npy"} <= set(names.split())
    assert done.returncode == 1
    assert done.stderr == (
        "queueconnector: the command line needs: pip install 'queueconnector-core[cli]'\n"
    )
