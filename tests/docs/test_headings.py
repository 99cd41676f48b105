"""Every type, option, error, hook, command and property has a heading in the reference."""

from __future__ import annotations

import inspect
import re

import pytest

from queueconnector_core import errors, hookspecs
from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.dataspec import LITERALS, dtype_literal
from queueconnector_core.hints import options_of
from queueconnector_tango.device import SDPQueueConnector
from tests.docs.pages import ROOT
from write_schema import standard_registry

TYPES = list(standard_registry().walk())
ERRORS = [name for name in errors.__all__ if inspect.isclass(getattr(errors, name))]
HOOKS = [name for name in hookspecs.__all__ if name.startswith("queueconnector_")]


def headings(page: str) -> set[str]:
    """The headings of a page of the reference, without marks."""
    text = (ROOT / "docs/reference" / page).read_text("utf-8")
    return {found.strip("`") for found in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def section(page: str, name: str) -> str:
    """What stands under a heading of the second level."""
    text = (ROOT / "docs/reference" / page).read_text("utf-8")
    return re.split(rf"^## {name}$", text, flags=re.MULTILINE)[1].split("\n## ")[0]


@pytest.mark.parametrize("component", TYPES, ids=lambda component: component.name)
def test_a_component_and_each_of_its_options_have_a_heading(component: ComponentType) -> None:
    wanted = {component.name}
    if component.kind is not ComponentKind.CODEC:
        options = options_of(component.descriptor_class)
        wanted |= {f"{component.name}.{option}" for option in options}

    assert wanted <= headings("components.md")


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_explained(name: str) -> None:
    text = section("errors.md", name)

    if name not in {"QueueConnectorError", "Problem"}:
        assert all(f"- **{word}:**" in text for word in ("Means", "Raised by", "Then"))


def test_no_error_is_explained_that_is_gone() -> None:
    assert headings("errors.md") == {"Errors", *ERRORS}


def test_every_hook_is_explained() -> None:
    assert headings("hooks.md") == {"Hooks", *HOOKS}


@pytest.mark.parametrize("table", ["device_property_list", "cmd_list", "attr_list"])
def test_the_surface_of_the_device_has_headings(table: str) -> None:
    names = set(getattr(SDPQueueConnector.TangoClassClass, table))

    assert names
    assert names <= headings("device.md")


def test_every_word_for_a_dtype_is_in_the_table() -> None:
    rows = re.findall(
        r"^\| `([\w\[\]]+)` \| (.*?) \|", section("configuration.md", "Data types"), re.MULTILINE
    )
    told = {word: row for row, others in rows for word in (row, *re.findall(r"`(\w+)`", others))}

    words = {word: dtype_literal(dtype) for word, dtype in LITERALS.items() if word != "<U0"}
    assert told == words | {name: name for name in map(str, words.values())}


def test_the_glossary_is_in_order() -> None:
    page = (ROOT / "docs/reference/glossary.md").read_text("utf-8")
    terms = re.findall(r"^- \*\*(.*?)\*\*", page, re.MULTILINE)

    assert terms == sorted(terms, key=str.casefold)
