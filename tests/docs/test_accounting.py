"""The page on accounts lists what the code has."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
from pathlib import Path

import attrs

from queueconnector_core import gaps
from queueconnector_core.descriptors import ExchangeDescriptor
from queueconnector_core.exchange import GAPS_TIMEOUT_S
from queueconnector_core.gaps import KEPT_GAPS, Gap, GapReason
from queueconnector_core.outage import LONGEST_WAIT_S
from queueconnector_kafka import _consumer

PAGE = (Path(__file__).parents[2] / "docs/explanation/accounting.md").read_text("utf-8")


def table(head: str) -> dict[str, str]:
    """The rows of the table under a head, by their first column."""
    rows = PAGE.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows]
    return {first.strip("`"): second for first, second in cells}


def documented_reasons() -> dict[str, str]:
    """Each reason with its docstring."""
    (body,) = (
        node.body
        for node in ast.parse(inspect.getsource(gaps)).body
        if isinstance(node, ast.ClassDef) and node.name == GapReason.__name__
    )
    found = {}
    for member, text in itertools.pairwise(body):
        if isinstance(member, ast.Assign) and isinstance(text, ast.Expr):
            found[ast.literal_eval(member.value)] = ast.literal_eval(text.value)
    return found


def test_the_reasons_are_those_of_the_ledger() -> None:
    assert set(documented_reasons()) == {reason.value for reason in GapReason}
    assert table("reason | what happened") == documented_reasons()


def test_the_fields_are_those_of_an_entry() -> None:
    told = ", ".join(table("field | what it holds"))
    names = [name for name in re.split(r"[`, ]+", told) if name]
    assert names == [field.name for field in attrs.fields(Gap)]
    example = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])  # type: ignore[index]
    assert set(example) == {"exchange", *names}


def test_the_times_are_those_of_the_code() -> None:
    limit_s = attrs.fields(ExchangeDescriptor).health_limit_s.default
    assert f"`health_limit_s` is an option of the exchange, {limit_s:g} s" in PAGE
    assert f"latest {KEPT_GAPS:,} closed entries" in PAGE
    assert f"at most {KEPT_GAPS:,} of them" in PAGE
    assert f"every {LONGEST_WAIT_S:g} s" in PAGE
    assert f"it\nhas {GAPS_TIMEOUT_S:g} s to take what is left" in PAGE
    assert f"heard nothing for {_consumer.SILENCE_S:g} s" in PAGE
