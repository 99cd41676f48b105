"""What stands in the wheels that are released."""

from __future__ import annotations

import json
import re
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.packaging.environment import distribution_of
from workspace import products

PRODUCTS = [product.name for product in products()]


def metadata_of(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def files_of(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(params=PRODUCTS)
def wheel(request: pytest.FixtureRequest, wheels: list[Path]) -> Path:
    (found,) = (path for path in wheels if path.name.startswith(f"{request.param}-"))
    return found


def test_there_is_one_pure_wheel_for_each_product_all_of_one_version(wheels: list[Path]) -> None:
    versions = {metadata_of(wheel)["Version"] for wheel in wheels}

    assert [wheel.name.split("-")[0] for wheel in wheels] == PRODUCTS
    assert len(versions) == 1
    assert all(wheel.name.endswith("-py3-none-any.whl") for wheel in wheels)


def test_the_metadata_say_what_an_index_shows(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    classifiers = metadata.get_all("Classifier", [])

    assert metadata["Name"] == distribution_of(wheel)
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Summary"]
    assert metadata["Author"]
    assert "pip install" in str(metadata.get_payload())  # the README
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)} <= set(
        classifiers
    )
    assert "Typing :: Typed" in classifiers


def test_nothing_is_required_from_anywhere_but_an_index(wheel: Path) -> None:
    requirements = metadata_of(wheel).get_all("Requires-Dist", [])

    assert requirements
    assert not [text for text in requirements if "@" in text]


def test_it_holds_the_package_with_its_types_and_the_licence_and_nothing_else(wheel: Path) -> None:
    package, version = wheel.name.split("-")[:2]
    files = files_of(wheel)

    assert f"{package}/py.typed" in files
    assert f"{package}/plugin.py" in files
    assert f"{package}-{version}.dist-info/licenses/LICENSE" in files
    assert {name.split("/")[0] for name in files} == {package, f"{package}-{version}.dist-info"}
    assert not [
        name for name in files if re.search(r"__pycache__|\.pyc$|(^|/)test_[^/]*\.py$", name)
    ]


def test_the_wheel_of_core_holds_the_hints_for_installing(wheels: list[Path]) -> None:
    (core,) = (path for path in wheels if distribution_of(path) == "queueconnector-core")
    with ZipFile(core) as archive:
        hints = json.loads(archive.read("queueconnector_core/install_hints.json"))

    names = {distribution_of(path) for path in wheels} - {"queueconnector-core"}
    assert hints.keys() - names <= {"queueconnector-sdp"}, "it comes with the database"
    assert names <= hints.keys()


def test_the_wheel_of_core_holds_the_library_of_the_plots(wheels: list[Path]) -> None:
    (core,) = (path for path in wheels if path.name.startswith("queueconnector_core-"))
    folder = "queueconnector_core/web/static/uplot"

    assert {f"{folder}/LICENSE", f"{folder}/uPlot.iife.min.js"} <= set(files_of(core))
