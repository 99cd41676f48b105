"""Documents and reports in the transactions of ska-sdp-config.

Only `txn.raw` is used, which every version has that could be read; its revision, where there is
one, is no more than a hint. All of this blocks.
"""

from __future__ import annotations

from typing import Any

import attrs

from queueconnector_core.config.protocol import ConfigReport, Fault
from queueconnector_core.states import State
from queueconnector_sdp.layout import Layout
from queueconnector_sdp.reports import fault_text, state_text
from queueconnector_sdp.texts import is_owner_record

__all__ = ("RawAccess", "Statement")


@attrs.frozen
class Statement:
    """A state to be written, and the text of the document that it is about."""

    report: ConfigReport
    state: State
    text: str


@attrs.frozen
class RawAccess:
    """Reads and writes below one path; `host` stands in the reports."""

    layout: Layout
    host: str

    def documents(self, raw: Any) -> dict[str | None, str]:
        """The texts of all documents, in the transaction of a watcher."""
        root = self.layout.options.root
        found: dict[str | None, str] = {}
        own = raw.get(root)
        if own is not None and not is_owner_record(own):
            found[self.layout.own_document] = own
        if self.layout.options.mode == "children":
            for path in raw.list_keys(f"{root}/"):
                name = self.layout.child_at(path)
                text = None if name is None else raw.get(path)
                if text is not None:
                    found[name] = text
        return found

    def revision(self, raw: Any) -> int:
        """The revision that a finished transaction has read; 0 where the library does not tell."""
        try:
            found = raw.revision
        except Exception:  # noqa: BLE001 - the library may raise anything
            return 0
        return found if isinstance(found, int) else 0

    def has_state(self, config: Any, name: str | None) -> bool:
        """Whether the state of a document stands there."""
        found = None
        for txn in config.txn():
            found = txn.raw.get(self.layout.state_path(name))
        return found is not None

    def write(self, config: Any, statement: Statement) -> None:
        """Write state and fault, if the document still has the text that they are about."""
        report = statement.report
        lease = config.client_lease
        path = self.layout.state_path(report.key)
        text = state_text(report, statement.state, self.host)
        for txn in config.txn():
            if self._text(txn.raw, report.key) == statement.text:
                # An update would detach the lease, and the state would outlive this program.
                txn.raw.delete(path, must_exist=False)
                txn.raw.create(path, text, lease)
                _put(txn.raw, self.layout.fault_path(report.key), report.fault)

    def remove(self, config: Any, name: str | None) -> None:
        """Remove state and fault."""
        for txn in config.txn():
            txn.raw.delete(self.layout.state_path(name), must_exist=False)
            txn.raw.delete(self.layout.fault_path(name), must_exist=False)

    def _text(self, raw: Any, name: str | None) -> Any:
        root = self.layout.options.root
        child = None if name is None else raw.get(f"{root}/{name}")
        return raw.get(root) if child is None and name == self.layout.own_document else child


def _put(raw: Any, path: str, fault: Fault | None) -> None:
    if fault is None:
        raw.delete(path, must_exist=False)
    elif raw.get(path) is None:
        raw.create(path, fault_text(fault))
    else:
        raw.update(path, fault_text(fault))
