"""What all suites have in common: which tests apply, and how a component is built."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs
import pytest

from queueconnector_core.component import BuildContext, ComponentKind, ComponentType, Services
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import Descriptor
from queueconnector_core.discovery import discover
from queueconnector_core.registry import Registry
from queueconnector_core.structure import structure_as
from queueconnector_core.testing.capabilities import Capabilities
from queueconnector_core.testing.rules import rule_of

__all__ = ("Suite", "NotApplicable", "installed")


@functools.cache
def installed() -> Registry:
    """The components of all plugins that are installed here."""
    return discover().registry


@attrs.frozen
class NotApplicable:
    """A test that a component does not have, and why."""

    test: str
    numbers: tuple[str, ...]
    reason: str


class Suite:
    """Base of all suites; a subclass of one of them is the proof of one component.

    Nothing of a plugin runs while tests are collected: the class holds data only.
    """

    kind: ClassVar[ComponentKind]
    component: ClassVar[str] = ""
    """The type name, as it is written in a configuration; a codec's encoding."""
    dtype: ClassVar[Any] = "float64"
    """What the exchange of these tests carries, as it is written in a configuration."""
    shape: ClassVar[Sequence[int]] = ()
    capabilities: ClassVar[Capabilities] = Capabilities()
    waivers: ClassVar[Mapping[str, str]] = {}
    """Tests that are known to fail, each with the reason. One that passes after all fails."""
    timeout_s: ClassVar[float] = 15.0
    """Seconds in which whatever a test waits for must come."""
    not_applicable: ClassVar[tuple[NotApplicable, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls.component:
            return
        missing: list[NotApplicable] = []
        unknown = set(cls.waivers)
        for name, test in _tests(cls):
            unknown.discard(name)
            rule = rule_of(test)
            lacking = [c for c in rule.requires if not getattr(cls.capabilities, c)] if rule else []
            if rule and lacking:
                missing.append(NotApplicable(name, rule.numbers, _told(cls.capabilities, lacking)))
                setattr(cls, name, None)
            elif name in cls.waivers:
                setattr(cls, name, _waived(test, cls.waivers[name]))
            elif getattr(cls, name) is not test:
                setattr(cls, name, test)
        if unknown:
            raise TypeError(f"{cls.__name__} waives what is no test: {', '.join(sorted(unknown))}")
        cls.not_applicable = tuple(missing)

    @pytest.fixture
    def registry(self) -> Registry:
        """The component types that are known; override it for a component that is in no plugin."""
        return installed()

    @pytest.fixture
    def component_type(self, registry: Registry) -> ComponentType:
        """The registered facts of the component."""
        return registry.lookup(self.kind, self.component)

    @property
    def spec(self) -> DataSpec:
        """The dtype and shape of the exchange of these tests."""
        return DataSpec.of(self.dtype, list(self.shape))

    def structured(self, written: Mapping[str, Any], registry: Registry) -> Descriptor:
        """A configuration as it is written (`type` may be left out), read and proven."""
        component = registry.lookup(self.kind, self.component)
        options = {name: value for name, value in written.items() if name != "type"}
        return structure_as(options, component.descriptor_class, registry)

    def context(self, registry: Registry, services: Services | None = None) -> BuildContext:
        """What the component is built from, beside its descriptor."""
        return BuildContext(self.spec, registry, services or Services(), f"{self.component}[0]")


_WAIVED: Final = "conformance_waived"


def _tests(cls: type[Suite]) -> Iterator[tuple[str, Any]]:
    """The tests that a suite has, those included that another subclass could not have."""
    names = dict.fromkeys(n for base in reversed(cls.__mro__) for n in vars(base))
    for name in names:
        if not name.startswith("test_"):
            continue
        found = (vars(base)[name] for base in cls.__mro__ if vars(base).get(name) is not None)
        test = next(found, None)
        if test is not None:
            yield name, getattr(test, _WAIVED, test)


def _told(capabilities: Capabilities, lacking: Sequence[str]) -> str:
    return ", ".join(f"{name}={getattr(capabilities, name)!r}" for name in lacking)


def _waived(test: Any, reason: str) -> Any:
    """A copy of a test that must fail."""
    if inspect.iscoroutinefunction(test):

        @functools.wraps(test)
        async def awaited(*arguments: Any, **options: Any) -> None:
            await test(*arguments, **options)

        copy: Any = awaited
    else:

        @functools.wraps(test)
        def called(*arguments: Any, **options: Any) -> None:
            test(*arguments, **options)

        copy = called
    setattr(copy, _WAIVED, test)
    copy.pytestmark = list(getattr(test, "pytestmark", ()))
    return pytest.mark.xfail(strict=True, reason=f"waived: {reason}")(copy)
