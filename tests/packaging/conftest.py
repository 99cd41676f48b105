"""Built wheels, and clean environments that share them; each is made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.environment import Environment, build_wheel
from workspace import ROOT, products

THIRD_PARTIES = (
    ROOT / "examples" / "line_files",
    ROOT / "examples" / "mqtt",
    Path(__file__).parent / "broken_plugin",
    Path(__file__).parent / "again_plugin",
)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels of core and its plugins: those of `QUEUECONNECTOR_WHEELS`, or built now."""
    given = os.environ.get("QUEUECONNECTOR_WHEELS")
    folder = Path(given) if given else tmp_path_factory.mktemp("wheels")
    if not given:
        for product in products():
            build_wheel(product, folder)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def third_party_wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The examples of plugins, one that fails at import, one that takes a name again."""
    folder = tmp_path_factory.mktemp("third_parties")
    for project in THIRD_PARTIES:
        build_wheel(project, folder)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def clean_environment(
    tmp_path_factory: pytest.TempPathFactory, wheels: list[Path]
) -> Callable[..., Environment]:
    """Makes environments: requirements, and the wheels beside core's and its plugins'."""

    def create(*requirements: str, more: list[Path] | None = None) -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        return Environment.create(folder, [*wheels, *(more or [])], requirements)

    return create


@pytest.fixture(scope="session")
def core_alone(clean_environment: Callable[..., Environment]) -> Environment:
    """Core without its extra for the command line."""
    return clean_environment("queueconnector-core")


@pytest.fixture(scope="session")
def core_and_memory(clean_environment: Callable[..., Environment]) -> Environment:
    """The smallest useful installation: neither tango nor aiokafka is on the machine."""
    return clean_environment("queueconnector-core[cli]", "queueconnector-memory")


@pytest.fixture(scope="session")
def everything(
    clean_environment: Callable[..., Environment], third_party_wheels: list[Path]
) -> Environment:
    """All plugins of the project, and those of third parties, good and bad."""
    return clean_environment(
        "queueconnector-core[cli]",
        *("queueconnector-memory", "queueconnector-kafka", "queueconnector-tango"),
        "queueconnector-sdp",
        *("queueconnector-line-files", "queueconnector-mqtt"),
        *("acme-broken", "queueconnector-again"),
        more=third_party_wheels,
    )
