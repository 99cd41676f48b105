"""What a device does in its event loop, from its properties to its end; knows nothing of Tango."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from queueconnector_core.component import Services
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, Problem, StateError
from queueconnector_core.states import State
from queueconnector_core.web.options import serve
from queueconnector_tango import properties
from queueconnector_tango.attributes import AttributeSurface, LocalAttributes
from queueconnector_tango.host import AttributeHost
from queueconnector_tango.kept_values import KeptValues
from queueconnector_tango.properties import DeviceProperties

__all__ = ("DeviceView", "DeviceSession")

logger = logging.getLogger(__name__)

REFRESH_PERIOD_S = 1.0
"""The counters in Status, and the file of last values, are brought up to date so often."""

STANDSTILL_S = 5.0
"""An event loop that has not come to look for so long stands still."""

RESTS = 10
"""Texts that took long to make rest so many times as long: many changes then share one."""

COMMAND_WAIT_S = 2.0
"""A command waits so long for what it began, then returns: a client waits for 3 s by default. The
rest goes on, and shows in State and Status."""

SHUTDOWN_TIMEOUT_S = 5.0
"""A device that goes delivers what it has received for so long, then gives up the rest."""

DATABASE: Final = "database"
"""The name of the configuration source that `exchanges_config_path` and `Monitor` set."""


class DeviceView(Protocol):
    """What the session shows of itself; called in the thread of the event loop."""

    def show_state(self, state: State) -> None:
        """Show a state, and send it as an event."""

    def show_status(self, text: str) -> None:
        """Show a status, and send it as an event."""

    def show_own(self, name: str, value: bool | str) -> None:
        """Send what one of the device's own attributes holds now as an event."""

    def hide_commands(self, names: Sequence[str]) -> None:
        """Have these commands no longer."""

    def refreshed(self) -> None:
        """Do what is done once a second."""


class DeviceSession:
    """A connector with the attributes, the last values and the commands of one device."""

    def __init__(
        self, name: str, settings: DeviceProperties, view: DeviceView, surface: AttributeSurface
    ) -> None:
        self.state = State.INIT
        """What the device shows."""
        self.statistics = "{}"
        """The balance and the health of every exchange, as JSON."""
        self.gaps = "[]"
        """The latest gaps of all exchanges, as JSON."""
        self._healthy = True
        self._looked_s = time.monotonic()
        self._known: object = None
        self._gaps_known: object = None
        self._name = name
        self._settings = settings
        self._view = view
        self._status: str | None = None
        self._fault: str | None = None
        self._serves = False
        self._close_web: Callable[[], Awaitable[None]] = _nothing
        self._tasks: list[asyncio.Task[None]] = []
        self._commands: set[asyncio.Task[None]] = set()
        self._showing: asyncio.Handle | None = None
        self._rested_s = 0.0
        path = settings.state_file.strip()
        self._kept = KeptValues(Path(path) if path else None)
        self.attributes = LocalAttributes(surface, self._kept)

    @property
    def is_monitoring(self) -> bool:
        """Whether a path of the configuration database is followed."""
        return DATABASE in self.connector.followers

    @property
    def healthy(self) -> bool:
        """Whether every exchange is well; False also when the event loop itself stands still."""
        return self._healthy and time.monotonic() - self._looked_s < STANDSTILL_S

    # -- life ---------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Use the properties; what is wrong with them is told, and ends in FAULT."""
        # Whoever subscribed before `Init` hears that, too.
        self._show_state(State.INIT)
        plugins = discover()
        for broken in plugins.broken:
            logger.warning("%s %s: %s", broken.distribution, broken.version, broken.error)
        self._registry = plugins.registry
        services = Services({AttributeHost: self.attributes})
        self.connector = Connector(plugins.registry, services, self._changed, name=self._name)
        await self._use_settings()
        self._publish()
        if self._settings.exchanges_json.strip() and not self._settings.exchanges_config_path:
            await self._configure_at_first()
        self._serves = True
        self._tasks += [
            asyncio.create_task(self._refresh()),
            asyncio.create_task(self.attributes.disown()),
        ]

    async def _use_settings(self) -> None:
        """Do what the properties but exchanges_json say; what is wrong is told, the rest used."""
        problems: list[Problem] = []

        def tried(action: Callable[[], object]) -> None:
            try:
                action()
            except ConfigError as error:
                problems.extend(error.problems)

        settings = self._settings
        read_fixed = properties.read_fixed_attributes
        tried(lambda: self._view.hide_commands(properties.hidden_commands(settings.commands)))
        tried(lambda: self.attributes.declare(read_fixed(settings.attributes, self._registry)))
        self.attributes.inherit()
        tried(self._follow_all)
        if settings.exchanges_config_path:
            tried(lambda: self._follow_path(settings.exchanges_config_path))
        try:
            await self._serve()
        except ConfigError as error:
            problems.extend(error.problems)
        if problems:
            self._fault = f"The device properties cannot be used:\n{ConfigError(problems)}"
            logger.error("%s", self._fault)

    async def _serve(self) -> None:
        if (options := self._settings.web) is not None:
            server = await serve(self.connector, options)
            self._close_web = server.close

    def _follow_all(self) -> None:
        sources = properties.read_config_sources(self._settings.config_sources, self._registry)
        for index, descriptor in enumerate(sources):
            self.connector.follow(f"config_sources[{index}]", descriptor)

    def _follow_path(self, path: str) -> None:
        try:
            source = properties.database_source(
                path.strip(), self._settings.subarray_id, self._registry
            )
            self.connector.follow(DATABASE, source)
        except ConfigError as error:
            raise error.under("exchanges_config_path") from None

    async def _configure_at_first(self) -> None:
        settings = self._settings
        try:
            await self.connector.configure(settings.exchanges_json, start=settings.autostart)
        except ConfigError as error:
            await self.connector.fail(error.under("exchanges_json"))

    async def end(self) -> None:
        """Stop everything within a bounded time, and keep the last values."""
        self._serves = False
        for task in self._tasks:
            task.cancel()
        await self._close_web()
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                await self.connector.shut_down()
        except TimeoutError:
            logger.warning("not all was delivered within %s s", SHUTDOWN_TIMEOUT_S)
            with contextlib.suppress(StateError):
                await self.connector.abort()
        if self._showing is not None:
            # What is due must not come when the next session shows something else.
            self._publish()
        await self._keep_values()

    # -- commands -----------------------------------------------------------------------------

    async def carry_out(
        self, name: str, action: Callable[[DeviceSession], Awaitable[None]]
    ) -> None:
        """Begin a command and wait for it for a while; what takes longer goes on behind.

        Raises what the command raises, and `StateError` when the device takes none now.
        """
        self.check_serves(name)
        if self._fault is not None and name not in {"Configure", "Monitor", "Reset"}:
            text = f"{name} is not allowed in state FAULT; allowed: Configure, Monitor, Reset"
            raise StateError(text)

        async def act() -> None:
            await action(self)
            self._publish()

        task = asyncio.create_task(act(), name=name)
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        await asyncio.wait((task,), timeout=COMMAND_WAIT_S)
        if task.done():
            task.result()
        else:
            task.add_done_callback(_log_failure)

    def check_serves(self, name: str) -> None:
        """Raise `StateError` while it is initialised, or ends: a command would be lost half-way."""
        if not self._serves:
            text = f"{name} is not allowed in state {self.state.value} now; allowed: only Init"
            raise StateError(text)

    async def configure(self, text: str) -> None:
        """Replace the configuration; a path is monitored. Raises `ConfigError`."""
        if text.lstrip().startswith("/"):
            logger.warning("Configure with a path is deprecated; use Monitor")
            await self.monitor(text)
            return
        await self.connector.configure(text)
        self._fault = None

    async def monitor(self, path: str) -> None:
        """Follow a path of the configuration database instead of another; empty: none."""
        if path.strip():
            if not path.lstrip().startswith("/"):
                raise ConfigError.at("", f"found {path!r}; a path begins with a slash")
            # Refused before what runs is touched.
            properties.database_source(path.strip(), self._settings.subarray_id, self._registry)
        await self.connector.unfollow(DATABASE)
        if path.strip():
            self._follow_path(path)
        self._fault = None

    async def reset(self) -> None:
        """Leave FAULT, of the device and of its groups. Raises `StateError`."""
        fault, self._fault = self._fault, None
        # The device itself has left FAULT; its groups need not have been there.
        with contextlib.nullcontext() if fault is None else contextlib.suppress(StateError):
            await self.connector.reset()

    # -- state and status ---------------------------------------------------------------------

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_PERIOD_S)
            if self._has_news():
                self._publish()
            self._view.refreshed()
            await self._keep_values()

    def _has_news(self) -> bool:
        """Take over health, and see whether an exchange has done anything since."""
        self._looked_s = time.monotonic()
        wrong = self.connector.ailments()
        healthy = not wrong and self._fault is None
        if healthy != self._healthy:
            self._healthy = healthy
            self._view.show_own("exchanges_healthy", healthy)
        known = (wrong, [exchange.pulse for exchange in self.connector.exchanges])
        former, self._known = self._known, known
        return known != former

    def _show_figures(self) -> None:
        """Take over counters and gaps; what has changed is sent."""
        statistics = json.dumps(self.connector.statistics())
        if statistics != self.statistics:
            self.statistics = statistics
            self._view.show_own("exchanges_statistics", statistics)
        # The list is long; it changes with the counts of gaps, and of those that go on.
        known = [(e.gaps, e.gaps.total, e.gaps.still_open) for e in self.connector.exchanges]
        if known != self._gaps_known:
            self._gaps_known = known
            self.gaps = json.dumps(self.connector.gaps())
            self._view.show_own("exchanges_gaps", self.gaps)

    async def _keep_values(self) -> None:
        if self._kept.has_file:
            await asyncio.to_thread(self._kept.write, self.attributes.held())

    def _changed(self) -> None:
        """Each change of state is an event; of the texts of one turn of the loop, the last is."""
        if self._showing is None:
            loop = asyncio.get_running_loop()
            self._showing = loop.call_at(max(loop.time(), self._rested_s), self._publish)
        self._publish_state()

    def _publish_state(self) -> None:
        state = State.FAULT if self._fault is not None else self.connector.state
        if state is self.state:
            return
        if state is State.STANDBY and self.state is State.FAULT:
            # The way of a group without exchanges, also where no group was at fault.
            self._show_state(State.OFF)
        self._show_state(state)

    def _show_state(self, state: State) -> None:
        self.state = state
        self._view.show_state(state)

    def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        if self._showing is not None:
            self._showing.cancel()
            self._showing = None
        self.connector.trouble = self._fault
        self._publish_state()
        status = self.connector.status_text()
        if self._fault is not None:
            status = self._fault if not self.connector.groups else f"{self._fault}\n{status}"
        if status != self._status:
            self._status = status
            self._view.show_status(status)
        self._has_news()
        self._show_figures()
        self._rested_s = loop.time() + RESTS * (loop.time() - begun_s)


async def _nothing() -> None:
    """Nothing is served."""


def _log_failure(task: asyncio.Task[None]) -> None:
    """Tell how a command has failed that nobody waits for any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("%s failed after its client was answered: %s", task.get_name(), error)
