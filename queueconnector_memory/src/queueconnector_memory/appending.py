"""A file of lines that is only appended to, and whole again after every crash."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import msgspec

from queueconnector_core.errors import FatalError, RetryableError

__all__ = ("Appender",)

BLOCK_BYTES = 64 * 1024


class Appender:
    """Appends lines and waits for the disk; for threads, never for the event loop.

    The file is locked against other programs that append, for as long as it is open.
    """

    def __init__(self, path: str, max_bytes: int) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._file: int | None = None
        self._size = 0
        # A write that was cancelled goes on in its thread while the sink is stopped.
        self._using = threading.Lock()

    def open(self) -> None:
        """Open the file, make it where there is none, and cut off a line that is torn.

        Raises `RetryableError` while it cannot be had, `FatalError` for one that may not be
        written, or is no file of records.
        """
        with self._using:
            self._open()

    def append(self, lines: Sequence[bytes]) -> int:
        """Write lines, each with its end, as far as the bound allows; return how many.

        All of them are on disk then. Raises as `open`; nothing was appended in that case.
        """
        with self._using:
            if not self._is_current():
                self._close()
                self._open()
            room = self._max_bytes - self._size
            fitting = bisect_right(list(accumulate(map(len, lines))), room)
            if fitting and self._file is not None:
                self._write(self._file, b"".join(lines[:fitting]))
            return fitting

    def close(self) -> None:
        """Close the file after what is being written; idempotent."""
        with self._using:
            self._close()

    def _is_current(self) -> bool:
        """Whether the path still names the open file: it may have been moved away, or replaced."""
        if self._file is None:
            return False
        try:
            named = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(named, os.fstat(self._file)) and named.st_size == self._size

    def _open(self) -> None:
        if self._file is not None:
            return
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = self._mended(self._file)
            self._sync_folder()
        except BlockingIOError:
            self._close()
            raise RetryableError(f"another program writes {self._path}") from None
        except (IsADirectoryError, PermissionError) as error:
            raise FatalError(f"may not write {self._path}: {error.strerror}") from error
        except OSError as error:
            self._close()
            raise RetryableError(f"cannot open {self._path}: {error.strerror}") from error
        except FatalError:
            self._close()
            raise

    def _mended(self, file: int) -> int:
        """The size of the file after a last line without an end was ended, or cut off."""
        size = os.fstat(file).st_size
        begin = _begin_of_last_line(file, size)
        torn = os.pread(file, size - begin, begin)
        if not torn:
            return size
        if _is_whole(torn):
            os.write(file, b"\n")
            return size + 1
        # Zeros are what some file systems leave of the last write before a power cut.
        if not torn.startswith(b"{") and torn.strip(b"\0"):
            raise FatalError(
                f"{self._path} is no file of records: its last line begins with {torn[:20]!r}, "
                "not with '{'; choose another path"
            )
        os.ftruncate(file, begin)
        os.fsync(file)
        return begin

    def _write(self, file: int, octets: bytes) -> None:
        rest = memoryview(octets)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(file, self._size)
            self._close()
            raise RetryableError(f"cannot write {self._path}: {error.strerror}") from error
        self._size += len(octets)

    def _sync_folder(self) -> None:
        """A new name is on disk only with its folder."""
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _begin_of_last_line(file: int, size: int) -> int:
    """Where the octets behind the last line end begin; `size` when there are none."""
    end = size
    while end:
        begin = max(0, end - BLOCK_BYTES)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _is_whole(line: bytes) -> bool:
    """Whether it lacks its end only: no part of an object in JSON is an object itself."""
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (ValueError, RecursionError):
        return False
