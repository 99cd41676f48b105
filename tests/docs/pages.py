"""What stands in the pages of the documentation, and how each block is held against the world."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT = Path(__file__).parents[2]

PAGES: Final = (
    "README.md",
    *sorted(
        str(page.relative_to(ROOT))
        for pattern in ("docs/**/*.md", "queueconnector_*/README.md", "examples/*/README.md")
        for page in ROOT.glob(pattern)
    ),
)
"""All pages, named from the root."""

ELSEWHERE: Final[Mapping[str, str]] = {
    "README.md": "test_readme.py",
    "docs/explanation/accounting.md": "test_accounting.py",
    "docs/how-to/check-a-configuration.md": "test_command_line.py",
    "docs/how-to/deploy-container.md": "test_container.py",
    "docs/how-to/deploy-tango-database.md": "test_how_to.py",
    "docs/how-to/pipes.md": "test_pipes.py",
    "docs/how-to/secure.md": "test_secure.py",
    "docs/how-to/watch.md": "test_watching.py",
    "docs/how-to/test-a-plugin.md": "test_kit.py",
    "docs/reference/api.md": "test_documents.py",
    "docs/reference/command-line.md": "test_command_line.py",
    "docs/tutorial/write-a-plugin.md": "test_tutorial.py",
}
"""Pages that have a test of their own, as they need a world of their own."""

FOLLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "docs/how-to/dead-letters.md": (),
    "docs/how-to/debug.md": (),
    "docs/how-to/first-configuration.md": ("kafka_broker",),
    "docs/how-to/migrate-from-ska.md": ("tango_database",),
    "docs/how-to/operate.md": (),
    "docs/how-to/record-and-replay.md": (),
    "docs/tutorial/first-stream.md": (),
}
"""Pages that a reader follows from the first block to the last, and the services for that."""

NOT_HERE: Final[Mapping[str, str]] = {
    "pip install": "what it installs is installed: tests/packaging does it with the wheels",
    "make demo": "runs for a minute: tests/demo runs it",
    "python -m pointing_loop --dishes": "runs for a minute: tests/demo runs it",
    "pytest examples/mqtt/tests": "is one of the tests",
    "make bench": "takes minutes: its short form is tests/bench",
    "make chaos": "runs for hours: its short form is tests/chaos",
    "python tools/release.py": "makes a release: tests/tools tries it on a copy",
    '{"state"': "a report, not a configuration: tests/sdp writes and reads such",
    '{"type": "ConfigError"': "a report, not a configuration: tests/sdp writes and reads such",
    '{"value"': "a line of a file, not a configuration: tests/memory writes and reads such",
    "python -m bench.deafness": "takes minutes: bench is for people",
    "QUEUECONNECTOR_MANY": "takes minutes: tests/device/test_many.py runs it with fewer",
}
"""Blocks that nothing executes as they are, by how they begin, and why."""

COMMANDS = ("pip ", "queueconnector ", "SDPQueueConnector ", "make ", "python ", "json2tango ")

FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`([\w.-]+)`:\n+$")
QUOTED = re.compile(r"\]\(([^)#\s]+)\):\n+$")


class Block(NamedTuple):
    """A code block of a page."""

    page: str
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
        """Whether it is what the block before it prints, as the text before it says."""
        return self.language == "text" and self.before.rstrip().endswith("prints:")

    @property
    def is_typed(self) -> bool:
        """Whether a reader types it into a shell, or has Python execute it."""
        return self.language in {"sh", "python"}

    @property
    def is_configuration(self) -> bool:
        """Whether it is JSON for Queue Connector, and not for another program."""
        return self.language == "json" and (not self.file or "exchanges" in json.loads(self.text))


def all_blocks(page: str) -> Iterator[Block]:
    """The code blocks of a page, which is named from the root."""
    text = (ROOT / page).read_text("utf-8")
    for found in FENCE.finditer(text):
        before = text[: found.start()]
        yield Block(page, found[2].strip(), found[3], before.count("\n") + 1, before)


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a language in a page."""
    return [block.text for block in all_blocks(page) if block.language == language]


def exception(block: Block) -> str:
    """Why nothing executes a block; empty where it has to be."""
    reasons = (why for start, why in NOT_HERE.items() if block.text.lstrip().startswith(start))
    return next(reasons, "")


def way(block: Block) -> str:
    """How a block is held against the world; empty: in no way."""
    typed_text = block.language in {"", "text"} and not block.is_output
    has_commands = any(line.strip().startswith(COMMANDS) for line in block.text.splitlines())
    ways = {
        "by a test of its own": block.page in ELSEWHERE,
        "by building the site": block.language.startswith("{"),
        "by an exception": bool(exception(block)),
        "quoted": bool(block.quoted),
        "read": block.is_configuration,
        "followed": block.page in FOLLOWED and (block.is_typed or block.file or block.is_output),
        "executed": block.language == "python",
        "by the eye": typed_text and not has_commands,
    }
    return next((way for way, holds in ways.items() if holds), "")
