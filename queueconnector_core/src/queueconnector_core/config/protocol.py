"""The contract of configuration sources: where configurations come from and results go.

A source follows *documents*. One that has many (a folder, a database path) names each by a `key`;
one that has a single document gives it the key None. A source never reads what stands in a
document: core does, so that every source has the same checks and the same errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import attrs

from queueconnector_core.fault import Fault
from queueconnector_core.states import State

__all__ = (
    "ConfigUpdate",
    "Synced",
    "Unavailable",
    "ConfigEvent",
    "Fault",
    "ConfigReport",
    "ConfigSource",
    "ConfigContext",
)


@attrs.frozen
class ConfigUpdate:
    """A document has a new text, or is gone."""

    key: str | None
    """Its name below the source; None: the only document of the source."""
    text: str | None
    """JSON text; None: the document is gone."""
    version: str
    """Tells this text from others of the same key, such as a revision; otherwise opaque."""
    grace_s: float = 0.0
    """Seconds to go on with the former text, in case the key comes back before they are over. More
    than 0 when a whole database came back empty: that may not cut an observation."""


@attrs.frozen
class Synced:
    """Everything that the source has at this moment was told; after an outage, once more."""


@attrs.frozen
class Unavailable:
    """The source cannot be read for the time being; what runs goes on, and the source keeps trying.

    `refused`: it answers, but denies what is asked of it, which somebody has to mend.
    """

    reason: str
    refused: bool = False


ConfigEvent: TypeAlias = ConfigUpdate | Synced | Unavailable


@attrs.frozen
class ConfigReport:
    """How a document fares; made anew at every change of state."""

    key: str | None
    seen: str
    """The newest version that was told."""
    running: str
    """The version in use: another one when the newest was rejected; empty when none is."""
    state: State | None
    """The state of its groups together; None: the document and its groups are gone."""
    since_s: float
    """When that state began: seconds since the Unix epoch, UTC."""
    groups: Mapping[str, State] = attrs.field(factory=dict)
    fault: Fault | None = None
    """Why a group is in FAULT, or why the newest version was rejected."""


@runtime_checkable
class ConfigSource(Protocol):
    """Follows documents. `follow` and `report` run at the same time, in one event loop."""

    def follow(self) -> AsyncIterator[ConfigEvent]:
        """The documents that are there, `Synced`, and then every change until it is closed.

        One runs at a time; after one that raised, Reset enters another, from the beginning: what
        that does not tell before `Synced` is gone. An outage is told (`Unavailable`) and outlasted,
        with a growing wait; afterwards the changes since are told, the last text of each document
        being enough, then `Synced`. A source that cannot change may end. `aclose` may come at any
        await.
        """

    async def report(self, report: ConfigReport) -> None:
        """Write the report where whoever wrote the document will find it, if there is such a place.

        A report about a version that is no longer the newest is dropped. Raises `RetryableError`
        while that cannot be done (only the newest report of a key is then tried again),
        `FatalError` when it is not allowed (told once; the streams go on).
        """

    async def stop(self) -> None:
        """Disconnect, after `follow` was closed. Idempotent."""


@attrs.frozen
class ConfigContext:
    """What a configuration source is built from, beside its descriptor."""

    host: str
    """The name of the host, for whoever reads the reports; of a device its Tango name."""
