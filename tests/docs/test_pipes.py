"""Every exchange of the page on pipes is read, and gives what stands under it."""

from __future__ import annotations

import ast
import asyncio
import json
import re
from typing import Any

import numpy as np
import pytest

from queueconnector_core.component import ComponentKind, Services
from queueconnector_core.discovery import discover
from queueconnector_core.plan import Plan, read_plan
from queueconnector_memory import store
from queueconnector_tango.host import AttributeHost
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/how-to/pipes.md").read_text("utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```\n(?:\n```python\n(.*?)```)?", PAGE, re.DOTALL)
REGISTRY = discover().registry
CORE = ("queueconnector_core.pipes", "queueconnector_core.sinks")
OWN = [found.name for found in REGISTRY.walk() if found.factory.__module__.startswith(CORE)]


def planned(example: str) -> Plan:
    services = Services({AttributeHost: object()})
    return read_plan(json.dumps({"exchanges": [json.loads(example)]}), REGISTRY, services)


@pytest.mark.parametrize(("example", "result"), EXAMPLES)
def test_every_exchange_works(example: str, result: str) -> None:
    ((plan,),) = planned(example).groups.values()
    if result:
        assert plain(asyncio.run(arrived(plan))) == ast.literal_eval(result)


async def arrived(plan: Any) -> list[Any]:
    """What the sink of that key holds when the exchange has ended."""
    store.reset()
    exchange = plan.build(REGISTRY, Services())
    await exchange.start()
    await exchange.run()
    await exchange.stop()
    return [record.value for record in store.records("out")]


def plain(values: list[Any]) -> list[Any]:
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]


def test_most_examples_are_run() -> None:
    assert sum(bool(result) for _, result in EXAMPLES) >= len(EXAMPLES) / 2


@pytest.mark.parametrize("name", [name for name in OWN if name != "DefaultPipe"])
def test_every_pipe_and_sink_of_core_has_its_heading_and_an_example(name: str) -> None:
    section = PAGE.split(f"\n## {name}\n")[1].split("\n## ")[0]

    assert f'"type": "{name}"' in section


def test_the_reference_has_them_all() -> None:
    page = (ROOT / "docs/reference/components.md").read_text("utf-8")

    assert len(OWN) == len(set(OWN)) >= 17
    assert [name for name in OWN if f"### {name}\n" not in page] == []
    assert REGISTRY.lookup(ComponentKind.PIPE, "MapPipe").stability.value == "beta"
