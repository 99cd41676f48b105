"""Write the JSON schemas of the project's own distributions into the documentation.

What else is installed is left out. Run it by `make reference`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from queueconnector_core.discovery import discover
from queueconnector_core.registry import Registry
from queueconnector_core.schema import Schema, config_sources_schema, json_schema
from workspace import ROOT, products, pyproject

FOLDER = ROOT / "docs" / "reference"

SCHEMAS: Mapping[str, Callable[[Registry], Schema]] = {
    "queueconnector.schema.json": json_schema,
    "config-sources.schema.json": config_sources_schema,
}
"""What makes the schema in each file."""


def standard_registry() -> Registry:
    """The component types of core and the project's plugins; all of them must be usable."""
    names = {pyproject(product)["project"]["name"] for product in products()}
    registry = Registry()
    for plugin in discover().plugins:
        if plugin.distribution in names:
            if plugin.error is not None:
                raise SystemExit(f"{plugin.distribution} is broken: {plugin.error}")
            names.discard(plugin.distribution)
            registry = registry.with_(plugin.types)
    if names:
        raise SystemExit(f"not installed: {', '.join(sorted(names))}")
    return registry


def schema_text(name: str) -> str:
    """The text of a file."""
    return json.dumps(SCHEMAS[name](standard_registry()), indent=2) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Write the files."""
    for name in SCHEMAS:
        (folder / name).write_text(schema_text(name), encoding="utf-8")
        print(f"wrote {(folder / name).relative_to(ROOT)}")


if __name__ == "__main__":
    write()
