"""All groups of a host: reads configurations and carries out commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from queueconnector_core.component import Services
from queueconnector_core.group import Group
from queueconnector_core.plan import ExchangePlan, Plan, read_plan
from queueconnector_core.registry import Registry
from queueconnector_core.states import State, Trigger, aggregate, allows, refusal

__all__ = ("Connector",)


class Connector:
    """Owns the groups of one host; everything runs in the event loop that calls it.

    `on_change` is called at every change of state of a group and after every configuration.
    A command acts on each group whose state allows it, and raises `StateError` when none does.
    """

    def __init__(
        self,
        registry: Registry,
        services: Services | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.groups: dict[str, Group] = {}
        self._registry = registry
        self._services = services or Services()
        self._on_change = on_change
        self._plan = Plan()
        self._configuring = asyncio.Lock()

    @property
    def state(self) -> State:
        """The state of the host: see `aggregate`."""
        return aggregate(group.state for group in self.groups.values())

    async def configure(self, text: str) -> None:
        """Replace the configuration by JSON text; empty text removes it.

        Groups whose configuration did not change are left alone. Changed ones that were open are
        drained, replaced and started again; new ones are started if any group was open.
        Raises `ConfigError` with all problems; then nothing has changed.
        """
        async with self._configuring:
            plan = read_plan(text, self._registry, self._services)
            changed = {
                name: exchanges
                for name, exchanges in plan.groups.items()
                if exchanges != self._plan.groups.get(name)
                or self.groups[name].state is State.FAULT
            }
            new = {name: self._build(name, exchanges) for name, exchanges in changed.items()}
            await self._replace(plan, new)
        self._on_change()

    async def _replace(self, plan: Plan, new: dict[str, Group]) -> None:
        was_open = {
            name for name, group in self.groups.items() if allows(group.state, Trigger.STOP)
        }
        leaving = [
            group for name, group in self.groups.items() if name in new or name not in plan.groups
        ]
        await asyncio.gather(*(group.shut_down() for group in leaving))
        for host in self._services.resource_hosts():
            await host.reconcile([c for c in plan.claims if isinstance(c, host.claim_type)])
        known = set(self.groups)
        self.groups = {name: new.get(name) or self.groups[name] for name in plan.groups}
        self._plan = plan
        for name, group in new.items():
            if name in was_open or (was_open and name not in known):
                group.start()

    def _build(self, name: str, exchanges: Iterable[ExchangePlan]) -> Group:
        made = [plan.build(self._registry, self._services) for plan in exchanges]
        return Group(name, made, self._on_change)

    async def start(self) -> None:
        """Begin to stream: groups go OPEN, then ON by themselves.

        Waits for a configuration under way: a group that it takes away must not start again.
        """
        async with self._configuring:
            for group in self._allowing(Trigger.START):
                group.start()

    async def stop(self) -> None:
        """Begin to drain: groups go CLOSE, then OFF by themselves."""
        for group in self._allowing(Trigger.STOP):
            group.stop()

    async def abort(self) -> None:
        """Give up what is in flight; groups are OFF when it returns."""
        await asyncio.gather(*(group.abort() for group in self._allowing(Trigger.ABORT)))

    async def reset(self) -> None:
        """Bring groups in FAULT back to OFF."""
        for group in self._allowing(Trigger.RESET):
            group.reset()

    async def standby(self) -> None:
        """Forget the configuration; every group must be OFF."""
        if self.state is not State.OFF:
            raise refusal(self.state, Trigger.STANDBY)
        await self.configure("")

    async def shut_down(self) -> None:
        """Drain and stop everything, after a configuration under way; what is configured stays."""
        async with self._configuring:
            await asyncio.gather(*(group.shut_down() for group in self.groups.values()))

    async def settled(self) -> None:
        """Wait until every group is at rest: OFF or FAULT."""
        await asyncio.gather(*(group.settled() for group in self.groups.values()))

    def status_text(self) -> str:
        """What runs, what failed and why, in words; one line a group and one an exchange."""
        if not self.groups:
            return "Not configured."
        return "\n".join(line for group in self.groups.values() for line in _describe(group))

    def _allowing(self, trigger: Trigger) -> list[Group]:
        groups = [group for group in self.groups.values() if allows(group.state, trigger)]
        if not groups:
            raise refusal(self.state, trigger)
        return groups


def _describe(group: Group) -> Iterable[str]:
    reason = f": {group.fault}; Reset or a new configuration leaves it" if group.fault else ""
    yield f"Group {group.name} is {group.state.value}{reason}"
    for exchange in group.exchanges:
        stats = exchange.statistics
        line = f"  {exchange.name}: {stats.received} received, {stats.delivered} delivered"
        if stats.dropped:
            last = f" (last: {stats.failures[-1].text})" if stats.failures else ""
            line += f", {stats.dropped} dropped{last}"
        if stats.degraded:
            since = time.strftime("%H:%M:%SZ", time.gmtime(stats.degraded.time_s))
            line += f"; waiting since {since}: {stats.degraded.text}"
        yield line
