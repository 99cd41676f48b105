"""`queueconnector list`: what is installed, and what is broken."""

from __future__ import annotations

import json
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from queueconnector_core.cli.table import new_table, print_table
from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.discovery import DiscoveryReport, Plugin, discover

__all__ = ("list_plugins",)


def list_plugins(*, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False) -> int:
    """List the installed plugins and the component types that they provide.

    Parameters
    ----------
    as_json
        Print one JSON document instead of a table.
    """
    report = discover()
    if as_json:
        print(json.dumps([_plugin_json(plugin) for plugin in report.plugins], indent=2))
    else:
        console = print_table(_types_table(report))
        for plugin in report.broken:
            name = f"{plugin.distribution} {plugin.version}"
            console.print(Text(f"broken: {name}: {plugin.error}", style="red"))
    return 0


def _plugin_json(plugin: Plugin) -> dict[str, Any]:
    return {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "entry_point": plugin.entry_point,
        "api_version": plugin.api_version,
        "error": plugin.error,
        "types": [_type_json(component) for component in plugin.types],
    }


def _type_json(component: ComponentType) -> dict[str, Any]:
    return {
        "name": component.name,
        "kind": component.kind.word,
        "aliases": list(component.aliases),
        "guarantee": component.guarantee.value,
        "stability": component.stability.value,
    }


def _types_table(report: DiscoveryReport) -> Table:
    table = new_table("kind", "type", "plugin", "guarantee", "stability")
    for kind in ComponentKind:
        for plugin in report.plugins:
            for component in plugin.types:
                if component.kind is kind:
                    table.add_row(
                        kind.word,
                        component.name,
                        f"{plugin.distribution} {plugin.version}",
                        component.guarantee.value,
                        component.stability.value,
                    )
    return table
