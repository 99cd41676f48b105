"""What the pages of how-to show is executed, against the real Tango database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tango

from devservices.process import ManagedProcess
from devservices.tango import TangoDatabase
from tests.docs.pages import ROOT, blocks

PAGE = "docs/how-to/deploy-tango-database.md"
DEVICE = "mid-sdp/queueconnector/01"
SECOND = "mid-sdp/queueconnector/02"
BIN = Path(sys.executable).parent

NOT_HERE = ("export TANGO_HOST", "pip install")
"""Lines that are about another machine: the address of its database, and what it installs."""

START = "SDPQueueConnector 01\n"


@pytest.fixture(scope="module")
def database() -> Iterator[TangoDatabase]:
    """A database of its own: the page begins with an empty one."""
    with TangoDatabase() as database:
        yield database


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader is, with the files that the page speaks of."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copy(ROOT / "deploy" / "device.json", folder)
    (folder / "configuration.json").write_text('{"exchanges": [],\n "x": 1}')
    return folder


@pytest.fixture(scope="module")
def environment(database: TangoDatabase) -> dict[str, str]:
    """The variables of the reader's shell."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return {"PATH": path, "TANGO_HOST": database.tango_host}


@pytest.fixture(scope="module")
def shell(folder: Path, environment: dict[str, str], tango_admin: str) -> str:
    """What the shell prints for all lines of the page, one block after the other."""
    script = "".join(block for block in blocks(PAGE, "sh") if block != START)
    lines = [line for line in script.splitlines() if not line.startswith(NOT_HERE)]
    assert any(line.startswith(f"{tango_admin} --add-server") for line in lines)
    done = subprocess.run(
        ["bash", "-euxc", "\n".join(lines)], cwd=folder, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def server(
    shell: str, folder: Path, environment: dict[str, str], database: TangoDatabase
) -> Iterator[ManagedProcess]:
    """The server, started as the page says."""
    assert shell, "the device is registered by what stands above in the page"
    assert START in blocks(PAGE, "sh")
    process = ManagedProcess(
        "reader",
        [str(BIN / "SDPQueueConnector"), "01"],
        log=folder / "server.log",
        environment=environment,
    )
    device = proxy(database)
    process.wait_until(lambda: answers(device), 30, "its first answer")
    yield process
    process.stop()
    assert process.exit_code == 0


def proxy(database: TangoDatabase) -> tango.DeviceProxy:
    return tango.DeviceProxy(f"tango://{database.tango_host}/{DEVICE}")


def answers(device: tango.DeviceProxy) -> bool:
    try:
        return bool(device.ping())
    except tango.DevFailed:
        return False


def test_the_file_of_the_page_is_the_one_that_is_shipped() -> None:
    assert blocks(PAGE, "json") == [(ROOT / "deploy/device.json").read_text("utf-8")]


def test_both_ways_register_a_device_with_its_properties(
    shell: str, database: TangoDatabase, folder: Path
) -> None:
    first = database.get_properties(DEVICE, "exchanges_json")["exchanges_json"]
    second = database.get_properties(SECOND, "exchanges_json")["exchanges_json"]

    assert [list(json.loads(text)) for text in first] == [["exchanges"]]
    assert second == [(folder / "configuration.json").read_text()]
    assert "Data was written to the Tango DB" in shell


@pytest.mark.usefixtures("shell")
def test_registering_again_changes_nothing(folder: Path, environment: dict[str, str]) -> None:
    again = subprocess.run(
        [str(BIN / "json2tango"), "--write", "--update", "device.json"],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "No changes needed" in again.stdout + again.stderr


@pytest.mark.usefixtures("shell")
def test_tango_admin_drops_the_commas_of_a_value(
    database: TangoDatabase, environment: dict[str, str], tango_admin: str
) -> None:
    command = [tango_admin, "--add-property", SECOND, "trial", '{"a": 1, "b": 2}']

    subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)

    assert database.get_properties(SECOND, "trial") == {"trial": ['{"a": 1', ' "b": 2}']}


def test_the_device_starts_and_streams(
    server: ManagedProcess, database: TangoDatabase, environment: dict[str, str], folder: Path
) -> None:
    (code,) = blocks(PAGE, "python")
    checked = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    device = proxy(database)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.startswith("OFF\n")
    server.wait_until(lambda: device.read_attribute("trial").value == 2.5, 20, "the last value")
    server.wait_until(lambda: device.state() == tango.DevState.OFF, 20, "the end of the trial")
