"""Finds plugins through entry points, each loaded on its own.

pluggy's own loader stops at the first plugin that fails to import and drops a second one of the
same name without a word. Here every plugin is tried; what fails is reported and disturbs nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from importlib import metadata

import attrs
import pluggy

from queueconnector_core import hookspecs
from queueconnector_core.component import ComponentType
from queueconnector_core.errors import PluginError
from queueconnector_core.registry import Registry, install_hints

__all__ = ("Plugin", "DiscoveryReport", "discover")

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""The name of a distribution whose metadata is gone."""


@attrs.frozen
class Plugin:
    """An entry point that was found, with what it gave or why it could not be used."""

    distribution: str
    version: str
    entry_point: str
    api_version: int = 1
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
    for declared, entry_point in _entry_points():
        plugin = _load(declared, entry_point)
        if plugin.error is None:
            try:
                registry = registry.with_(plugin.types)
            except PluginError as error:
                reason = f"{error}, {_owners(plugin, plugins)}"
                plugin = attrs.evolve(plugin, types=(), error=reason)
        plugins.append(plugin)
    broken = {plugin.distribution: plugin.error for plugin in plugins if plugin.error is not None}
    return DiscoveryReport(tuple(plugins), attrs.evolve(registry, broken=broken))


def _entry_points() -> list[tuple[Plugin, metadata.EntryPoint]]:
    """The plugins that are declared, ours first, each beside what loads it.

    Of several distributions of one name the first on the path counts, as for imports.
    """
    found: list[tuple[Plugin, metadata.EntryPoint]] = []
    seen: set[str] = set()
    for distribution in metadata.distributions():
        name, version = _identity(distribution)
        if name in seen:
            continue
        seen.update({name} - {UNKNOWN})
        try:
            entry_points = distribution.entry_points
        except Exception as error:  # noqa: BLE001 - half removed, or not ours to judge
            logger.debug("%s %s has no readable entry points: %s", name, version, error)
            continue
        found += [
            (Plugin(name, version, entry_point.name), entry_point)
            for entry_point in entry_points
            if entry_point.group == hookspecs.PROJECT_NAME
        ]
    ours = ("queueconnector-core", *sorted(set(install_hints().values())))

    def order(item: tuple[Plugin, metadata.EntryPoint]) -> tuple[int, str, str]:
        name = item[0].distribution
        return (ours.index(name) if name in ours else len(ours), name, item[0].entry_point)

    return sorted(found, key=order)


def _identity(distribution: metadata.Distribution) -> tuple[str, str]:
    """Normalised name and version; an installation that was cut short may have neither."""
    try:
        name, version = distribution.name, distribution.version
    except Exception:  # noqa: BLE001 - the metadata may be anything
        name, version = None, None
    return re.sub(r"[-_.]+", "-", name or UNKNOWN).lower(), version or "?"


def _load(plugin: Plugin, entry_point: metadata.EntryPoint) -> Plugin:
    """Import one plugin and call its hook, apart from all others."""
    manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(entry_point.load(), name=plugin.distribution)
        manager.check_pending()
        plugin = attrs.evolve(plugin, api_version=_api_version(manager))
        found = manager.hook.queueconnector_components()
        types = tuple(_checked(found))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's fault stays its own
        return attrs.evolve(plugin, error=f"{type(error).__name__}: {error}")
    return attrs.evolve(plugin, types=types)


def _api_version(manager: pluggy.PluginManager) -> int:
    """What the plugin was written for; asked before anything else of it is used."""
    version = manager.hook.queueconnector_api_version()
    if version is None:
        return 1
    if not isinstance(version, int):
        raise PluginError(f"queueconnector_api_version gave {version!r}, not a whole number")
    if version != hookspecs.API_VERSION:
        newer = version > hookspecs.API_VERSION
        raise PluginError(
            f"it was written for version {version} of the plugin API; found version "
            f"{hookspecs.API_VERSION}: install a newer "
            f"{'queueconnector-core' if newer else 'release of the plugin'}"
        )
    return version


def _checked(found: list[Iterable[ComponentType]]) -> Iterable[ComponentType]:
    if not found:
        raise PluginError(
            "it does not implement the hook queueconnector_components, or that returns nothing"
        )
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
