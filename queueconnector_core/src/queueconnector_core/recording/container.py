"""The file of a recording: an Apache Avro object container, version 1.

Each record is a block of its own, so that a recording that was cut off lacks one record at most,
and equal records make equal files. Readers go by the schema in the file: members may be added.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final, Self

import msgspec

from queueconnector_core.errors import ConfigError, QueueConnectorError, RecordError
from queueconnector_core.record import Quality, TimestampOrigin
from queueconnector_core.recording.entry import Entry

__all__ = ("SCHEMA", "Recording", "RecordingError", "RecordingWriter")

_MARKER: Final = b"QueueConnector\x00\x01"
"""Between blocks: always the same, so that equal records make equal files."""


def _optional(name: str, kind: str, doc: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", kind], "default": None, "doc": doc}


def _enum(name: str, words: list[str]) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": words}


_HEADER: Final = {
    "type": "record",
    "name": "Header",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "octets", "type": ["null", "bytes"]},
    ],
}
SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Record",
    "namespace": "queueconnector",
    "doc": "A record that passed a stage of an exchange.",
    "fields": [
        _optional("time_ns", "long", "nanoseconds since the Unix epoch, UTC"),
        {"name": "time_origin", "type": _enum("Origin", [o.value for o in TimestampOrigin])},
        {"name": "quality", "type": _enum("Quality", [q.value for q in Quality])},
        _optional("key", "bytes", "the key of a message"),
        {"name": "headers", "type": {"type": "array", "items": _HEADER}},
        _optional("position", "string", "where the source found it"),
        _optional("source", "string", "what made it, a URI reference"),
        _optional("event", "string", "how the source came by it"),
        _optional("sequence", "long", "its number among the records of its source"),
        _optional("label", "string", "the encoding of a value that is octets"),
        {"name": "value", "type": "bytes", "doc": "MessagePack (msgpack-numpy), or octets"},
        {"name": "skipped", "type": "long", "default": 0, "doc": "records left out before it"},
    ],
}


class RecordingError(QueueConnectorError):
    """A file that is no recording, or cannot be read or written."""


def _avro() -> ModuleType:
    """The library, where it is installed."""
    try:
        import fastavro
    except ImportError:
        text = "recordings need fastavro: pip install 'queueconnector-core[record]'"
        raise ConfigError.at("", text) from None
    return fastavro


class RecordingWriter:
    """Writes a new recording; each record is handed to the system before `write` returns."""

    def __init__(self, path: Path, *, replace: bool = False) -> None:
        """Raises `RecordingError` for a file that is there, or that cannot be made."""
        avro = _avro()
        try:
            self._file: IO[bytes] = path.open("wb" if replace else "xb")
        except FileExistsError:
            raise RecordingError(f"{path} is there already") from None
        except OSError as error:
            raise RecordingError(f"cannot write {path}: {error.strerror}") from None
        self._writer = avro.write.Writer(
            self._file, avro.parse_schema(SCHEMA), sync_interval=0, sync_marker=_MARKER
        )
        self._path = path

    def write(self, entry: Entry) -> None:
        """Append a record; raises `RecordingError` when the disk is full or fails."""
        try:
            self._writer.write(msgspec.to_builtins(entry, builtin_types=(bytes,)))
            self._file.flush()
        except OSError as error:
            raise RecordingError(f"cannot write {self._path}: {error.strerror}") from None

    def close(self) -> None:
        """Close the file; idempotent."""
        if not self._file.closed:
            self._writer.flush()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recording:
    """Reads a recording from its beginning; may be closed from another thread."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` when it cannot be opened, `RecordingError` when it is none."""
        avro = _avro()
        self._path = path
        self._using = threading.Lock()
        self._damage: str | None = None
        self._file: IO[bytes] = path.open("rb")
        try:
            self._rows: Iterator[Any] = iter(avro.reader(self._file, SCHEMA))
        except Exception as error:  # noqa: BLE001 - the library has no bound on what it raises
            self._file.close()
            raise RecordingError(f"{path} is no recording: {error}") from None

    def take(self, most: int, most_octets: int) -> list[Entry]:
        """The next entries, up to so many, or so many octets of values; none at the end.

        Raises `RecordError` where the file is cut off or damaged; there it ends.
        """
        with self._using:
            taken: list[Entry] = []
            octets = 0
            while len(taken) < most and octets < most_octets and self._damage is None:
                entry = self._next()
                if entry is None:
                    break
                taken.append(entry)
                octets += len(entry.value)
            if not taken and self._damage is not None:
                damage, self._damage = self._damage, None
                raise RecordError(damage)
            return taken

    def __iter__(self) -> Iterator[Entry]:
        """All that follow; raises as `take`."""
        while taken := self.take(1, 1):
            yield from taken

    def _next(self) -> Entry | None:
        if self._file.closed:
            return None
        try:
            return msgspec.convert(next(self._rows), Entry, builtin_types=(bytes,))
        except StopIteration:
            return None
        except Exception as error:  # noqa: BLE001 - the library has no bound on what it raises
            self._file.close()
            reason = f"{type(error).__name__} {error}".strip()
            self._damage = f"{self._path} is cut off or damaged: {reason}"
            return None

    def close(self) -> None:
        """Close the file after what is being read; idempotent."""
        with self._using:
            self._file.close()
