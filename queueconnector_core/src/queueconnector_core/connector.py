"""All groups of a host: takes configurations from wherever they come and carries out commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from queueconnector_core.component import ComponentKind, Services
from queueconnector_core.config.follower import Follower
from queueconnector_core.config.protocol import ConfigContext
from queueconnector_core.descriptors import ConfigSourceDescriptor
from queueconnector_core.document import Document
from queueconnector_core.errors import ConfigError
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.health import ailments
from queueconnector_core.plan import Surroundings
from queueconnector_core.registry import Registry
from queueconnector_core.report import Report, gaps_report, statistics_report
from queueconnector_core.states import State, Trigger, aggregate, allows, refusal
from queueconnector_core.status import status_text
from queueconnector_core.tracing import flush_spans

__all__ = ("Connector",)

DIRECT = "by the host"
"""Where the document comes from that the host itself was given."""


class Connector:
    """Owns the groups of one host; everything runs in the event loop that calls it.

    Groups come from the documents of configuration sources (`follow`) and from one document that
    the host gives itself (`configure`). `on_change` is called at every change of state of a group,
    and of what is known about the sources. A command acts on each group whose state allows it, and
    raises `StateError` when none does.
    """

    def __init__(
        self,
        registry: Registry,
        services: Services | None = None,
        on_change: Callable[[], None] = lambda: None,
        *,
        name: str = "queueconnector",
    ) -> None:
        self.name = name
        self.followers: dict[str, Follower] = {}
        self.trouble: str | None = None
        """What is wrong with the host itself, such as its properties; it says so here."""
        self._registry = registry
        self._services = services or Services()
        self._on_change = on_change
        self._direct = self.make_document(None, DIRECT)

    @property
    def documents(self) -> list[Document]:
        """Every document, that of the host itself first."""
        followed = [
            document
            for follower in self.followers.values()
            for document in follower.documents.values()
        ]
        return [self._direct, *followed]

    @property
    def groups(self) -> dict[str, Group]:
        """All groups by name."""
        return {
            name: group for document in self.documents for name, group in document.groups.items()
        }

    @property
    def exchanges(self) -> list[Exchange]:
        """All exchanges of all groups."""
        return [exchange for group in self.groups.values() for exchange in group.exchanges]

    @property
    def state(self) -> State:
        """The state of the host: that of its groups (see `aggregate`).

        FAULT also while a configuration source refuses what is asked of it.
        """
        if any(follower.is_refused for follower in self.followers.values()):
            return State.FAULT
        return aggregate(group.state for group in self.groups.values())

    # -- configurations -----------------------------------------------------------------------

    async def configure(self, text: str, *, start: bool = False) -> None:
        """Replace the host's own document by JSON text; empty text removes it.

        Exchanges that did not change are left alone, whatever their group does. Others that were
        open are drained, replaced and started again; new groups are started if any was open, or
        when `start`. Raises `ConfigError` with all problems; then nothing has changed.
        """
        await self._direct.offer(text, "", start=start)

    async def fail(self, error: ConfigError) -> None:
        """Put the host's own document in FAULT: what it was to be at the start cannot be used."""
        await self._direct.fail(error)

    def follow(self, name: str, descriptor: ConfigSourceDescriptor) -> Follower:
        """Take the documents of a configuration source from now on.

        Raises `ConfigError` when it cannot be built, or the name is taken.
        """
        if name in self.followers or name == DIRECT:
            raise ConfigError.at("", f"a configuration source {name!r} is followed already")
        component = self._registry.of_descriptor(type(descriptor), ComponentKind.CONFIG_SOURCE)
        source = component.factory(descriptor, ConfigContext(self.name))
        self.followers[name] = Follower(name, source, descriptor, self)
        return self.followers[name]

    async def unfollow(self, name: str) -> None:
        """Take no more documents of a source, and end what it has configured."""
        if follower := self.followers.get(name):
            await follower.close(retire=True)
            del self.followers[name]
            self.changed()

    def make_document(self, key: str | None, source: str) -> Document:
        """A document without groups; see `Documents`."""
        return Document(
            self._registry,
            self._services,
            key=key,
            source=source,
            surroundings=self._surroundings_of,
            on_change=self._document_changed,
            on_applied=self._applied,
        )

    def _surroundings_of(self, document: Document) -> Surroundings:
        others = [other for other in self.documents if other is not document]
        return Surroundings(
            document.key,
            document.source,
            frozenset().union(*(other.group_names for other in others)),
            [claim for other in others for claim in other.claims],
        )

    def changed(self) -> None:
        """Tell the host; see `Documents`."""
        self._on_change()

    def _document_changed(self, document: Document) -> None:
        if follower := self.followers.get(document.source):
            follower.refresh(document)
        self._on_change()

    def _applied(self, document: Document) -> None:
        for follower in self.followers.values():
            follower.retry(document)

    # -- commands -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to stream: groups go OPEN, then ON by themselves.

        Waits for a configuration under way: what it takes away must not start again.
        """
        await self.configured()
        for group in self._allowing(Trigger.START):
            group.start()

    async def stop(self) -> None:
        """Begin to drain: groups go CLOSE, then OFF by themselves."""
        for group in self._allowing(Trigger.STOP):
            group.stop()

    async def abort(self) -> None:
        """Give up what is in flight; groups are OFF when it returns."""
        # All at once: in the time that one takes, another may come to rest by itself.
        ending = [group.abort() for group in self._allowing(Trigger.ABORT)]
        await asyncio.gather(*ending)

    async def reset(self) -> None:
        """Bring groups in FAULT back to OFF, and ask sources again that refused."""
        refused = [follower for follower in self.followers.values() if follower.is_refused]
        for group in self._allowing(Trigger.RESET, unless=bool(refused)):
            group.reset()
        for follower in refused:
            follower.reset()

    async def standby(self) -> None:
        """Forget the configuration, until a source tells another; every group must be OFF."""
        await self.configured()
        if self.state is not State.OFF:
            raise refusal(self.state, Trigger.STANDBY)
        await asyncio.gather(*(document.clear() for document in self.documents))

    async def shut_down(self) -> None:
        """Drain and stop everything, after configurations under way."""
        for follower in self.followers.values():
            await follower.close(retire=False)
        await self.configured()
        await asyncio.gather(*(group.shut_down() for group in self.groups.values()))
        await flush_spans()

    async def settled(self) -> None:
        """Wait until no configuration is under way and every group is at rest: OFF or FAULT."""
        await self.configured()
        await asyncio.gather(*(group.settled() for group in self.groups.values()))

    def status_text(self) -> str:
        """What runs, what failed, why, and what to do, in words."""
        return status_text(self.documents, self.followers.values())

    def ailments(self) -> dict[str, str]:
        """What is wrong, by name of the exchange or of the group; empty: all is well."""
        return ailments(self.groups.values())

    def statistics(self) -> Report:
        """The balance and the health of each exchange, by its name, as JSON values."""
        return statistics_report(self.groups.values())

    def gaps(self) -> list[Report]:
        """Every gap that is kept, as JSON values."""
        return gaps_report(self.groups.values())

    async def configured(self) -> None:
        """Wait until no configuration is under way."""
        for document in self.documents:
            await document.settled()

    def _allowing(self, trigger: Trigger, *, unless: bool = False) -> Iterable[Group]:
        groups = [group for group in self.groups.values() if allows(group.state, trigger)]
        if not groups and not unless:
            raise refusal(self.state, trigger)
        return groups
