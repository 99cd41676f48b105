"""Which documents there are, and what of that was told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from queueconnector_core.config.protocol import ConfigUpdate
from queueconnector_sdp.layout import Layout
from queueconnector_sdp.messages import Change, Entry, Snapshot
from queueconnector_sdp.texts import is_owner_record, readable

__all__ = ("Documents",)


class Documents:
    """The entries of the followed ranges; each way to alter them returns what is to be told."""

    def __init__(self, layout: Layout, reset_grace_s: float) -> None:
        self._layout = layout
        self._reset_grace_s = reset_grace_s
        self._entries: dict[bytes, Entry] = {}
        self._told: dict[str | None, Entry] = {}
        self.revision = 0
        """The newest revision of the database that was seen."""

    def entry(self, name: str | None) -> Entry | None:
        """What was last told of a document; None: it is not there."""
        return self._told.get(name)

    def holds(self, key: bytes) -> bool:
        """Whether there is an entry at a key of etcd."""
        return key in self._entries

    def replace(self, snapshot: Snapshot) -> Sequence[ConfigUpdate]:
        """All is as in `snapshot`; what happened in between is not known, only what came of it.

        A database that went back to an earlier revision has lost its content. What is missing in it
        may come back, so that its end is told with a time of grace.
        """
        was_reset = snapshot.revision < self.revision
        self.revision = snapshot.revision
        self._entries = {entry.key: entry for entry in snapshot.entries}
        return self._news(was_reset)

    def apply(self, changes: Iterable[Change]) -> Sequence[ConfigUpdate]:
        """All of `changes` happened."""
        for change in changes:
            self.revision = max(self.revision, change.revision)
            if change.entry is None:
                self._entries.pop(change.key, None)
            else:
                self._entries[change.key] = change.entry
        return self._news(was_reset=False)

    def differs(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot, of keys only, has news that were not applied."""
        return _revisions(snapshot.entries) != _revisions(self._entries.values())

    def _news(self, was_reset: bool) -> Sequence[ConfigUpdate]:
        """Deletions first: they free the names that others may need."""
        now, before = self._present(), self._told
        self._told = now
        gone = [name for name in before if name not in now]
        changed = [name for name, entry in now.items() if before.get(name) != entry]
        changed.sort(key=lambda name: now[name].modified)
        grace_s = self._reset_grace_s if was_reset else 0.0
        # In a database that was filled anew everything has been made again: that means nothing.
        remade = [] if was_reset else [name for name in changed if _remade(before, now, name)]
        version = str(self.revision)
        return [
            *(ConfigUpdate(name, None, version, grace_s) for name in gone),
            *(ConfigUpdate(name, None, version) for name in remade),
            *(self._update(name, now[name]) for name in changed),
        ]

    def _update(self, name: str | None, entry: Entry) -> ConfigUpdate:
        text = readable(entry.value, entry.key.decode(errors="replace"))
        return ConfigUpdate(name, text, str(entry.modified))

    def _present(self) -> dict[str | None, Entry]:
        """The documents by name; a child goes before the document at the path itself."""
        exact = self._layout.exact.key
        found: dict[str | None, Entry] = {}
        own = self._entries.get(exact)
        if own is not None and not is_owner_record(own.value):
            found[self._layout.own_document] = own
        for key, entry in self._entries.items():
            name = self._layout.child(key)
            if name is not None and key != exact:
                found[name] = entry
        return found


def _remade(
    before: dict[str | None, Entry], now: dict[str | None, Entry], name: str | None
) -> bool:
    return name in before and before[name].created != now[name].created


def _revisions(entries: Iterable[Entry]) -> set[tuple[bytes, int, int]]:
    return {(entry.key, entry.created, entry.modified) for entry in entries}
