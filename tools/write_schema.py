"""Write the JSON schema of the project's own distributions into the documentation.

What else is installed is left out. Run it by `make reference`.
"""

from __future__ import annotations

import json
from pathlib import Path

from queueconnector_core.discovery import discover
from queueconnector_core.registry import Registry
from queueconnector_core.schema import json_schema
from workspace import ROOT, products, pyproject

SCHEMA = ROOT / "docs" / "reference" / "queueconnector.schema.json"


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


def schema_text() -> str:
    """The text of the file."""
    return json.dumps(json_schema(standard_registry()), indent=2) + "\n"


def write(path: Path = SCHEMA) -> None:
    """Write the file."""
    path.write_text(schema_text(), encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    write()
