"""Tables for people and for pipes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

__all__ = ("PIPED_WIDTH", "print_table", "new_table")

PIPED_WIDTH = 1000
"""Columns where the output is no terminal: a row stays one line for whatever program reads it."""


def new_table(*columns: str) -> Table:
    """A table without lines."""
    return Table(*columns, box=None, pad_edge=False)


def print_table(table: Table, *, stderr: bool = False) -> Console:
    """Print it; returns the console for what follows."""
    console = Console(soft_wrap=True, stderr=stderr)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(table)
    return console
