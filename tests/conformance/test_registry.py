"""Every component that our plugins register is proven by the kit."""

from __future__ import annotations

import pytest

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.testing import DescriptorSuite, Suite
from queueconnector_core.testing.suite import installed
from tests.conformance import (
    test_core,
    test_core_pipes,
    test_core_sinks,
    test_core_sources,
    test_kafka,
    test_memory,
    test_sdp,
    test_tango,
)

MODULES = (
    *(test_core, test_core_pipes, test_core_sinks, test_core_sources),
    *(test_kafka, test_memory, test_sdp, test_tango),
)
PACKAGES = {f"queueconnector_{name}" for name in ("core", "kafka", "memory", "sdp", "tango")}
OURS = [
    pytest.param(component, id=component.name)
    for component in installed().walk()
    if component.factory.__module__.partition(".")[0] in PACKAGES
]


def suites() -> list[type[Suite]]:
    """The suites of all modules beside this one that name a component."""
    found = [value for module in MODULES for value in vars(module).values()]
    return [
        cls for cls in found if isinstance(cls, type) and issubclass(cls, Suite) and cls.component
    ]


@pytest.mark.parametrize("component", OURS)
def test_every_component_has_a_suite(component: ComponentType) -> None:
    mine = [
        suite
        for suite in suites()
        if (suite.kind, suite.component) == (component.kind, component.name)
    ]

    assert any(not issubclass(suite, DescriptorSuite) for suite in mine), (
        f"{component.name} has no suite in tests/conformance"
    )
    assert component.kind is ComponentKind.CODEC or any(
        issubclass(suite, DescriptorSuite) for suite in mine
    ), f"{component.name} has no DescriptorSuite in tests/conformance"


def test_nothing_of_ours_is_waived() -> None:
    assert {suite.__name__: dict(suite.waivers) for suite in suites() if suite.waivers} == {}
