"""Tables for people and for pipes."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

__all__ = ("PIPED_WIDTH", "new_console", "new_table", "print_table")

PIPED_WIDTH = 1000
"""Columns where the output is no terminal: a row stays one line for whatever program reads it."""


def new_table(*columns: str) -> Table:
    """A table without lines."""
    return Table(*columns, box=None, pad_edge=False)


def new_console(*, soft_wrap: bool = True, stderr: bool = False, highlight: bool = True) -> Console:
    """A console that prints what it is given: `:bomb:` in a name is no picture.

    The table of these would be loaded for the first line, while records wait for some 50 ms.
    """
    return Console(soft_wrap=soft_wrap, stderr=stderr, highlight=highlight, emoji=False)


def print_table(table: Table, *, stderr: bool = False) -> Console:
    """Print it; returns the console for what follows."""
    console = new_console(stderr=stderr)
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    console.print(table)
    return console
