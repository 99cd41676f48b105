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
lacking = {}
for name in modules:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        lacking[name] = error.name
print(json.dumps({
    "plugins": {plugin.distribution: plugin.error for plugin in report.plugins},
    "types": [t.name for p in report.plugins if p.distribution != "queueconnector-core" for t in p.types],
    "modules": len(modules),
    "lacking": lacking,
}))
"""  # noqa: E501 - a program, not prose

OF_EXTRAS = {"queueconnector_kafka._librdkafka": "confluent_kafka"}
"""The packages that only an extra makes usable, each with what it brings."""


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
    for module, missing in told["lacking"].items():
        assert OF_EXTRAS.get(module.rpartition(".")[0]) == missing, f"{module} needs {missing}"
