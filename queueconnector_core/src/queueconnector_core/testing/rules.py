"""Which rule of `docs/spec/component.md` each test proves, and when a test applies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

__all__ = ("Rule", "rule", "rule_of", "RULE")

Test = TypeVar("Test", bound=Callable[..., Any])

RULE: Final = "conformance_rule"
"""The attribute of a test in which its rule stands."""


@attrs.frozen
class Rule:
    """What a test proves, and what it needs."""

    numbers: tuple[str, ...]
    """The numbers of the rules in `docs/spec/component.md`."""
    requires: tuple[str, ...] = ()
    """The capabilities that the component must have."""
    after: tuple[str, ...] = ()
    """Tests of the same suite: where one of them failed, this one would say the same again."""


def rule(
    *numbers: str, requires: tuple[str, ...] = (), after: tuple[str, ...] = ()
) -> Callable[[Test], Test]:
    """Mark a test of a suite with the rules that it proves.

    ```python
    class TemperatureSuite(SourceSuite):
        @rule("4.3", requires=("live",), after=("test_accept_all",))
        async def test_no_value_is_below_zero(self, harness): ...
    ```
    """

    def marked(test: Test) -> Test:
        setattr(test, RULE, Rule(numbers, requires, after))
        return test

    return marked


def rule_of(test: object) -> Rule | None:
    """The rule of a test; None: it proves none."""
    found = getattr(test, RULE, None)
    return found if isinstance(found, Rule) else None
