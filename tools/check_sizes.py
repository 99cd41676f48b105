"""Keep modules and functions small, and tests at least as long as what they test.

Prints the figures of the released packages, then every limit that is broken; the exit code is 1
when there is one. Annotations are checked by mypy, docstrings by ruff (rules D1).
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from workspace import ROOT, members, products

MODULE_LINES = 400
MODULE_MEDIAN = 120
FUNCTION_LINES = 60
FUNCTION_P90 = 25

EXCEPTIONS: Mapping[str, str] = {}
"""Modules (`path`) and functions (`path:Class.method`) that may be longer, each with the reason."""


class Item(NamedTuple):
    """One module or function."""

    name: str
    lines: int


def modules_in(folders: Iterable[Path]) -> list[Path]:
    """All modules below `folders`; a folder that is not there has none."""
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def count_lines(path: Path) -> int:
    """Physical lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def functions_of(node: ast.AST, prefix: str) -> Iterator[Item]:
    """Functions and methods below `node`, nested ones too, without their decorators."""
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            separator = "." if ":" in prefix else ":"
            name = f"{prefix}{separator}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield Item(name, (child.end_lineno or child.lineno) - child.lineno + 1)
        yield from functions_of(child, name)


def measure(paths: Iterable[Path], root: Path) -> tuple[list[Item], list[Item]]:
    """Modules and functions of `paths`, named relative to `root`."""
    modules: list[Item] = []
    functions: list[Item] = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        modules.append(Item(name, count_lines(path)))
        functions.extend(functions_of(ast.parse(path.read_bytes()), name))
    return modules, functions


def percentile_90(values: list[int]) -> int:
    """The smallest value that nine tenths of `values` do not exceed; 0 without values."""
    return sorted(values)[-(len(values) // 10) - 1] if values else 0


def longest(items: list[Item]) -> str:
    """The longest item, for people."""
    item = max(items, key=lambda item: item.lines)
    return f"{item.lines} ({item.name})"


def too_long(items: list[Item], limit: int, exceptions: Mapping[str, str]) -> list[str]:
    """One line for each item beyond `limit` that is no named exception."""
    return [
        f"{item.name} has {item.lines} lines; at most {limit} (split it, or name it in EXCEPTIONS)"
        for item in items
        if item.lines > limit and item.name not in exceptions
    ]


def stale(items: list[Item], limit: int, exceptions: Mapping[str, str]) -> list[str]:
    """One line for each exception that is no longer needed."""
    return [
        f"{item.name} is within {limit} lines now; take it out of EXCEPTIONS"
        for item in items
        if item.lines <= limit and item.name in exceptions
    ]


def main() -> int:
    """Measure, print, judge."""
    product = modules_in(member / "src" for member in products())
    others = modules_in([*(member / "src" for member in members()), ROOT / "tools", ROOT / "bench"])
    modules, functions = measure(product, ROOT)
    all_modules, all_functions = measure(sorted({*product, *others}), ROOT)

    median = statistics.median(item.lines for item in modules)
    p90 = percentile_90([item.lines for item in functions])
    source_lines = sum(item.lines for item in modules)
    test_lines = sum(map(count_lines, modules_in([ROOT / "tests"])))
    print(f"modules    {len(modules):5}  median {median:g}, longest {longest(modules)}")
    print(f"functions  {len(functions):5}  p90 {p90}, longest {longest(functions)}")
    print(f"lines      {source_lines:5}  tests {test_lines}, ratio {test_lines / source_lines:.2f}")

    problems = [
        *too_long(all_modules, MODULE_LINES, EXCEPTIONS),
        *too_long(all_functions, FUNCTION_LINES, EXCEPTIONS),
        *stale(all_modules, MODULE_LINES, EXCEPTIONS),
        *stale(all_functions, FUNCTION_LINES, EXCEPTIONS),
    ]
    if median > MODULE_MEDIAN:
        problems.append(f"the median module has {median:g} lines; at most {MODULE_MEDIAN}")
    if p90 > FUNCTION_P90:
        problems.append(
            f"a tenth of the functions has over {p90 - 1} lines; at most {FUNCTION_P90}"
        )
    if test_lines < source_lines:
        problems.append(
            f"tests have {test_lines} lines, the source {source_lines}; write more tests"
        )
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
