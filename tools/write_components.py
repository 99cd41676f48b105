"""Write the reference of all components and encodings into the documentation.

It says what the descriptors, the codecs and the JSON schema say, in tables. Run it by `make
reference`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from queueconnector_core.codecs import CODECS
from queueconnector_core.codecs.raw import RawCodec
from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.schema import config_sources_schema, json_schema
from workspace import ROOT
from write_schema import standard_registry

PAGE = ROOT / "docs" / "reference" / "components.md"

HEAD = """\
---
tocdepth: 3
---

# Components

Every component of core and of the project's plugins, with its options. The same declarations make
the [JSON schema](queueconnector.schema.json) and check what is configured. Which dtypes and shapes
go from where to where is in the [compatibility tables](compatibility.md).
"""

SOURCES_HEAD = """\
## Configuration sources

Where a host takes its configurations from, and how it tells how they fare; property
`config_sources` of the device server is a JSON list of them
([JSON schema](config-sources.schema.json)).
"""


def page_text() -> str:
    """The text of the page."""
    registry = standard_registry()
    schema = json_schema(registry)
    definitions = schema["$defs"]
    lines = [HEAD, "## Configuration\n", *_described("configuration", schema, "###")]
    exchange = definitions["ExchangeDescriptor"]
    lines += ["## ExchangeDescriptor\n", *_described("exchange", exchange, "###")]
    for kind in (ComponentKind.SOURCE, ComponentKind.PIPE, ComponentKind.SINK):
        lines.append(f"## {kind.value}s\n")
        for component in registry.walk(kind):
            lines += [f"### {component.name}\n", *_facts(component)]
            lines += _described(component.name, definitions[component.name])
    lines.append("## Parts of options\n")
    known = {"ExchangeDescriptor", *(component.name for component in registry.walk())}
    for name in definitions:
        if name not in known and name[0].isupper():
            lines += [f"### {name}\n", *_described(name, definitions[name])]
    lines.append("## Encodings\n")
    for encoding, codec in CODECS:
        lines += [f"### {encoding}\n", f"{inspect.getdoc(codec)}\n"]
    lines += ["### Any label, for dtype bytes\n", f"{inspect.getdoc(RawCodec)}\n"]
    lines.append(SOURCES_HEAD)
    definitions = config_sources_schema(registry)["$defs"]
    for component in registry.walk(ComponentKind.CONFIG_SOURCE):
        lines += [f"### {component.name}\n", *_facts(component)]
        lines += _described(component.name, definitions[component.name])
    return "\n".join(lines).rstrip() + "\n"


def _facts(component: ComponentType) -> Iterator[str]:
    also = f"; also written {', '.join(component.aliases)}" if component.aliases else ""
    delivery = f"Delivery: {component.guarantee.value}. "
    if component.kind is ComponentKind.CONFIG_SOURCE:
        delivery = ""
    yield f"{delivery}Stability: {component.stability.value}{also}.\n"


def _described(name: str, definition: dict[str, Any], heading: str = "####") -> Iterator[str]:
    """The description of an object, and a heading for each option of it."""
    yield f"{definition['description']}\n"
    required = definition.get("required", [])
    options = {option: o for option, o in definition["properties"].items() if option != "type"}
    if not options:
        yield "No options.\n"
    for option, of_type in options.items():
        default = f"default `{json.dumps(of_type.get('default'))}`"
        yield f"{heading} `{name}.{option}`\n"
        yield f"*{_type(of_type)}, {'required' if option in required else default}*\n"
        yield f"{of_type.get('description', '')}\n"


def _type(option: dict[str, Any]) -> str:
    """What JSON an option takes, in words."""
    if "$ref" in option:
        name = option["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})" if name[0].isupper() else name
    for choice in ("anyOf", "oneOf"):
        if choice in option:
            return " or ".join(dict.fromkeys(_type(part) for part in option[choice]))
    if "enum" in option:
        return ", ".join(f"`{json.dumps(value)}`" for value in option["enum"])
    types = option.get("type", "any")
    if types == "array":
        return f"list of {_type(option.get('items', {}))}"
    return types if isinstance(types, str) else " or ".join(types)


def write(path: Path = PAGE) -> None:
    """Write the file."""
    path.write_text(page_text(), encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    write()
