"""What stands in the pages of the documentation, to be executed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`([\w.-]+)`:\n+$")
QUOTED = re.compile(r"\]\(([^)#\s]+)\):\n+$")


class Block(NamedTuple):
    """A code block of a page."""

    language: str
    text: str
    line: int
    before: str
    """The page up to the block."""

    @property
    def file(self) -> str:
        """The file of the reader that it is: the text before it ends in its name and a colon."""
        found = FILE.search(self.before)
        return found[1] if found else ""

    @property
    def quoted(self) -> str:
        """The file of the repository that it is from: the text before it ends in a link to it."""
        found = QUOTED.search(self.before)
        return found[1] if found else ""

    @property
    def is_output(self) -> bool:
        """Whether it is what the blocks before it print, as the text before it says."""
        return self.language == "text" and self.before.rstrip().endswith("prints:")

    @property
    def is_directive(self) -> bool:
        """Whether it is an instruction to Sphinx, which builds the site."""
        return self.language.startswith("{")


def all_blocks(page: str) -> Iterator[Block]:
    """The code blocks of a page, which is named from the root."""
    text = (ROOT / page).read_text("utf-8")
    for found in FENCE.finditer(text):
        before = text[: found.start()]
        yield Block(found[2].strip(), found[3], before.count("\n") + 1, before)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a language in a page."""
    return [block.text for block in all_blocks(page) if block.language == language]
