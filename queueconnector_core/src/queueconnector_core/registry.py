"""The component types that a host knows: a value, not a global."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib import resources
from typing import Final

import attrs

from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.descriptors import Descriptor
from queueconnector_core.errors import ConfigError, PluginError

__all__ = ("Registry", "install_hints")

_DROPPED_WORDS: Final = re.compile("Data|Descriptor")
"""Words that type names lost in release 0.2.0 of the SKA LMC Queue Connector."""

_ALIKE: Final = 0.8
"""How much of a name has to be right for it to be taken for another one."""


@cache
def install_hints() -> Mapping[str, str]:
    """The distribution that provides each type name of the project's own plugins."""
    text = resources.files("queueconnector_core").joinpath("install_hints.json").read_text("utf-8")
    by_distribution: dict[str, list[str]] = json.loads(text)
    return {name: dist for dist, names in by_distribution.items() for name in names}


@attrs.frozen(eq=False)
class Registry:
    """Component types by kind and name; names and aliases are one name space per kind.

    `broken` maps the names of plugins that did not load to their reason, for better answers.
    """

    types: Mapping[tuple[ComponentKind, str], ComponentType] = attrs.field(factory=dict)
    broken: Mapping[str, str] = attrs.field(factory=dict)

    def with_(self, types: Iterable[ComponentType]) -> Registry:
        """A registry with more types.

        Raises `PluginError` when a name is taken, or a descriptor class belongs to another type.
        """
        merged = dict(self.types)
        described = {(known.kind, known.descriptor): known.name for known in self.walk()}
        for component in types:
            first = described.setdefault((component.kind, component.descriptor), component.name)
            if component.descriptor is not None and first != component.name:
                raise PluginError(
                    f"{component.name} has the descriptor class of {first}; each type needs its "
                    "own, and a second name for one type is an alias"
                )
            for name in (component.name, *component.aliases):
                if (component.kind, name) in merged:
                    raise PluginError(f"{component.kind.word} {name!r} is defined twice")
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
            raise ConfigError.at("", self._renamed(kind, name) or self._unknown(kind, name))
        return found

    def formerly(self, kind: ComponentKind, name: str) -> ComponentType | None:
        """The type that has another name now: an alias, or one that is no longer accepted."""
        known = self.types.get((kind, name))
        if known is not None:
            return None if known.name == name else known
        meant = self.near(kind, name)
        bare = _DROPPED_WORDS.sub("", name)
        if meant is not None and (name in meant.former_names or bare in self._names_of(meant)):
            return meant
        return None

    @staticmethod
    def _names_of(component: ComponentType) -> tuple[str, ...]:
        return (component.name, *component.aliases)

    def near(self, kind: ComponentKind, name: str) -> ComponentType | None:
        """The type of that name, or that which it probably means: its former or nearest name."""
        for component in self.walk(kind):
            if name in component.former_names:
                return component
        if (kind, name) not in self.types and self._is_elsewhere(name):
            return None
        names = [known for of_kind, known in self.types if of_kind is kind]
        bare = _DROPPED_WORDS.sub("", name)
        for meant in (name, bare, *difflib.get_close_matches(name, names, 1, _ALIKE)):
            if (kind, meant) in self.types:
                return self.types[kind, meant]
        return None

    def _is_elsewhere(self, name: str) -> bool:
        """Whether it is no mistake, but the name of something else, or not installed."""
        return name in install_hints() or any(known == name for _, known in self.types)

    def of_descriptor(self, descriptor: type[Descriptor], kind: ComponentKind) -> ComponentType:
        """The type whose descriptor class this is; raises `ConfigError` when there is none."""
        if found := self._described.get((kind, descriptor)):
            return found
        raise ConfigError.at("", f"no {kind.value.lower()} is registered for {descriptor.__name__}")

    @cached_property
    def _described(self) -> Mapping[tuple[ComponentKind, type[Descriptor] | None], ComponentType]:
        return {(known.kind, known.descriptor): known for known in self.walk()}

    def _renamed(self, kind: ComponentKind, name: str) -> str | None:
        """The answer to a name of older releases."""
        for component in self.walk(kind):
            if name in component.former_names:
                change = component.former_names[name]
                text = f"{_word(kind)} {name!r} is now called {component.name!r}"
                return f"{text}; {change}" if change else text
        bare = _DROPPED_WORDS.sub("", name)
        if bare != name and ((kind, bare) in self.types or bare in install_hints()):
            return f"{_word(kind)} {name!r} is now called {bare!r}"
        return None

    def _unknown(self, kind: ComponentKind, name: str) -> str:
        text = f"unknown {_word(kind)} {name!r}"
        distribution = install_hints().get(name)
        for other in ComponentKind:
            hinted = distribution is not None and _kind_named(name) is other
            if other is not kind and (hinted or (other, name) in self.types):
                article = "an" if other is ComponentKind.CODEC else "a"
                return f"{text}: it names {article} {_word(other)}"
        if distribution is not None:
            return f"{text}: {self._way_to(distribution)}"
        known = self.names(kind)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        return f"{text}{hint} (installed: {', '.join(known) or 'none'})"

    def _way_to(self, distribution: str) -> str:
        """How to get a type that `distribution` is known to provide."""
        if distribution in self.broken:
            return f"its plugin {distribution} is broken ({self.broken[distribution]})"
        provided = {name for name, owner in install_hints().items() if owner == distribution}
        if any(name in provided for _, name in self.types):
            return (
                f"the installed {distribution} does not have it; "
                f"pip install --upgrade {distribution}"
            )
        return f"it comes with a plugin that is not installed; pip install {distribution}"


def _kind_named(name: str) -> ComponentKind | None:
    """The kind whose word a type name ends in; `…ConfigSource` is no source."""
    kinds = [kind for kind in ComponentKind if name.endswith(kind.value)]
    return max(kinds, key=lambda kind: len(kind.value), default=None)


def _word(kind: ComponentKind) -> str:
    """What a component of that kind is called in a configuration."""
    return "encoding" if kind is ComponentKind.CODEC else f"{kind.word} type"
