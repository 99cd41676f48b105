"""Faulty configurations, each with every fault that has to be told, and where.

In `faulty.txt` a line `== words` begins a configuration; ` <-- path | words` behind a line says
that a fault is to be told there. `faulty_live.txt` holds those that only the far
ends give away; names in capitals stand for what a test has started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import attrs

__all__ = ("FAULTY", "FAULTY_LIVE", "Faulty")

MARK = " <-- "


@attrs.frozen
class Fault:
    """What is to be told of one line."""

    line: int
    path: str
    words: str


@attrs.frozen
class Faulty:
    """A configuration with its faults."""

    name: str
    text: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return self.name

    def of(self, names: Mapping[str, str]) -> Faulty:
        """The same with what stands for the names."""
        text = self.text
        for name, value in names.items():
            text = text.replace(f'"{name}"', json.dumps(value))
        return attrs.evolve(self, text=text)


def read(name: str) -> list[Faulty]:
    """All configurations of a file beside this one."""
    written = Path(__file__).with_name(name).read_text("utf-8")
    return [_faulty(*part.split("\n", 1)) for part in written.split("== ")[1:]]


def _faulty(name: str, body: str) -> Faulty:
    lines, faults = [], []
    for number, line in enumerate(body.rstrip("\n").split("\n"), 1):
        text, *marks = line.split(MARK)
        lines.append(text)
        for mark in marks:
            path, words = mark.split("|", 1)
            faults.append(Fault(number, path.strip(), words.strip()))
    return Faulty(name, "\n".join(lines), tuple(faults))


FAULTY = read("faulty.txt")
FAULTY_LIVE = read("faulty_live.txt")
