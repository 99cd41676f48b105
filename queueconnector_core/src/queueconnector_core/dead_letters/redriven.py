"""Remembers which dead letters were driven again, so that none is by accident once more."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path

from queueconnector_core.dead_letters.letter import Letter
from queueconnector_core.errors import ConfigError
from queueconnector_core.provenance import time_text

__all__ = ("Redriven",)

logger = logging.getLogger(__name__)


class Redriven:
    """A file with one line of JSON for each letter that was driven again; None: no file.

    Letters are known by what they tell, not by their place: lines of letters may be repaired,
    removed and moved.
    """

    def __init__(self, path: str | None) -> None:
        """Raises `ConfigError` for a file that cannot be read, or is no such file."""
        self._path = None if path is None else Path(path)
        self._known: set[str] = set()
        self.is_complete = True
        """Everything that was to be noted is in the file."""
        if self._path is not None and self._path.exists():
            self._known = set(self._read(self._path))

    def __contains__(self, letter: Letter) -> bool:
        return letter.identity in self._known

    def note(self, letters: Iterable[Letter]) -> None:
        """Remember them; when the disk fails that is logged, and `is_complete` says so."""
        new = [letter for letter in letters if letter not in self]
        if self._path is None or not new:
            return
        self._known |= {letter.identity for letter in new}
        now = time_text(time.time_ns())
        lines = [json.dumps({"letter": each.identity, "redriven": now}) + "\n" for each in new]
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(lines)
        except OSError as error:
            self.is_complete = False
            numbers = ", ".join(str(letter.number) for letter in new)
            logger.error(  # noqa: TRY400 - the text says it all
                "letters %s were driven again, but %s cannot be written: %s",
                numbers, self._path, error.strerror,
            )  # fmt: skip

    @staticmethod
    def _read(path: Path) -> Iterable[str]:
        try:
            for line in path.read_text("utf-8").splitlines():
                yield json.loads(line)["letter"]
        except OSError as error:
            raise ConfigError.at("", f"cannot read {path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError):
            text = f"{path} is no list of letters that were driven again; name another: --redriven"
            raise ConfigError.at("", text) from None
