"""Every block of every page is executed, held against what it is quoted from, or excepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from devservices.kafka import KafkaBroker
from devservices.process import free_port
from queueconnector_core.component import ComponentKind, Services
from queueconnector_core.descriptors import (
    ConfigSourceDescriptor,
    Descriptor,
    PipeDescriptor,
    SinkDescriptor,
    SourceDescriptor,
)
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.plan import read_plan
from queueconnector_core.registry import Registry
from queueconnector_core.structure import structure_as
from queueconnector_tango.host import AttributeHost
from tests.docs.pages import ROOT, Block, all_blocks
from tests.docs.reader import Reader

ELSEWHERE: Final[Mapping[str, str]] = {
    "README.md": "test_readme.py",
    "docs/explanation/accounting.md": "test_accounting.py",
    "docs/how-to/deploy-container.md": "test_container.py",
    "docs/how-to/deploy-tango-database.md": "test_how_to.py",
    "docs/how-to/secure.md": "test_secure.py",
    "docs/reference/api.md": "test_documents.py",
}
"""Pages that have a test of their own, as they need a world of their own."""

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "docs/tutorial/first-stream.md": (),
    "docs/how-to/dead-letters.md": (),
    "docs/how-to/first-configuration.md": ("kafka_broker",),
}
"""Pages that a reader follows from the first block to the last, and the services for that."""

NOT_HERE: Final[Mapping[str, str]] = {
    "pip install": "what it installs is installed: tests/packaging does it with the wheels",
    "make chaos": "runs for hours; its short form is tests/chaos",
    "python tools/release.py": "makes a release; tests/tools tries it on a copy",
    '{"state"': "a report, not a configuration; tests/sdp writes and reads such",
    '{"type": "ConfigError"': "a report, not a configuration; tests/sdp writes and reads such",
    '{"value"': "a line of a file, not a configuration; tests/memory reads and writes such",
    "make demo": "runs for a minute; tests/demo runs it",
    "python -m pointing_loop --dishes": "runs for a minute; tests/demo runs it",
}
"""Blocks that nothing executes here, by how they begin, and why."""

PAGES = sorted(
    str(page.relative_to(ROOT))
    for folder in ("docs", "queueconnector_*", "examples/*")
    for page in ROOT.glob(f"{folder}/**/*.md" if folder == "docs" else f"{folder}/*.md")
)
ROOT_PAGES = ["README.md", *PAGES]

COMMANDS = ("pip ", "queueconnector ", "SDPQueueConnector ", "make ", "python ", "json2tango ")

KINDS: Final[Mapping[str, type[Descriptor]]] = {
    ComponentKind.CONFIG_SOURCE.value: ConfigSourceDescriptor,
    ComponentKind.SOURCE.value: SourceDescriptor,
    ComponentKind.PIPE.value: PipeDescriptor,
    ComponentKind.SINK.value: SinkDescriptor,
}
"""How the names of types end, the longest first."""


def exception(block: Block) -> str:
    """Why nothing executes a block; empty where it has to be."""
    found = (why for start, why in NOT_HERE.items() if block.text.lstrip().startswith(start))
    return next(found, "")


def way(page: str, block: Block) -> str:
    """How a block is held against the world; empty: in no way."""
    if page in ELSEWHERE:
        return "a test of its own"
    if block.is_directive:
        return "the site is built"
    if block.quoted:
        return "quoted"
    if block.language == "json":
        return "read"
    if page in NEEDS and (block.language in {"sh", "python"} or block.file):
        return "followed"
    if block.language == "python":
        return "executed"
    if block.language in {"", "text"}:
        has_command = any(line.startswith(COMMANDS) for line in block.text.splitlines())
        return exception(block) if has_command else "a picture, or what is printed"
    return exception(block)


def in_way(wanted: str) -> list[object]:
    """The blocks of all pages that are held against the world in this way."""
    return [
        pytest.param(page, block, id=f"{page}:{block.line}")
        for page in ROOT_PAGES
        for block in all_blocks(page)
        if way(page, block) == wanted and not exception(block)
    ]


@pytest.mark.parametrize("page", ROOT_PAGES)
def test_no_block_is_left_out(page: str) -> None:
    assert [block.line for block in all_blocks(page) if not way(page, block)] == []


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_a_page_with_a_test_of_its_own_is_named_there(page: str, test: str) -> None:
    assert Path(page).name in (Path(__file__).parent / test).read_text("utf-8")


def test_every_exception_is_needed() -> None:
    texts = [block.text.lstrip() for page in ROOT_PAGES for block in all_blocks(page)]

    assert [start for start in NOT_HERE if not any(t.startswith(start) for t in texts)] == []


@pytest.mark.parametrize("page", NEEDS)
def test_a_reader_gets_through(
    page: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    places = {f"127.0.0.1:{port}": f"127.0.0.1:{free_port()}" for port in (45678, 45679)}
    for service in NEEDS[page]:
        broker: KafkaBroker = request.getfixturevalue(service)
        places["localhost:9092"] = broker.bootstrap
    reader = Reader(tmp_path, places)

    reader.follow([block for block in all_blocks(page) if not exception(block)])


@pytest.fixture(scope="module")
def registry() -> Registry:
    """What is installed."""
    return discover().registry


@pytest.mark.parametrize(("page", "block"), in_way("read"))
def test_what_is_configured_can_be_used(page: str, block: Block, registry: Registry) -> None:
    device = Services({AttributeHost: object()})
    document = json.loads(block.text)
    if block.file.startswith("wrong"):
        with pytest.raises(ConfigError):
            read_plan(block.text, registry, device)
    elif "exchanges" in document:
        assert read_plan(block.text, registry, device).groups
    else:
        of_type = (base for end, base in KINDS.items() if document["type"].endswith(end))
        base = next(of_type, ConfigSourceDescriptor)
        assert structure_as(document, base, registry)


@pytest.mark.parametrize(("page", "block"), in_way("quoted"))
def test_what_is_quoted_stands_there(page: str, block: Block) -> None:
    file = (ROOT / page).parent / block.quoted

    assert block.text in file.read_text("utf-8")


@pytest.mark.parametrize(("page", "block"), in_way("executed"))
def test_python_runs(page: str, block: Block) -> None:
    exec(compile(block.text, page, "exec"), {})  # noqa: S102 - our own pages
