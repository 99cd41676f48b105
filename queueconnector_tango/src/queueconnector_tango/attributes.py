"""The attributes that configurations claimed: which exist, what they hold, how they change.

No Tango in here: the device does the calls (`AttributeSurface`), in the way that its threads need.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from queueconnector_core.component import Claim
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Quality, Value
from queueconnector_tango.claims import check_attribute_name, collect
from queueconnector_tango.dtypes import Encode, check_attribute, empty_value, encoder
from queueconnector_tango.host import AttributeClaim
from queueconnector_tango.kept_values import KeptValues, Snapshot
from queueconnector_tango.properties import FixedAttribute

__all__ = ("LocalAttribute", "AttributeSurface", "LocalAttributes")

GATE_S = 0.05
"""Between closing an attribute to readers and removing it: reads that have begun end meanwhile.
Removing an attribute under a reader can crash the process."""

WAKE_TIMEOUT_S = 0.5
"""A configuration waits so long for old subscribers of new attributes to be woken; while the
admin device itself restarts the device it cannot answer, and the waking goes on behind."""

FIXED = "attributes"
"""The owner of the attributes that the device property of this name declares."""

INHERITED = ""
"""The owner of what the device had before its restart, until a document claims it."""

RESTART_S = 2.0
"""After a restart of the device Tango looks, within milliseconds, for every attribute that had
subscribers before."""


class LocalAttribute:
    """One attribute of the device.

    `owner` is the document that claims it; `FIXED` are those that the device always has.
    """

    def __init__(self, claim: AttributeClaim, owner: str, *, writable: bool = False) -> None:
        self.claim = claim
        self.owner = owner
        self.writable = writable
        """Whether clients may write it."""
        self.open = True
        """False: about to be removed; readers are refused."""
        self.is_pair = claim.spec.is_bytes
        """Whether its value has two parts: label and octets."""
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

    def take_written(self, value: Any) -> Snapshot:
        """Hold what a client has written, which Tango has checked; in any thread."""
        self.snapshot = written = Snapshot(value, time.time(), Quality.VALID)
        return written


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

    def __init__(self, surface: AttributeSurface, kept: KeptValues | None = None) -> None:
        self._surface = surface
        self._kept = kept or KeptValues(None)
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
                problems.at(claim.path, self._check_fixed, claim)

    def _check_fixed(self, claim: AttributeClaim) -> None:
        fixed = self._attributes.get(claim.name.casefold())
        if fixed is not None and fixed.owner == FIXED and fixed.claim.spec != claim.spec:
            raise ConfigError.at(
                "",
                f"found {claim.spec}; the device property 'attributes' declares {fixed.name!r} as "
                f"{fixed.claim.spec}",
            )

    def declare(self, fixed: Sequence[FixedAttribute]) -> None:
        """Add the attributes that the device always has, whatever is configured."""
        for declared in fixed:
            claim = AttributeClaim(declared.name, declared.spec)
            self._add(LocalAttribute(claim, FIXED, writable=declared.writeable))

    async def reconcile(self, owner: str, claims: Sequence[Claim]) -> None:
        """Make exactly the claimed attributes of `owner` exist.

        One whose definition did not change keeps value and subscribers. Subscribers of one that
        goes are told; if it comes back in another form they hear it again. Fixed attributes are
        there already.
        """
        wanted = {
            claim.name.casefold(): LocalAttribute(claim, owner)
            for claim in _own(claims)
            if not self._is_fixed(claim)
        }
        async with self._lock:
            await self._remove(
                [
                    attribute
                    for key, attribute in self._attributes.items()
                    if (
                        attribute.claim != wanted[key].claim
                        if key in wanted
                        else attribute.owner == owner
                    )
                ]
            )
            coming = [attr for key, attr in wanted.items() if key not in self._attributes]
            for attribute in coming:
                self._add(attribute)
                # A thousand take half a second, in which what streams must not stand still.
                await asyncio.sleep(0)
            for key, attribute in wanted.items():
                self._attributes[key].owner = owner
                if key in self._inherited:
                    self._attributes[key].open = True
                    coming.append(attribute)
            self._inherited -= wanted.keys()
            await self._wake([attribute.name for attribute in coming])

    def _is_fixed(self, claim: AttributeClaim) -> bool:
        """Whether the device has it anyway; the claim's default is for one without a value."""
        fixed = self._attributes.get(claim.name.casefold())
        if fixed is None or fixed.owner != FIXED:
            return False
        if claim.default is not None and fixed.snapshot.quality is Quality.INVALID:
            self.write(fixed.name, claim.default)
        return True

    def inherit(self) -> None:
        """Take over what the device had before its restart, closed to readers.

        When the restart ends Tango renews the subscriptions to these; if one of the attributes were
        missing then, the restart would fail or even end the process.
        """
        for claim in self._left:
            if claim.name.casefold() in self._attributes:
                continue
            attribute = LocalAttribute(claim, INHERITED)
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
        async with self._lock:
            await self._remove(list(self._attributes.values()))

    def held(self) -> list[tuple[AttributeClaim, Snapshot]]:
        """What every attribute holds, for whoever keeps it."""
        return [(attribute.claim, attribute.snapshot) for attribute in self._attributes.values()]

    def _add(self, attribute: LocalAttribute) -> None:
        attribute.snapshot = self._kept.restored(attribute.claim) or attribute.snapshot
        self._surface.add_local(attribute)
        self._attributes[attribute.name.casefold()] = attribute

    async def _remove(self, leaving: Sequence[LocalAttribute]) -> None:
        for attribute in leaving:
            self._surface.tell_removed(attribute)
            attribute.open = False
        if leaving:
            await asyncio.sleep(GATE_S)
        # The newest first: Tango renumbers all that stand behind one that goes.
        for attribute in reversed(leaving):
            self._surface.remove_local(attribute)
            del self._attributes[attribute.name.casefold()]
            self._removed.add(attribute.name.casefold())
            await asyncio.sleep(0)

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
