"""Defines `InMemorySource` again, after a type of its own."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from queueconnector_core.component import BuildContext, ComponentKind, ComponentType
from queueconnector_core.descriptors import SourceDescriptor
from queueconnector_core.hookspecs import hookimpl


@attrs.frozen
class AgainSourceDescriptor(SourceDescriptor):
    """Of a type whose name is free."""


@attrs.frozen
class InMemorySourceDescriptor(SourceDescriptor):
    """Of a type whose name is taken."""


class NeverBuilt:
    """A refused plugin is not used."""

    def __init__(self, descriptor: SourceDescriptor, context: BuildContext) -> None:
        raise AssertionError(f"{descriptor} was built in {context.name}")


@hookimpl
def queueconnector_components() -> Iterable[ComponentType]:
    kind = ComponentKind.SOURCE
    yield ComponentType("AgainSource", kind, NeverBuilt, AgainSourceDescriptor)
    yield ComponentType("InMemorySource", kind, NeverBuilt, InMemorySourceDescriptor)
