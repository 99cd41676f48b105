"""What became of the documents in a file or a directory: the blocking side of the file source."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from queueconnector_core.config.protocol import ConfigEvent, ConfigUpdate, Synced, Unavailable
from queueconnector_core.config.text import version_of

__all__ = ("Documents", "ABSENT", "MAX_BYTES")

ABSENT: Final = "absent"
"""The version of a document that is gone."""

MAX_BYTES: Final = 1 << 20
"""What a document may have at most."""

SUFFIX: Final = ".json"

Key: TypeAlias = str | None


class Stamp(NamedTuple):
    """Changes with every write, replacement and swap of a link; costs one look at the disk."""

    inode: int
    mtime_ns: int
    size: int


UNKNOWN: Final = Stamp(0, 0, 0)
"""Of a file that cannot be looked at: reading it says why."""


class Told(NamedTuple):
    """A document as it was told."""

    stamp: Stamp
    version: str


class Documents:
    """Compares what is on the disk with what was told. For one thread at a time.

    A change counts when two polls see the same, or when it is older than `settle_s`: an editor
    empties a file before it writes, or moves it away for a moment.
    """

    def __init__(self, path: str, settle_s: float) -> None:
        self._path = Path(path)
        self._is_directory = path.endswith("/")
        self._settle_ns = settle_s * 1e9
        self._seen: Mapping[Key, Stamp] = {}
        self._told: dict[Key, Told] = {}
        self._condition: Synced | Unavailable | None = None

    def newest(self, key: Key) -> str:
        """The version of a document that was told last."""
        told = self._told.get(key)
        return told.version if told else ABSENT

    def poll(self) -> list[ConfigEvent]:
        """What changed since the last poll, and whether everything can be read, if that did."""
        try:
            found = self._look()
        except (OSError, ValueError) as error:
            return self._new_condition(_unavailable([error]))
        before, self._seen = self._seen, found
        events: list[ConfigEvent] = []
        problems: list[OSError | ValueError] = []
        for key in self._changed(found):
            stamp = found.get(key)
            if stamp != before.get(key) and not self._is_old(stamp):
                continue
            try:
                events += self._read(key, stamp)
            except (OSError, ValueError) as error:
                problems.append(error)
        if problems:
            return events + self._new_condition(_unavailable(problems))
        # What is being written is waited for, and may yet turn out unreadable.
        return events + ([] if self._changed(found) else self._new_condition(Synced()))

    def _look(self) -> dict[Key, Stamp]:
        """The documents that are there; raises `OSError` when nobody can tell."""
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            # Not deleted but out of reach, such as a volume that is not mounted.
            if self._is_directory or (self._told and not self._path.parent.is_dir()):
                raise
            return {}
        self._is_directory = stat.S_ISDIR(status.st_mode)
        if not self._is_directory:
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "neither a file nor a directory", str(self._path))
            return {None: _stamp(status)}
        names = [name for name in os.listdir(self._path) if _is_document(name)]  # noqa: PTH208
        stamps = {name.removesuffix(SUFFIX): _stamp_of(self._path / name) for name in names}
        return {key: stamp for key, stamp in stamps.items() if stamp is not None}

    def _changed(self, found: Mapping[Key, Stamp]) -> list[Key]:
        """The documents that are not as they were told."""
        stamps = {key: told.stamp for key, told in self._told.items()}
        keys = sorted(found.keys() | stamps.keys(), key=str)
        return [key for key in keys if found.get(key) != stamps.get(key)]

    def _is_old(self, stamp: Stamp | None) -> bool:
        return stamp is not None and time.time_ns() - stamp.mtime_ns > self._settle_ns

    def _read(self, key: Key, stamp: Stamp | None) -> list[ConfigEvent]:
        """Read a changed document; nothing when its text is the same, or is just being written."""
        if stamp is None:
            del self._told[key]
            return [ConfigUpdate(key, None, ABSENT)]
        path = self._path if key is None else self._path / f"{key}{SUFFIX}"
        text = _text_of(path)
        if _stamp_of(path) != stamp:
            return []
        version, former = version_of(text), self.newest(key)
        self._told[key] = Told(stamp, version)
        return [] if version == former else [ConfigUpdate(key, text, version)]

    def _new_condition(self, condition: Synced | Unavailable) -> list[ConfigEvent]:
        """Tell it, unless it was told last."""
        if condition == self._condition:
            return []
        self._condition = condition
        return [condition]


def _is_document(name: str) -> bool:
    """Hidden are also the temporary files of editors, and the links of a mounted ConfigMap."""
    return name.endswith(SUFFIX) and not name.startswith(".")


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_mtime_ns, status.st_size)


def _stamp_of(path: Path) -> Stamp | None:
    """The stamp of a file; None when there is no file, or something else."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return UNKNOWN
    return _stamp(status) if stat.S_ISREG(status.st_mode) else None


def _text_of(path: Path) -> str:
    """Read a document; raises `OSError`, or `ValueError` when it is no text or too long."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path}: has more than {MAX_BYTES} bytes, which is the most allowed")
    try:
        path.name.encode()
        return content.decode()
    except (UnicodeEncodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r}: not UTF-8 ({error.reason})") from None


def _unavailable(errors: Sequence[OSError | ValueError]) -> Unavailable:
    """All that keeps documents from being read; refused when somebody has to grant a right."""
    reasons = (
        f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        for error in errors
    )
    return Unavailable("; ".join(reasons), any(isinstance(e, PermissionError) for e in errors))
