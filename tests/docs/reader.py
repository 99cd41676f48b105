"""A reader who does what a page says, from its first block to its last, in one shell.

* A block after "`name`:" is a file of that name, in the folder of the reader.
* `sh` is typed, `python` is executed.
* `text` after "prints:" is what the block before it has printed; `...` stands for any text.
* A last line that ends in `&` starts a device server, which is waited for.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs.pages import Block

TIMEOUT_S = 240

BIN = Path(sys.executable).parent

AWAIT_DEVICE = """\
import sys, time, tango
for _ in range(600):
    try:
        tango.DeviceProxy(sys.argv[1]).ping()
        break
    except tango.DevFailed:
        time.sleep(0.05)
"""


class Reader:
    """Follows a page; `places` are its addresses and those of this machine in their place."""

    def __init__(self, folder: Path, places: Mapping[str, str]) -> None:
        self._folder = folder
        self._notes = folder / ".notes"
        self._notes.mkdir()
        self._places = places
        self._script: list[str] = []
        self._outputs: list[tuple[Path, Block]] = []

    def here(self, text: str) -> str:
        """A text of the page with the addresses of this machine."""
        for place, own in self._places.items():
            text = text.replace(place, own)
        return text

    def follow(self, page: Sequence[Block]) -> None:
        """Do what the blocks say; `AssertionError` with what was printed when something fails."""
        output = Path(os.devnull)
        for number, block in enumerate(page):
            note = self._notes / f"{number}-line-{block.line}"
            note.write_text(self.here(block.text), "utf-8")
            if block.file:
                self._script.append(f"cp '{note}' '{block.file}'")
            elif block.language in {"sh", "python"}:
                output = note.with_suffix(".out")
                self._script.append(f"exec >'{output}' 2>&1")
                self._do(block, note)
            elif block.is_output:
                self._outputs.append((output, block))
        self._run()
        for output, block in self._outputs:
            self._compare(output.read_text("utf-8"), block)

    def _do(self, block: Block, note: Path) -> None:
        if block.language == "python":
            self._script.append(f"python '{note}'")
            return
        text = note.read_text("utf-8")
        self._script.append(text)
        if text.rstrip().endswith("&"):
            awaiting = self._notes / "await_device.py"
            awaiting.write_text(AWAIT_DEVICE)
            for name, address in re.findall(r"-dlist (\S+) .*giop:tcp:(\S+)", text):
                self._script.append(f"python '{awaiting}' 'tango://{address}/{name}#dbase=no'")

    def _run(self) -> None:
        environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        shell = subprocess.Popen(
            ["bash", "-euc", "\n".join(self._script)],
            cwd=self._folder, env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            code = shell.wait(TIMEOUT_S)
        finally:
            # What the reader has left running.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
            shell.wait()
        printed = {p.stem: p.read_text("utf-8") for p in sorted(self._notes.glob("*.out"))}
        assert code == 0, "\n".join(f"== {name}\n{text}" for name, text in printed.items())

    def _compare(self, printed: str, block: Block) -> None:
        """Each line, in order; blanks count as one."""
        lines = [" ".join(line.split()) for line in printed.splitlines()]
        for line in filter(str.strip, self.here(block.text).splitlines()):
            wanted = ".*".join(map(re.escape, " ".join(line.split()).split("...")))
            assert any(re.fullmatch(wanted, found) for found in lines), f"{line}\n\n{printed}"
