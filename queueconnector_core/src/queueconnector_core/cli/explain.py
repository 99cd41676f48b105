"""`queueconnector explain`: what a type does, and how it is configured."""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Iterable
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from queueconnector_core.cli.explaining import facts_of_type, option_facts
from queueconnector_core.cli.problems import told
from queueconnector_core.cli.table import PIPED_WIDTH, new_console, new_table, print_table
from queueconnector_core.component import ComponentKind, ComponentType
from queueconnector_core.descriptors import ExchangeDescriptor, QueueConnectorDescriptor
from queueconnector_core.discovery import DiscoveryReport, discover
from queueconnector_core.errors import ConfigError
from queueconnector_core.registry import Registry

__all__ = ("explain",)

WHOLE = {"configuration": QueueConnectorDescriptor, "exchange": ExchangeDescriptor}
"""What is explained beside types."""


def explain(
    name: str | None = None,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Explain a component type, an encoding, or the configuration itself.

    Tells the purpose, the options with types, bounds, units and defaults, what is promised, and an
    example that is accepted as it stands. Without a name: what can be explained.

    Exit codes: 0, 2 for a name that nothing has.

    Examples: `queueconnector explain KafkaProducerSink`, `queueconnector explain json`,
    `queueconnector explain exchange`.

    Parameters
    ----------
    name
        A type or encoding that is installed, also by an older name; or `exchange`, or
        `configuration`.
    as_json
        Print a JSON object; without a name a list of them.
    """

    def command() -> int:
        report = discover()
        if name is None:
            _tell_all(report, as_json=as_json)
        else:
            facts = facts_named(name, report)
            print(json.dumps(facts, indent=2)) if as_json else _tell(facts)
        return 0

    return told(command)


def facts_named(name: str, report: DiscoveryReport) -> dict[str, Any]:
    """Everything about the type of that name; raises `ConfigError` that names the nearest."""
    if name.lower() in WHOLE:
        cls = WHOLE[name.lower()]
        purpose = inspect.getdoc(cls) or ""
        return {"name": name.lower(), "purpose": purpose, "options": list(option_facts(cls))}
    found = _find(name, report.registry)
    facts = facts_of_type(found, report.registry)
    for plugin in report.plugins:
        if found in plugin.types:
            facts |= {"distribution": plugin.distribution, "version": plugin.version}
    return facts


def _find(name: str, registry: Registry) -> ComponentType:
    for kind in ComponentKind:
        for component in registry.walk(kind):
            if name in {component.name, *component.aliases, *component.former_names}:
                return component
    known = {each: each.lower() for each in (*WHOLE, *(known for _, known in registry.types))}
    near = difflib.get_close_matches(name.lower(), known.values(), n=3)
    names = [each for each, lower in known.items() if lower in near]
    hint = f"; did you mean {' or '.join(map(repr, names))}?" if names else ""
    text = f"nothing that is installed is called {name!r}{hint}"
    raise ConfigError.at("", f"{text} (`queueconnector explain` lists all)")


def _tell_all(report: DiscoveryReport, *, as_json: bool) -> None:
    rows = [
        {
            "name": each.name,
            "kind": each.kind.word,
            "purpose": facts_of_type(each, report.registry)["purpose"].partition("\n")[0],
        }
        for kind in ComponentKind
        for each in report.registry.walk(kind)
    ]
    rows += [
        {"name": name, "kind": "part", "purpose": (inspect.getdoc(cls) or "").partition("\n")[0]}
        for name, cls in WHOLE.items()
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    table = new_table("name", "kind", "purpose")
    for row in rows:
        table.add_row(*(escape(row[column]) for column in ("name", "kind", "purpose")))
    print_table(table)


def _tell(facts: dict[str, Any]) -> None:
    console = new_console(highlight=False)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(f"[bold]{escape(facts['name'])}[/] {escape(_origin(facts))}")
    console.print(escape(facts["purpose"]))
    for line in _lines(facts):
        console.print(escape(line))
    if "carries" in facts:
        console.print(_carries(facts["carries"]))
    if "options" in facts:
        table = new_table("option", "type", "default", "unit", "meaning")
        _add_options(table, facts["options"], "")
        console.print("\n[bold]Options[/]" if facts["options"] else "\nIt has no options.")
        console.print(table)
    if facts.get("example"):
        console.print("\n[bold]Example[/]")
        console.print(escape(json.dumps(facts["example"], indent=2)))


def _origin(facts: dict[str, Any]) -> str:
    if "distribution" not in facts:
        return ""
    return f"- {facts['kind']} of {facts['distribution']} {facts['version']}"


def _lines(facts: dict[str, Any]) -> Iterable[str]:
    if "stability" in facts:
        yield f"\nStability: {facts['stability']}: {facts['promise']}."
    if "guarantee" in facts:
        yield f"Delivery: {facts['guarantee']}: {facts['meaning']}."
    if facts.get("requires"):
        yield f"Needs of its host: {', '.join(facts['requires'])} (the device server has it)."
    if facts.get("aliases"):
        yield f"Also written: {', '.join(facts['aliases'])}."
    for former, change in facts.get("former_names", {}).items():
        yield f"Formerly {former}" + (f": {change}." if change else ".")
    for former, reason in facts.get("former_options", {}).items():
        yield f"No longer an option: {former}: {reason}."


def _carries(rows: Iterable[dict[str, Any]]) -> Table:
    table = new_table("dtype", "dimensions")
    for row in rows:
        table.add_row(escape(json.dumps(row["dtype"])), "; ".join(row["dimensions"]))
    return table


def _add_options(table: Table, options: Iterable[dict[str, Any]], above: str) -> None:
    for option in options:
        default = "required" if option["required"] else json.dumps(option.get("default"))
        allowed = f" Allowed: {option['allowed']}." if "allowed" in option else ""
        cells = (
            f"{above}{option['name']}",
            option["type"],
            default,
            option.get("unit", ""),
            option["description"] + allowed,
        )
        table.add_row(*map(escape, cells))
        _add_options(table, option.get("options", ()), f"{above}{option['name']}.")
