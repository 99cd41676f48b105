"""Finds plugins through entry points, each loaded on its own.

pluggy's own loader stops at the first plugin that fails to import and drops a second one of the
same name without a word. Here every plugin is tried; what fails is reported and disturbs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata

import attrs
import pluggy

from queueconnector_core import hookspecs
from queueconnector_core.component import ComponentType
from queueconnector_core.errors import PluginError
from queueconnector_core.registry import Registry

__all__ = ("Plugin", "DiscoveryReport", "discover")


@attrs.frozen
class Plugin:
    """An entry point that was found, with what it gave or why it could not be used."""

    distribution: str
    version: str
    entry_point: str
    types: tuple[ComponentType, ...] = ()
    error: str | None = None


@attrs.frozen
class DiscoveryReport:
    """All plugins that are installed, and the registry of those that work."""

    plugins: tuple[Plugin, ...]
    registry: Registry

    @property
    def broken(self) -> tuple[Plugin, ...]:
        """The plugins that could not be used."""
        return tuple(plugin for plugin in self.plugins if plugin.error is not None)


def discover() -> DiscoveryReport:
    """Load every installed plugin; never raises for a plugin's fault.

    The project's own distributions come first, then the others by name, so that a third party
    cannot take over a name: whoever defines a name again is reported as broken, as a whole.
    """
    registry = Registry()
    plugins: list[Plugin] = []
    for entry_point in _entry_points():
        plugin = _load(entry_point)
        if plugin.error is None:
            try:
                registry = registry.with_(plugin.types)
            except PluginError as error:
                reason = f"{error}, {_owners(plugin, plugins)}"
                plugin = attrs.evolve(plugin, types=(), error=reason)
        plugins.append(plugin)
    broken = {plugin.distribution: plugin.error for plugin in plugins if plugin.error is not None}
    return DiscoveryReport(tuple(plugins), attrs.evolve(registry, broken=broken))


def _entry_points() -> list[metadata.EntryPoint]:
    def order(entry_point: metadata.EntryPoint) -> tuple[bool, bool, str, str]:
        name = _distribution(entry_point)[0]
        ours = name.startswith("queueconnector-")
        return (name != "queueconnector-core", not ours, name, entry_point.name)

    return sorted(metadata.entry_points(group=hookspecs.PROJECT_NAME), key=order)


def _distribution(entry_point: metadata.EntryPoint) -> tuple[str, str]:
    found = entry_point.dist
    return (found.name, found.version) if found is not None else ("unknown", "?")


def _load(entry_point: metadata.EntryPoint) -> Plugin:
    """Import one plugin and call its hook, apart from all others."""
    name, version = _distribution(entry_point)
    plugin = Plugin(name, version, entry_point.name)
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(entry_point.load(), name=f"{name}:{entry_point.name}")
        manager.check_pending()
        found = manager.hook.queueconnector_components()
        types = tuple(_checked(found))
    except Exception as error:  # noqa: BLE001 - whatever a plugin does wrong stays its own
        return attrs.evolve(plugin, error=f"{type(error).__name__}: {error}")
    return attrs.evolve(plugin, types=types)


def _checked(found: list[Iterable[ComponentType]]) -> Iterable[ComponentType]:
    if not found:
        raise PluginError("it does not implement the hook queueconnector_components")
    for component in (component for components in found for component in components):
        if not isinstance(component, ComponentType):
            raise PluginError(f"the hook gave {component!r}, not a ComponentType")
        yield component


def _owners(plugin: Plugin, earlier: Iterable[Plugin]) -> str:
    """Who has defined the names of `plugin` before."""
    names = {(t.kind, n) for t in plugin.types for n in (t.name, *t.aliases)}
    owners = [
        other.distribution
        for other in earlier
        if names & {(t.kind, n) for t in other.types for n in (t.name, *t.aliases)}
    ]
    return f"by {' and '.join(dict.fromkeys((*owners, plugin.distribution)))}"
