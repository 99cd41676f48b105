"""What stands in the pages of the documentation, to be executed."""

from __future__ import annotations

import re
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a language in a page, which is named from the root."""
    text = (ROOT / page).read_text("utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


@attrs.frozen
class Step:
    """A block of a page, and what its reader does with it."""

    language: str
    text: str
    file: str = ""
    """Under which name it is to be saved."""

    @property
    def lines(self) -> str:
        """The same for a shell: what the page asks to type stands there as it is."""
        if self.language == "sh":
            return self.text
        if self.language == "diff":
            return f"git apply <<'END OF BLOCK'\n{self.text}END OF BLOCK\n"
        return f"cat > {self.file} <<'END OF BLOCK'\n{self.text}END OF BLOCK\n"


def steps(page: str) -> list[Step]:
    """What a page asks its reader to do, in order.

    Lines for a shell, changes as diffs, and files: those that the paragraph before names in
    "Save this as `name`".
    """
    found: list[Step] = []
    end = 0
    text = (ROOT / page).read_text("utf-8")
    for block in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        saved = re.search(r"Save this as `([^`]+)`", text[end : block.start()])
        if saved or block[1] in {"sh", "diff"}:
            found.append(Step(block[1], block[2], saved[1] if saved else ""))
        end = block.end()
    return found
