"""Documents say what the code does, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import write_api
import write_components
from queueconnector_core.states import TRANSITIONS

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "docs",
    "examples",
    "devservices",
    "queueconnector_core",
    "queueconnector_kafka",
    "queueconnector_memory",
    "queueconnector_sdp",
    "queueconnector_tango",
)
DOCUMENTS = sorted(
    (*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")))
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8"))
    inside = [link for link in links if "://" not in link]

    assert [link for link in inside if not (document.parent / link).exists()] == []


def test_the_state_diagram_is_the_table() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    arrows = [
        f"    {move.source.value} --> {move.target.value}: {move.trigger.value}"
        for move in TRANSITIONS
    ]

    shown = re.search(r"stateDiagram-v2\n(.*?)```", page, re.DOTALL)

    assert shown is not None
    assert shown[1].splitlines() == arrows


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text("utf-8")

    assert [page.name for page in folder.glob("0*.md") if f"({page.name})" not in index] == []


def test_the_reference_of_components_is_what_they_say_of_themselves() -> None:
    page = (ROOT / "docs/reference/components.md").read_text("utf-8")

    assert page == write_components.page_text(), "make reference writes it anew"


def test_the_public_names_are_those_of_the_code() -> None:
    page = write_api.PAGE.read_text("utf-8")

    assert page == write_api.page_text(), "make reference writes it anew"
