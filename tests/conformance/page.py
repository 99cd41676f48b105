"""The page of the conformance kit: rule by rule what proves it, and which defects are found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from queueconnector_core.testing import (
    CodecSuite,
    ConfigSourceSuite,
    DescriptorSuite,
    PipeSuite,
    SinkSuite,
    SourceSuite,
    Suite,
)
from queueconnector_core.testing.rules import rule_of
from tests.conformance.broken.suites import DEFECTS

ROOT: Final = Path(__file__).parents[2]
PATH: Final = ROOT / "docs" / "reference" / "conformance.md"
SPEC: Final = ROOT / "docs" / "spec" / "component.md"
SUITES: Final[tuple[type[Suite], ...]] = (
    *(SourceSuite, SinkSuite, PipeSuite, CodecSuite, ConfigSourceSuite, DescriptorSuite),
)

HEAD: Final = """# Conformance

What the [conformance kit](../how-to/test-a-plugin.md) proves of the
[contract of components](../spec/component.md), and how it was proven itself. This page is written
by `make reference`; a test compares it with what really happens.

## Rules

| Rule | Proven by |
| --- | --- |
"""
DEFECT_HEAD: Final = """
## Defects that it finds

In `tests/conformance/broken` stand components with one defect each. Each fails exactly the test
that is named here, and the right component that it is made of fails none.

| Kind | A component that … | is caught by |
| --- | --- | --- |
"""


def rules() -> list[str]:
    """The numbers of all rules of the contract, in their order."""
    return re.findall(r"^- \*\*(\d+\.\d+)\*\*", SPEC.read_text("utf-8"), re.MULTILINE)


def tests_of(suite: type[Suite]) -> list[str]:
    """The tests of a suite in the order in which pytest runs them: those of bases first."""
    names = [name for base in reversed(suite.__mro__) for name in vars(base)]
    return list(dict.fromkeys(name for name in names if name.startswith("test_")))


def numbers_of(suite: type[Suite], name: str) -> tuple[str, ...]:
    """The rules that a test proves."""
    rule = rule_of(getattr(suite, name))
    return () if rule is None else rule.numbers


def _proofs(number: str) -> Iterator[str]:
    for suite in SUITES:
        proofs = [name for name in tests_of(suite) if number in numbers_of(suite, name)]
        if proofs:
            yield f"{suite.__name__}: " + ", ".join(f"`{name}`" for name in proofs)


def text() -> str:
    """The page."""
    rows = [
        f"| {number} | {'; '.join(_proofs(number)) or 'the tests of core, or of the plugin'} |"
        for number in rules()
    ]
    defects = [
        f"| {kind} | {cls.__doc__} | `{cls.caught_by}` |"
        for kind, classes in DEFECTS.items()
        for cls in classes
    ]
    return HEAD + "\n".join(rows) + "\n" + DEFECT_HEAD + "\n".join(defects) + "\n"
