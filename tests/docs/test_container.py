"""What can be tried of docs/how-to/deploy-container.md without a container engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from devservices.process import ManagedProcess, free_port, is_listening
from tests.docs.containerfile import Stage, build
from tests.docs.pages import ROOT

CONTAINERFILE = ROOT / "deploy" / "Containerfile"
COMPOSE = ROOT / "deploy" / "compose.yaml"
BIN = Path(sys.executable).parent

# Three environments are installed, from the network.
pytestmark = pytest.mark.timeout(500)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """What the Containerfile makes."""
    return build(CONTAINERFILE.read_text("utf-8"), tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The parsed compose.yaml."""
    services: dict[str, Any] = YAML(typ="safe").load(COMPOSE)["services"]
    return services


class Containers:
    """The database and the connector, started as compose.yaml starts them."""

    def __init__(self, stages: dict[str, Stage], compose: dict[str, Any], folder: Path) -> None:
        self.stages = stages
        self.compose = compose
        self.folder = folder
        # A name in place of an address, as in the network of the containers.
        self.port = free_port()
        self.variables = {"TANGO_HOST": f"localhost:{self.port}"}
        self.started: list[ManagedProcess] = []

    def start(self, stage: str, command: list[str]) -> ManagedProcess:
        """Start a program of a stage."""
        image = self.stages[stage]
        program = str(image.folder / "python" / "bin" / command[0])
        process = ManagedProcess(
            command[0], [program, *command[1:]], log=self.folder / f"{command[0]}.log",
            environment=image.environment() | self.variables,
        )  # fmt: skip
        self.started.append(process)
        return process

    def succeeds(self, stage: str, command: list[str]) -> bool:
        """Whether a command of a stage has the exit code 0."""
        image = self.stages[stage]
        here = [image.here(word) for word in command]
        done = subprocess.run(
            here, env=image.environment() | self.variables, capture_output=True, timeout=60,
            check=False,
        )  # fmt: skip
        return done.returncode == 0


@pytest.fixture
def containers(
    stages: dict[str, Stage], compose: dict[str, Any], tmp_path: Path
) -> Iterator[Containers]:
    containers = Containers(stages, compose, tmp_path)
    yield containers
    for process in reversed(containers.started):
        process.stop()


def test_what_comes_out_serves_the_device_and_is_healthy(containers: Containers) -> None:
    stages, compose = containers.stages, containers.compose
    connector = compose["queueconnector"]
    containers.variables["QUEUECONNECTOR_DEVICE"] = connector["environment"][
        "QUEUECONNECTOR_DEVICE"
    ]
    database = containers.start("tango-database", stages["tango-database"].commands["CMD"])
    is_up = compose["tango-database"]["healthcheck"]["test"][1:]
    database.wait_until(lambda: is_listening(containers.port), 30, "a connection")
    database.wait_until(lambda: containers.succeeds("tango-database", is_up), 30, "an answer")

    shell, option, register = compose["register"]["command"]
    register = register.replace("$$", "$").replace("/device.json", str(ROOT / "deploy/device.json"))
    health = stages[""].commands["HEALTHCHECK"]
    assert containers.succeeds("tango-database", [shell, option, register])
    assert not containers.succeeds("", health)

    commands = stages[""].commands
    server = containers.start("", [*commands["ENTRYPOINT"], *commands["CMD"]])
    server.wait_until(lambda: containers.succeeds("", health), 30, "the health check")
    server.stop()
    assert server.exit_code == 0
    assert not containers.succeeds("", health)


def test_every_plugin_is_installed_and_works(stages: dict[str, Stage]) -> None:
    code = (
        "from queueconnector_core.discovery import discover\n"
        "found = discover().plugins\n"
        "assert not [plugin for plugin in found if plugin.error], found\n"
        "print(*(plugin.distribution for plugin in found))"
    )
    image = stages[""]
    printed = subprocess.run(
        ["python", "-c", code], cwd=image.folder, env=image.environment(),
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    expected = {path.parent.name.replace("_", "-") for path in ROOT.glob("queueconnector_*/src")}
    assert set(printed.split()) == expected


def test_nothing_runs_as_root(stages: dict[str, Stage]) -> None:
    assert stages[""].users == ["queueconnector"]
    assert stages["tango-database"].users == ["tango"]


def test_the_compose_file_follows_the_compose_specification() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    command = [str(BIN / "check-jsonschema"), *schema, str(COMPOSE)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_what_the_compose_file_builds_and_mounts_is_there(
    compose: dict[str, Any], stages: dict[str, Stage]
) -> None:
    builds = [service["build"] for service in compose.values() if "build" in service]

    assert {(COMPOSE.parent / build["context"]).resolve() for build in builds} == {ROOT}
    assert {ROOT / build["dockerfile"] for build in builds} == {CONTAINERFILE}
    assert {build.get("target", "") for build in builds} <= set(stages)
    for volume in (v for service in compose.values() for v in service.get("volumes", ())):
        source = volume.split(":")[0]
        assert source == "tango" or (COMPOSE.parent / source).is_file()
