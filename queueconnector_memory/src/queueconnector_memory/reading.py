"""The lines of a file that may grow, be cut, and be replaced while it is read."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs

from queueconnector_core.errors import RetryableError
from queueconnector_memory.lines import MAX_LINE_BYTES

__all__ = ("LineFile", "Piece", "Place")

BLOCK_BYTES = 256 * 1024


@attrs.frozen
class Place:
    """How far a file was read; another file of the same name has another inode."""

    inode: int
    offset: int
    """In octets from its beginning."""


@attrs.frozen
class Piece:
    """One line with its end; `octets` is None for one that is too long."""

    octets: bytes | None
    offset: int
    """Where it begins, in octets."""
    after: Place


class LineFile:
    """Gives whole lines, block by block; for threads, never for the event loop."""

    def __init__(self, path: str, *, follow: bool) -> None:
        self._path = Path(path)
        self._follow = follow
        self._file: int | None = None
        self._place = Place(0, 0)
        # A reading that was cancelled goes on in its thread while the source is stopped.
        self._using = threading.Lock()

    def open(self, place: Place | None) -> bool:
        """Open the file and go on at `place`, or from its beginning.

        Returns False when `place` was not in this file: then it begins anew. Raises
        `RetryableError` while it cannot be opened.
        """
        with self._using:
            self._close()
            found = self._open()
            if place is None or place.inode != found.st_ino or place.offset > found.st_size:
                return place is None
            self._place = place
            return True

    def next(self) -> list[Piece]:
        """Some more lines; none at the end of the file, and none after `close`.

        Without `follow` a last line needs no end. Raises `RetryableError` when the disk fails.
        """
        with self._using:
            if self._file is None:
                return []
            try:
                return self._next(self._file) or self._of_new_file(self._file)
            except OSError as error:
                raise RetryableError(f"cannot read {self._path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._using:
            self._close()

    def _open(self) -> os.stat_result:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except OSError as error:
            raise RetryableError(f"cannot open {self._path}: {error.strerror}") from error
        found = os.fstat(self._file)
        self._place = Place(found.st_ino, 0)
        return found

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _of_new_file(self, file: int) -> list[Piece]:
        """At the end: look whether the file was replaced, or cut and begun anew."""
        if not self._follow:
            return []
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return []
        is_same = os.path.samestat(named, os.fstat(file))
        if is_same and named.st_size >= self._place.offset:
            return []
        self._close()
        self._open()
        return []

    def _next(self, file: int) -> list[Piece]:
        size = BLOCK_BYTES
        while True:
            block = os.pread(file, size, self._place.offset)
            is_last = len(block) < size
            cut = len(block) if is_last and not self._follow else block.rfind(b"\n") + 1
            if pieces := list(self._split(block[:cut])):
                return pieces
            if is_last:
                return []
            if not cut and size >= MAX_LINE_BYTES:
                return self._too_long(file)
            size = BLOCK_BYTES if cut else min(2 * size, MAX_LINE_BYTES)

    def _split(self, block: bytes) -> Iterator[Piece]:
        for line in io.BytesIO(block):
            offset = self._place.offset
            self._place = attrs.evolve(self._place, offset=offset + len(line))
            if not line.isspace():
                yield Piece(line, offset, self._place)

    def _too_long(self, file: int) -> list[Piece]:
        begin = end = self._place.offset
        while block := os.pread(file, BLOCK_BYTES, end):
            found = block.find(b"\n") + 1
            end += found or len(block)
            if found:
                break
        else:
            if self._follow:
                return []
        self._place = attrs.evolve(self._place, offset=end)
        return [Piece(None, begin, self._place)]
