"""The component types that a host knows: a value, not a global."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources

import attrs

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.descriptors import Descriptor
from queueconnector_core.errors import ConfigError, PluginError

__all__ = ("Registry", "install_hints")


@cache
def install_hints() -> Mapping[str, str]:
    """The distribution that provides each type name of the project's own plugins."""
    text = resources.files("queueconnector_core").joinpath("install_hints.json").read_text("utf-8")
    by_distribution: dict[str, list[str]] = json.loads(text)
    return {name: dist for dist, names in by_distribution.items() for name in names}


@attrs.frozen
class Registry:
    """Component types by kind and name; names and aliases are one name space per kind.

    `broken` maps the names of plugins that did not load to their reason, for better answers.
    """

    types: Mapping[tuple[ComponentKind, str], ComponentType] = attrs.field(factory=dict)
    broken: Mapping[str, str] = attrs.field(factory=dict)

    def with_(self, types: Iterable[ComponentType]) -> Registry:
        """A registry with more types; raises `PluginError` when a name is taken."""
        merged = dict(self.types)
        for component in types:
            for name in (component.name, *component.aliases):
                if (component.kind, name) in merged:
                    raise PluginError(f"{component.kind.value.lower()} {name!r} is defined twice")
                merged[component.kind, name] = component
        return attrs.evolve(self, types=merged)

    def without(self, *names: str) -> Registry:
        """A registry without the types of these names."""
        left = {key: found for key, found in self.types.items() if found.name not in names}
        return attrs.evolve(self, types=left)

    def walk(self, kind: ComponentKind | None = None) -> Iterator[ComponentType]:
        """Each type once (not its aliases), in order of registration."""
        for (_, name), component in self.types.items():
            if name == component.name and kind in (None, component.kind):
                yield component

    def names(self, kind: ComponentKind) -> list[str]:
        """The names of a kind, sorted, without aliases."""
        return sorted(component.name for component in self.walk(kind))

    def lookup(self, kind: ComponentKind, name: str) -> ComponentType:
        """The type of that name or alias.

        Raises `ConfigError` (empty path) that names the nearest type, or how to install it.
        """
        found = self.types.get((kind, name))
        if found is None:
            raise ConfigError.at("", self._unknown(kind, name))
        return found

    def of_descriptor(self, descriptor: type[Descriptor], kind: ComponentKind) -> ComponentType:
        """The type whose descriptor class this is; raises `ConfigError` when there is none."""
        for component in self.walk(kind):
            if component.descriptor is descriptor:
                return component
        raise ConfigError.at("", f"no {kind.value.lower()} is registered for {descriptor.__name__}")

    def _unknown(self, kind: ComponentKind, name: str) -> str:
        word = "encoding" if kind is ComponentKind.CODEC else f"{kind.value.lower()} type"
        text = f"unknown {word} {name!r}"
        distribution = install_hints().get(name)
        if distribution is not None and distribution in self.broken:
            return f"{text}: its plugin {distribution} is broken ({self.broken[distribution]})"
        if distribution is not None:
            return (
                f"{text}: it comes with a plugin that is not installed; pip install {distribution}"
            )
        known = self.names(kind)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        return f"{text}{hint} (installed: {', '.join(known) or 'none'})"
