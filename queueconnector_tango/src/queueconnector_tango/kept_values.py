"""The last value of each attribute in a small local file, so that it survives a crash.

The file is MessagePack: `{"version": 1, "attributes": {name: entry}}`. An entry has the definition
of the attribute as text, the value in Tango's form (arrays as `.npy`), its time in seconds since
the Unix epoch (UTC) and its quality. The file is replaced as a whole, so that a crash never leaves
half of it.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from queueconnector_core.record import Quality
from queueconnector_tango.host import AttributeClaim

__all__ = ("Snapshot", "KeptValues")

logger = logging.getLogger(__name__)

VERSION: Final = 1

MAX_BYTES: Final = 1 << 20
"""A larger value (bytes) is not kept: the file is written once a second."""

_NPY: Final = 1


class Snapshot(NamedTuple):
    """What an attribute holds, in Tango's form, replaced as a whole so that no read is torn."""

    value: Any
    time_s: float
    """Seconds since the Unix epoch, UTC."""
    quality: Quality


class KeptValues:
    """Reads the file once, and writes it when something has changed. Without a path: nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written: dict[str, Snapshot] = {}
        self._entries: dict[str, dict[str, Any]] = {} if path is None else _read(path)
        self._failed = False

    @property
    def has_file(self) -> bool:
        """Whether anything is kept."""
        return self._path is not None

    def restored(self, claim: AttributeClaim) -> Snapshot | None:
        """What an attribute of this definition held; told once. None: nothing is known."""
        entry = self._entries.pop(claim.name.casefold(), None)
        if entry is None or entry.get("definition") != _definition(claim):
            return None
        try:
            return Snapshot(entry["value"], float(entry["time_s"]), Quality[entry["quality"]])
        except (KeyError, TypeError, ValueError) as error:
            logger.warning("%s: the value of %s cannot be used: %s", self._path, claim.name, error)
            return None

    def write(self, held: Iterable[tuple[AttributeClaim, Snapshot]]) -> None:
        """Replace the file if a value has changed; blocks on the disk. Never raises."""
        kept = {
            claim.name.casefold(): (claim, snapshot)
            for claim, snapshot in held
            if snapshot.quality is not Quality.INVALID and _size(snapshot.value) <= MAX_BYTES
        }
        snapshots = {name: snapshot for name, (_, snapshot) in kept.items()}
        if self._path is None or _same(snapshots, self._written):
            return
        entries = {name: _entry(claim, snapshot) for name, (claim, snapshot) in kept.items()}
        # What no document has claimed yet may still be: after a crash its source may be away.
        document = {"version": VERSION, "attributes": {**self._entries, **entries}}
        try:
            _replace(self._path, msgspec.msgpack.encode(document, enc_hook=_encode))
        except OSError as error:
            if not self._failed:
                logger.warning("last values cannot be kept in %s: %s", self._path, error)
            self._failed = True
        else:
            self._written, self._failed = snapshots, False


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        document = msgspec.msgpack.decode(path.read_bytes(), ext_hook=_decode)
        return _entries(document)
    except FileNotFoundError:
        return {}
    except Exception as error:  # noqa: BLE001 - whatever stands in there: the device goes on
        logger.warning("last values in %s cannot be read: %s", path, error)
        return {}


def _entries(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if document["version"] != VERSION:
        raise ValueError(f"found version {document['version']!r}, allowed: {VERSION}")
    return {str(name): dict(entry) for name, entry in document["attributes"].items()}


def _definition(claim: AttributeClaim) -> str:
    return f"{claim.spec} {claim.string_encoding}"


def _entry(claim: AttributeClaim, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "definition": _definition(claim),
        "value": snapshot.value,
        "time_s": snapshot.time_s,
        "quality": snapshot.quality.name,
    }


def _same(one: dict[str, Snapshot], other: dict[str, Snapshot]) -> bool:
    """Whether nothing was replaced since; a snapshot never changes in itself."""
    return one.keys() == other.keys() and all(one[name] is other[name] for name in one)


def _size(value: Any) -> int:
    """About how many bytes a value takes."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return 8


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return msgspec.msgpack.Ext(_NPY, buffer.getvalue())
    raise TypeError(f"{type(value).__name__} is no value of an attribute")


def _decode(code: int, data: memoryview) -> Any:
    if code != _NPY:
        raise ValueError(f"found extension {code}, allowed: {_NPY}")
    array = np.load(io.BytesIO(data), allow_pickle=False)
    return array if array.ndim else array.item()


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.replace(path)
