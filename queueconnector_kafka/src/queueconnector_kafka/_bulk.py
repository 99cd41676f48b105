"""Applies a codec to many values at the cost of the codec alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from queueconnector_core.errors import RecordError

__all__ = ("apply",)

Given = TypeVar("Given")
Result = TypeVar("Result")


def apply(
    function: Callable[[Given], Result], values: Iterable[Given]
) -> tuple[list[Result], dict[int, RecordError]]:
    """The results of `function` in order, and by index the errors of the values that it refused."""
    results: list[Result] = []
    failures: dict[int, RecordError] = {}
    iterator = iter(values)
    while True:
        try:
            # Extending keeps what came before an error, and the iterator goes on behind it.
            results.extend(map(function, iterator))
        except RecordError as error:
            failures[len(results) + len(failures)] = error
        else:
            return results, failures
