"""Documents (docs/reference/api.md, ...) say what the code does; their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import write_api
import write_components
import write_device
from states_picture import picture

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


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    index = (folder / "README.md").read_text("utf-8")

    assert [page.name for page in folder.glob("0*.md") if f"({page.name})" not in index] == []


def test_the_reference_of_components_is_what_they_say_of_themselves() -> None:
    page = (ROOT / "docs/reference/components.md").read_text("utf-8")

    assert page == write_components.page_text(), "make reference writes it anew"


def test_the_reference_of_the_device_is_what_its_class_and_table_say() -> None:
    page = write_device.PAGE.read_text("utf-8")

    assert page == write_device.page_text(), "make reference writes it anew"
    assert write_device.PICTURE.read_text("utf-8") == picture(), "make reference draws it anew"


def test_the_public_names_of_api_md_are_those_of_the_code() -> None:
    page = write_api.PAGE.read_text("utf-8")

    assert page == write_api.page_text(), "make reference writes it anew"
