"""One document of configuration: from its newest text to the groups that run it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from queueconnector_core.component import Claim, Services
from queueconnector_core.config.protocol import ConfigReport
from queueconnector_core.exchange import Exchange
from queueconnector_core.fault import Fault
from queueconnector_core.group import Group
from queueconnector_core.plan import ExchangePlan, Plan, Surroundings, read_plan
from queueconnector_core.registry import Registry
from queueconnector_core.states import State, Trigger, aggregate, allows

__all__ = ("Rejection", "Document")

logger = logging.getLogger(__name__)


_Made: TypeAlias = dict[str, list[tuple[ExchangePlan, Exchange]]]
"""Every exchange of each group, beside the plan that it was made from."""


@attrs.frozen
class Rejection:
    """The newest text cannot be used; what it would have replaced runs on, if anything does."""

    text: str
    version: str
    fault: Fault
    error: Exception = attrs.field(eq=False, repr=False)


@attrs.frozen
class _Order:
    """A proven text that waits to be applied; or the error of one that is not, to stop with."""

    text: str
    plan: Plan
    version: str
    start: bool = False
    error: Exception | None = None
    done: asyncio.Future[None] = attrs.field(factory=asyncio.Future, eq=False)


@attrs.define
class _Change:
    """What an order does, counted in exchanges."""

    coming: int = 0
    leaving: int = 0
    kept: int = 0

    def __str__(self) -> str:
        return f"{self.coming} exchanges new, {self.leaving} ended, {self.kept} unchanged"


class Document:
    """Proves each new text at once and applies the newest in a task of its own.

    Texts that are overtaken by a newer one are never applied. Exchanges that did not change stream
    on; nothing is touched before the whole text has been proven.
    """

    def __init__(
        self,
        registry: Registry,
        services: Services,
        *,
        key: str | None,
        source: str,
        surroundings: Callable[[Document], Surroundings],
        on_change: Callable[[Document], None],
        on_applied: Callable[[Document], None],
    ) -> None:
        self.key = key
        self.source = source
        self.groups: dict[str, Group] = {}
        self.rejection: Rejection | None = None
        self.seen = self.running = ""
        """The newest version that was told, and the one in use."""
        self.gone = False
        """The source has it no longer."""
        self.result = ""
        """What the last text has changed, in words, and when."""
        self.owner = source if key is None else f"{source}/{key}"
        """Names the document in messages, and as owner of what it claims."""
        self._registry = registry
        self._services = services
        self._surroundings = surroundings
        self._on_change = on_change
        self._on_applied = on_applied
        self._plan = Plan()
        self._orders: list[_Order] = []
        self._working: asyncio.Task[None] | None = None
        self._made: _Made = {}
        self._shown: tuple[State, float] = (State.STANDBY, time.time())

    @property
    def state(self) -> State:
        """The state of its groups together."""
        return aggregate(group.state for group in self.groups.values())

    @property
    def is_used(self) -> bool:
        """Whether an exchange stems from it, running or not."""
        return any(group.exchanges for group in self.groups.values())

    @property
    def group_names(self) -> set[str]:
        """The groups that it has or will have."""
        return {name for plan in self._plans for name in plan.groups} | set(self.groups)

    @property
    def claims(self) -> Sequence[tuple[str, Claim]]:
        """What it holds or will hold, each with the name of the group."""
        return [claim for plan in self._plans for claim in plan.claims_by_group]

    @property
    def plans(self) -> dict[Exchange, ExchangePlan]:
        """What each of its exchanges was made from."""
        return {
            exchange: plan for plan, exchange in itertools.chain.from_iterable(self._made.values())
        }

    @property
    def _plans(self) -> list[Plan]:
        return [self._plan, *(order.plan for order in self._orders)]

    def report(self) -> ConfigReport:
        """How it fares now."""
        if self._shown[0] is not self.state:
            self._shown = (self.state, time.time())
        faults = [group.fault for group in self.groups.values() if group.fault is not None]
        fault = self.rejection.fault if self.rejection else next(iter(faults), None)
        if fault is not None and not fault.version:
            fault = attrs.evolve(fault, version=self.running)
        states = {name: group.state for name, group in self.groups.items()}
        return ConfigReport(self.key, self.seen, self.running, *self._shown, states, fault)

    def offer(self, text: str, version: str, *, start: bool) -> asyncio.Future[None]:
        """Prove a new text, and apply it as soon as the one before it is applied.

        The future is done when it, or a newer one, has been applied. Raises `ConfigError` with all
        problems; then nothing changes.
        """
        self.seen = version
        plan = read_plan(text, self._registry, self._services, self._surroundings(self))
        self.rejection, self.gone = None, False
        return self._submit(_Order(text, self._named(plan), version, start))

    def reject(self, text: str, error: Exception) -> None:
        """Keep the newest text, which cannot be used, and why; what runs goes on."""
        self.gone = False
        fault = attrs.evolve(Fault.of(error, self.key or "default"), version=self.seen)
        self.rejection = Rejection(text, self.seen, fault, error)
        logger.error("%s %s is rejected: %s", self.owner, self.seen, error)
        self._changed()

    def clear(self) -> asyncio.Future[None]:
        """End and remove all groups; a document with a key keeps its group, in STANDBY."""
        self.rejection = None
        return self._submit(_Order("", self._named(Plan()), self.seen))

    def retire(self) -> asyncio.Future[None]:
        """End and remove all groups, because the document is gone; it may come back."""
        self.rejection, self.gone = None, True
        return self._submit(_Order("", Plan(), self.seen))

    def fail(self, error: Exception) -> asyncio.Future[None]:
        """Stop what runs, in FAULT: the newest text cannot be used."""
        return self._submit(_Order("", self._plan, self.running, error=error))

    async def settled(self) -> None:
        """Wait until no text waits to be applied."""
        while self._working is not None and not self._working.done():
            await asyncio.wait((self._working,))

    def _changed(self) -> None:
        self._on_change(self)

    def _named(self, plan: Plan) -> Plan:
        """A document with a key has a group even when it has no exchanges."""
        if self.key is None or plan.groups:
            return plan
        return attrs.evolve(plan, groups={self._only_name(): ()})

    def _only_name(self) -> str:
        return self._surroundings(self).name("default", among=1)

    def _submit(self, order: _Order) -> asyncio.Future[None]:
        self._orders.append(order)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name=f"configure {self.owner}")
        return order.done

    async def _work(self) -> None:
        while self._orders:
            taken, newest = list(self._orders), self._orders[-1]
            start = any(order.start for order in taken)
            failure: Exception | None = None
            try:
                if newest.error is None:
                    await self._apply(newest.plan, start=start)
                    self.running = newest.version
                else:
                    await self._stop_in_fault(newest.error)
            except Exception as error:  # noqa: BLE001 - told to whoever waits for it
                failure = error
                if newest is self._orders[-1]:
                    self.reject(newest.text, error)
            del self._orders[: len(taken)]
            for order in taken:
                if not order.done.done():
                    order.done.set_exception(failure) if failure else order.done.set_result(None)
            if failure is None and newest.error is None:
                self._on_applied(self)
            self._changed()

    async def _stop_in_fault(self, error: Exception) -> None:
        if not self.groups:
            name = self._only_name()
            self.groups[name] = Group(name, on_change=self._changed)
        await asyncio.gather(*(group.fail(error) for group in self.groups.values()))

    async def _apply(self, plan: Plan, *, start: bool) -> None:
        made, change = await self._make(plan)
        had, was_open = set(self.groups), self._is_open()
        touched = self._touched(plan, made)
        await asyncio.gather(
            *(group.release(_exchanges(made, name)) for name, group in touched.items())
        )
        self.groups = {**self.groups, **touched}
        self._plan, self._made = plan, made
        for planned, exchange in itertools.chain.from_iterable(made.values()):
            exchange.name = planned.name
        try:
            await self._reconcile(plan)
        except Exception as error:
            self.running = ""
            await asyncio.gather(*(group.give_up(error) for group in touched.values()))
            raise
        for name, group in touched.items():
            begin = start or (was_open and name not in had)
            await group.adopt(_exchanges(made, name), plan.policy, start=begin)
        self.groups = {name: self.groups[name] for name in plan.groups}
        at = time.strftime("%H:%M:%SZ", time.gmtime())
        self.result = f"applied at {at}: {change}"
        logger.info("%s: %s", self.owner, self.result)

    def _is_open(self) -> bool:
        return any(allows(group.state, Trigger.STOP) for group in self.groups.values())

    def _touched(self, plan: Plan, made: _Made) -> dict[str, Group]:
        """The groups that the plan changes, those that go and come among them."""
        touched: dict[str, Group] = {}
        for name in {**self.groups, **plan.groups}:
            group = self.groups.get(name)
            if group is None:
                touched[name] = Group(name, on_change=self._changed)
            elif (
                group.state is State.FAULT
                or name not in plan.groups
                or list(group.exchanges) != _exchanges(made, name)
                or group.policy != plan.policy
            ):
                touched[name] = group
        return touched

    async def _reconcile(self, plan: Plan) -> None:
        for host in self._services.resource_hosts():
            claims = [claim for claim in plan.claims if isinstance(claim, host.claim_type)]
            await host.reconcile(self.owner, claims)

    async def _make(self, plan: Plan) -> tuple[_Made, _Change]:
        """The exchanges of each group: those that did not change, and new ones for the others."""
        change = _Change(leaving=sum(map(len, self._made.values())))
        made: _Made = {}
        for name, exchanges in plan.groups.items():
            known = defaultdict(list)
            for was, exchange in self._made.get(name, ()):
                known[was].append(exchange)
            made[name] = []
            for wanted in exchanges:
                if known[wanted]:
                    exchange = known[wanted].pop(0)
                    change.kept += 1
                else:
                    exchange = wanted.build(self._registry, self._services)
                    change.coming += 1
                    # A thousand take their time, in which what streams must not stand still.
                    await asyncio.sleep(0)
                made[name].append((wanted, exchange))
        change.leaving -= change.kept
        return made, change


def _exchanges(made: _Made, name: str) -> list[Exchange]:
    return [exchange for _, exchange in made.get(name, ())]
