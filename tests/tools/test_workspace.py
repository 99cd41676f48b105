"""The packages fit together, and their pins can be used on any machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from workspace import ROOT, members, products, pyproject

PLUGINS = [product for product in products() if product.name != "queueconnector_core"]


def name_of(folder: Path) -> str:
    return folder.name


def version_of(folder: Path) -> str:
    return str(pyproject(folder)["project"]["version"])


def test_core_and_the_four_plugins_are_released() -> None:
    assert [name_of(product) for product in products()] == [
        "queueconnector_core",
        "queueconnector_kafka",
        "queueconnector_memory",
        "queueconnector_sdp",
        "queueconnector_tango",
    ]


def test_all_packages_have_the_same_version() -> None:
    assert len({version_of(product) for product in products()}) == 1


@pytest.mark.parametrize("plugin", PLUGINS, ids=name_of)
def test_a_plugin_needs_core_of_its_own_minor_version(plugin: Path) -> None:
    dependencies = map(Requirement, pyproject(plugin)["project"]["dependencies"])
    (core,) = (needed for needed in dependencies if needed.name == "queueconnector-core")

    assert str(core.specifier) == f"~={version_of(plugin)}"


@pytest.mark.parametrize("product", products(), ids=name_of)
def test_every_wheel_carries_the_licence_and_says_that_it_is_typed(product: Path) -> None:
    assert (product / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert (product / "src" / product.name / "py.typed").exists()


@pytest.mark.parametrize("product", products(), ids=name_of)
def test_the_entry_point_names_the_plugin_module(product: Path) -> None:
    short_name = product.name.removeprefix("queueconnector_")

    assert pyproject(product)["project"]["entry-points"]["queueconnector"] == {
        short_name: f"{product.name}.plugin"
    }


def test_constraints_hold_pins_only_and_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()

    assert lines
    assert [
        line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[^\s/@:]+( ; [^/@:]+)?", line)
    ] == []


def test_every_direct_dependency_is_pinned() -> None:
    pinned = {
        Requirement(line).name for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    own = {pyproject(member)["project"]["name"] for member in members()}
    needed: set[str] = set()
    for member in members():
        project = pyproject(member)["project"]
        lists = [
            project.get("dependencies", []),
            *project.get("optional-dependencies", {}).values(),
        ]
        needed |= {Requirement(text).name.lower() for texts in lists for text in texts}
    for group in pyproject(ROOT)["dependency-groups"].values():
        needed |= {Requirement(text).name.lower() for text in group if isinstance(text, str)}

    assert needed - pinned - own == set()


def test_news_fragments_have_a_folder_for_every_package() -> None:
    sections = {section["path"] for section in pyproject(ROOT)["tool"]["towncrier"]["section"]}

    assert sections == {product.name.removeprefix("queueconnector_") for product in products()}
