"""Every block of every page is executed, held against what it is quoted from, or excepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

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
from tests.docs.pages import ELSEWHERE, NOT_HERE, PAGES, ROOT, Block, all_blocks, way

KINDS: Final[Mapping[str, type[Descriptor]]] = {
    ComponentKind.CONFIG_SOURCE.value: ConfigSourceDescriptor,
    ComponentKind.SOURCE.value: SourceDescriptor,
    ComponentKind.PIPE.value: PipeDescriptor,
    ComponentKind.SINK.value: SinkDescriptor,
}
"""How the names of types end, the longest first."""


def held(wanted: str) -> list[object]:
    """The blocks of all pages that are held against the world in this way."""
    return [
        pytest.param(block, id=f"{page}:{block.line}")
        for page in PAGES
        for block in all_blocks(page)
        if way(block) == wanted
    ]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """What is installed."""
    return discover().registry


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_left_out(page: str) -> None:
    assert [block.line for block in all_blocks(page) if not way(block)] == []


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_a_page_with_a_test_of_its_own_is_named_there(page: str, test: str) -> None:
    assert Path(page).name in (Path(__file__).parent / test).read_text("utf-8")


def test_every_exception_is_needed() -> None:
    texts = [block.text.lstrip() for page in PAGES for block in all_blocks(page)]

    assert [start for start in NOT_HERE if not any(t.startswith(start) for t in texts)] == []


@pytest.mark.parametrize("block", held("read"))
def test_what_is_configured_can_be_used(block: Block, registry: Registry) -> None:
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
        assert isinstance(structure_as(document, base, registry), base)


@pytest.mark.parametrize("block", held("quoted"))
def test_what_is_quoted_stands_there(block: Block) -> None:
    file = (ROOT / block.page).parent / block.quoted

    assert block.text in file.read_text("utf-8")


@pytest.mark.parametrize("block", held("executed"))
def test_python_runs(block: Block) -> None:
    exec(compile(block.text, block.page, "exec"), {})  # noqa: S102 - our own pages
