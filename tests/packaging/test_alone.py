"""Each wheel works without its siblings: all it needs is core."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.packaging.environment import Environment
from workspace import products

PLUGINS = [name for product in products() if (name := product.name) != "queueconnector_core"]

IMPORTS = """
import importlib, json, pkgutil, sys
from queueconnector_core.discovery import discover
report = discover()
package = importlib.import_module(sys.argv[1])
modules = [module.name for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in modules:
    importlib.import_module(name)
print(json.dumps({
    "plugins": {plugin.distribution: plugin.error for plugin in report.plugins},
    "types": [t.name for p in report.plugins if p.distribution != "queueconnector-core" for t in p.types],
    "modules": len(modules),
}))
"""  # noqa: E501 - a program, not prose


@pytest.mark.parametrize("package", PLUGINS)
def test_a_plugin_is_installed_and_loaded_with_core_alone(
    clean_environment: Callable[..., Environment], package: str
) -> None:
    distribution = package.replace("_", "-")
    environment = clean_environment(distribution)
    script = environment.write("imports.py", IMPORTS)

    told = json.loads(environment.call([environment.command("python"), script, package]))

    assert told["plugins"] == {"queueconnector-core": None, distribution: None}
    assert told["types"]
    assert told["modules"] > 1
