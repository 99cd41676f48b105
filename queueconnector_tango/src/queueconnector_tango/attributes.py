"""The attributes that configurations claimed: which exist, what they hold, how they change.

No Tango in here: the device does the calls (`AttributeSurface`), in the way that its threads need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import attrs

from queueconnector_core.component import Claim
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Quality, Value
from queueconnector_tango.claims import check_attribute_name, collect
from queueconnector_tango.dtypes import Encode, check_attribute, empty_value, encoder
from queueconnector_tango.host import AttributeClaim

__all__ = ("Snapshot", "LocalAttribute", "AttributeSurface", "LocalAttributes")

GATE_S = 0.05
"""Between closing an attribute to readers and removing it: reads that have begun end meanwhile.
Removing an attribute under a reader can crash the process."""

WAKE_TIMEOUT_S = 0.5
"""A configuration waits so long for old subscribers of new attributes to be woken; while the
admin device itself restarts the device it cannot answer, and the waking goes on behind."""

RESTART_S = 2.0
"""After a restart of the device Tango looks, within milliseconds, for every attribute that had
subscribers before."""


@attrs.frozen
class Snapshot:
    """What an attribute holds, in Tango's form, replaced as a whole so that no read is torn."""

    value: Any
    time_s: float
    """Seconds since the Unix epoch, UTC."""
    quality: Quality


class LocalAttribute:
    """One attribute of the device."""

    def __init__(self, claim: AttributeClaim) -> None:
        self.claim = claim
        self.open = True
        """False: about to be removed; readers are refused."""
        self._encode: Encode = encoder(claim.spec, claim.string_encoding)
        quality = Quality.INVALID if claim.default is None else Quality.VALID
        self.snapshot = self.encoded(claim.default, time.time(), quality)

    @property
    def name(self) -> str:
        """The name, as it is written in the configuration."""
        return self.claim.name

    def encoded(self, value: Value, time_s: float, quality: Quality) -> Snapshot:
        """What the attribute would hold; raises `RecordError` when it cannot."""
        if quality is Quality.INVALID:
            return Snapshot(empty_value(self.claim.spec), time_s, quality)
        return Snapshot(self._encode(value), time_s, quality)


class AttributeSurface(Protocol):
    """What the device does for its attributes; called in the event loop's thread."""

    def add_local(self, attribute: LocalAttribute) -> None:
        """Make the attribute exist."""

    def remove_local(self, attribute: LocalAttribute) -> None:
        """Make it no longer exist."""

    def push_local(self, attribute: LocalAttribute) -> None:
        """Send what it holds to subscribers; raises `RecordError` when Tango refuses it."""

    def tell_removed(self, attribute: LocalAttribute) -> None:
        """Send subscribers an error that says that the attribute goes."""

    async def wake_subscribers(self, names: Sequence[str]) -> None:
        """Let subscribers of attributes that existed before hear them again."""


class LocalAttributes:
    """Keeps the claimed attributes on a device: the service `AttributeHost`."""

    claim_type: type[Claim] = AttributeClaim

    _removed: ClassVar[set[str]] = set()
    """Names that existed before in this process, also on a device that was restarted since."""

    _left: ClassVar[list[AttributeClaim]] = []
    """What the device had when it ended; it may be restarted in the same process."""

    def __init__(self, surface: AttributeSurface) -> None:
        self._surface = surface
        self._attributes: dict[str, LocalAttribute] = {}
        self._inherited: set[str] = set()
        self._lock = asyncio.Lock()
        self._waking: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> list[str]:
        """The attributes that exist."""
        return [attribute.name for attribute in self._attributes.values()]

    def check(self, claims: Sequence[Claim]) -> None:
        """Raise `ConfigError` for names, types and shapes that a Tango device cannot have."""
        with collect() as problems:
            for claim in _own(claims):
                problems.at(claim.path, check_attribute_name, claim.name)
                problems.at(claim.path, check_attribute, claim.spec)

    async def reconcile(self, claims: Sequence[Claim]) -> None:
        """Make exactly the claimed attributes exist.

        One whose definition did not change keeps value and subscribers. Subscribers of one that
        goes are told; if it comes back in another form they hear it again.
        """
        wanted = {claim.name.casefold(): LocalAttribute(claim) for claim in _own(claims)}
        async with self._lock:
            leaving = [
                attribute
                for key, attribute in self._attributes.items()
                if (
                    wanted[key].claim != attribute.claim
                    if key in wanted
                    else key not in self._inherited
                )
            ]
            await self._remove(leaving)
            coming = [attr for key, attr in wanted.items() if key not in self._attributes]
            for attribute in coming:
                self._add(attribute)
            for key in self._inherited & wanted.keys():
                self._attributes[key].open = True
                coming.append(self._attributes[key])
            self._inherited -= wanted.keys()
            await self._wake([attribute.name for attribute in coming])

    def inherit(self) -> None:
        """Take over what the device had before its restart, closed to readers.

        When the restart ends Tango renews the subscriptions to these; if one of the attributes were
        missing then, the restart would fail or even end the process.
        """
        for claim in self._left:
            attribute = LocalAttribute(claim)
            attribute.open = False
            self._add(attribute)
            self._inherited.add(claim.name.casefold())
        self._left.clear()

    async def disown(self) -> None:
        """Remove what was taken over and not claimed since, once the restart has ended."""
        if self._inherited:
            await asyncio.sleep(RESTART_S)
            async with self._lock:
                unclaimed = [self._attributes[key] for key in self._inherited]
                await self._surface.wake_subscribers([attribute.name for attribute in unclaimed])
                await self._remove(unclaimed)
                self._inherited.clear()

    async def close(self) -> None:
        """Remove every attribute, because the device ends."""
        self._left[:] = [attribute.claim for attribute in self._attributes.values()]
        self._inherited.clear()
        await self.reconcile(())

    def _add(self, attribute: LocalAttribute) -> None:
        self._surface.add_local(attribute)
        self._attributes[attribute.name.casefold()] = attribute

    async def _remove(self, leaving: Sequence[LocalAttribute]) -> None:
        for attribute in leaving:
            self._surface.tell_removed(attribute)
            attribute.open = False
        if leaving:
            await asyncio.sleep(GATE_S)
        for attribute in leaving:
            self._surface.remove_local(attribute)
            del self._attributes[attribute.name.casefold()]
            self._removed.add(attribute.name.casefold())

    async def _wake(self, names: Sequence[str]) -> None:
        known = [name for name in names if name.casefold() in self._removed]
        if known:
            task = asyncio.create_task(self._surface.wake_subscribers(known))
            self._waking.add(task)
            task.add_done_callback(self._waking.discard)
            await asyncio.wait((task,), timeout=WAKE_TIMEOUT_S)

    def write(
        self,
        name: str,
        value: Value,
        timestamp_s: float | None = None,
        quality: Quality = Quality.VALID,
    ) -> None:
        """Store and push; see `AttributeHost.write`."""
        attribute = self._attributes.get(name.casefold())
        if attribute is None or not attribute.open:
            raise RecordError(f"the device has no attribute {name!r} any more")
        former = attribute.snapshot
        try:
            attribute.snapshot = attribute.encoded(
                value, time.time() if timestamp_s is None else timestamp_s, quality
            )
            self._surface.push_local(attribute)
        except RecordError as error:
            attribute.snapshot = former
            raise RecordError(f"attribute {name}: {error}") from None


def _own(claims: Sequence[Claim]) -> list[AttributeClaim]:
    own = [claim for claim in claims if isinstance(claim, AttributeClaim)]
    if len(own) < len(claims):
        raise ConfigError.at("", "claims of another kind were given to the Tango attributes")
    return own
