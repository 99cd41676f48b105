"""Where documents and reports stand in the database."""

from __future__ import annotations

from typing import Final

import attrs

from queueconnector_sdp.descriptors import DatabaseOptions

__all__ = ("DEFAULT_DOCUMENT", "KeyRange", "Layout", "etcd_key")

DEFAULT_DOCUMENT: Final = "default"
"""The name of the document that stands at the path itself, beside children."""


def etcd_key(path: str) -> bytes:
    """The key of a path: with the number of its slashes in front, so that a prefix is one level."""
    return f"{path.count('/')}{path}".encode()


@attrs.frozen
class KeyRange:
    """One key, or all from `key` up to `end`."""

    key: bytes
    end: bytes = b""


@attrs.frozen
class Layout:
    """The places of one source."""

    options: DatabaseOptions

    @property
    def exact(self) -> KeyRange:
        """The path itself."""
        return KeyRange(etcd_key(self.options.root))

    @property
    def children(self) -> KeyRange:
        """What is directly below the path; what is deeper begins with another number."""
        prefix = etcd_key(self.options.root + "/")
        return KeyRange(prefix, prefix[:-1] + b"0")

    @property
    def ranges(self) -> tuple[KeyRange, ...]:
        """All that may hold documents, the most wanted first."""
        if self.options.mode == "value":
            return (self.exact,)
        return (self.children, self.exact)

    def child(self, key: bytes) -> str | None:
        """The name of the document at a key of etcd; None when there can be none."""
        try:
            return self.child_at(key.decode().lstrip("0123456789"))
        except UnicodeDecodeError:
            return None

    def child_at(self, path: str) -> str | None:
        """The name of the document at a path; None when it is no direct child, or a report."""
        parent, _, name = path.rpartition("/")
        reports = (self.options.state_name, self.options.fault_name)
        if parent != self.options.root or not name or name in reports:
            return None
        return name

    @property
    def own_document(self) -> str | None:
        """The name of the document at the path itself."""
        return DEFAULT_DOCUMENT if self.options.mode == "children" else None

    def state_path(self, document: str | None) -> str:
        """Where its state is written to."""
        return f"{self._below(document)}/{self.options.state_name}"

    def fault_path(self, document: str | None) -> str:
        """Where its fault is written to."""
        return f"{self._below(document)}/{self.options.fault_name}"

    def _below(self, document: str | None) -> str:
        root = self.options.root
        return root if document is None else f"{root}/{document}"
