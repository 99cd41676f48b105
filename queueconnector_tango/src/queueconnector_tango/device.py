"""The Tango device SDPQueueConnector: commands, properties and states of a connector.

Threads. The device is synchronous; the connector lives in an event loop in a thread of its own.
Each rule was measured; without it the server serves wrong values, stalls or crashes.

* Whoever waits for the loop in a Tango thread gives the device's monitor back meanwhile
  (`AutoTangoAllowThreads`); else the loop's next push waits for the command that waits for it.
* State and Status are pushed from the loop's thread, as all attributes are (`surface`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import tango
from tango.server import Device, command, device_property

from queueconnector_core.component import Services
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, Problem, StateError
from queueconnector_core.registry import Registry
from queueconnector_core.states import State
from queueconnector_tango import properties
from queueconnector_tango._proxy import describe
from queueconnector_tango.attributes import LocalAttributes
from queueconnector_tango.dtypes import as_latin_1, decode_text
from queueconnector_tango.host import AttributeHost
from queueconnector_tango.kept_values import KeptValues
from queueconnector_tango.logs import DeviceLog
from queueconnector_tango.loop_thread import LoopThread, log_failure
from queueconnector_tango.surface import DeviceSurface

__all__ = ("SDPQueueConnector",)

logger = logging.getLogger(__name__)

T = TypeVar("T")

REFRESH_PERIOD_S = 1.0
"""The counters in Status, and the file of last values, are brought up to date so often."""

COMMAND_WAIT_S = 2.0
"""A command waits so long for what it began, then returns: a client waits for 3 s by default. The
rest goes on, and shows in State and Status."""

SHUTDOWN_TIMEOUT_S = 5.0
"""A device that goes delivers what it has received for so long, then gives up the rest."""

VERBOSE: Final = 5
"""From `-v5` on Tango prints what its loggers are given."""

DATABASE: Final = "database"
"""The name of the configuration source that `exchanges_config_path` and `Monitor` set."""

CONFIG_ERROR: Final = "QueueConnector_ConfigError"
STATE_ERROR: Final = "QueueConnector_StateError"
INTERNAL_ERROR: Final = "QueueConnector_InternalError"


class SDPQueueConnector(Device):  # type: ignore[misc]
    """Streams data between Tango attributes, Kafka topics and whatever plugins provide.

    Each exchange connects sources through pipes to sinks; sinks may be attributes of this device.
    It is configured by a database, by properties, or by command.
    """

    exchanges_json = device_property(
        dtype=str, default_value="", doc="The configuration that the device starts with, as JSON."
    )
    exchanges_config_path = device_property(
        dtype=str,
        default_value="",
        doc="A path of the SDP configuration database, with leading slash: each key right below it "
        "is the configuration of one group, which is followed and started. {} stands for "
        "subarray_id. Goes before exchanges_json.",
    )
    subarray_id = device_property(
        dtype=str, default_value="", doc="What {} in exchanges_config_path stands for."
    )
    config_sources = device_property(
        dtype=str,
        default_value="",
        doc="More configuration sources to follow: a JSON list of objects, each with a type.",
    )
    attributes = device_property(
        dtype=str,
        default_value="",
        doc="Attributes that the device always has: a JSON list of objects with name, data_type, "
        "data_format (SCALAR, SPECTRUM, IMAGE), writeable, max_dim_x, max_dim_y.",
    )
    autostart = device_property(
        dtype=bool, default_value=False, doc="Start what exchanges_json configures."
    )
    commands = device_property(
        dtype=str,
        default_value="full",
        doc="full; configuration: without Standby, Start, Stop, Abort; none: only State, Status "
        "and Init. A command that is hidden comes back when the server is restarted.",
    )
    state_file = device_property(
        dtype=str,
        default_value="",
        doc="A local file that keeps the last value of each attribute, with its time, over a "
        "crash. Empty: nothing is kept.",
    )

    def init_device(self) -> None:
        """Read the properties and configure; a problem ends in FAULT, never in a dead server."""
        self._fault: str | None = None
        self._serves = False
        self._shown_state = State.INIT
        self._shown_status: str | None = None
        self._loop_thread = LoopThread()
        self.set_state(tango.DevState.INIT)
        traced = tango.Util.instance().get_trace_level() >= VERBOSE
        self._log = DeviceLog(self.get_logger(), hand_over=not traced)
        try:
            super().init_device()
            for name in ("State", "Status"):
                self.set_change_event(name, True, False)
            self._wait_for(self._begin())
        except Exception as error:
            # A server that dies at its start tells nobody why.
            logger.exception("initialisation failed")
            self._fault = f"Initialisation failed: {type(error).__name__}: {error}"
            self._show_state(State.FAULT)
            self.set_status(as_latin_1(self._fault))

    async def _begin(self) -> None:
        # Whoever subscribed before `Init` hears that, too.
        self._show_state(State.INIT)
        self._tasks: list[asyncio.Task[None]] = []
        self._commands: set[asyncio.Task[None]] = set()
        self._showing: asyncio.Handle | None = None
        self._kept = KeptValues(Path(self.state_file) if self.state_file.strip() else None)
        surface = DeviceSurface(self, self._loop_thread.loop.call_soon_threadsafe)
        self._attributes = LocalAttributes(surface, self._kept)
        plugins = discover()
        for broken in plugins.broken:
            logger.warning("%s %s: %s", broken.distribution, broken.version, broken.error)
        self._registry = plugins.registry
        services = Services({AttributeHost: self._attributes})
        self._connector = Connector(plugins.registry, services, self._changed, name=self.get_name())
        self._use_properties(plugins.registry)
        self._publish()
        if self.exchanges_json.strip() and not self.exchanges_config_path.strip():
            try:
                await self._connector.configure(self.exchanges_json, start=self.autostart)
            except ConfigError as error:
                await self._connector.fail(error.under("exchanges_json"))
        self._serves = True
        self._tasks += [
            asyncio.create_task(self._refresh()),
            asyncio.create_task(self._attributes.disown()),
        ]

    def _use_properties(self, registry: Registry) -> None:
        """Do what the properties but exchanges_json say; what is wrong is told, the rest used."""
        problems: list[Problem] = []

        def tried(action: Callable[[], object]) -> None:
            try:
                action()
            except ConfigError as error:
                problems.extend(error.problems)

        tried(lambda: self._hide_commands(properties.hidden_commands(self.commands)))
        read_fixed = properties.read_fixed_attributes
        tried(lambda: self._attributes.declare(read_fixed(self.attributes, registry)))
        self._attributes.inherit()
        tried(lambda: self._follow_all(registry))
        if self.exchanges_config_path.strip():
            tried(lambda: self._follow_path(self.exchanges_config_path))
        if problems:
            text = f"The device properties cannot be used:\n{ConfigError(problems)}"
            logger.error("%s", text)
            self._fault = text

    def _hide_commands(self, names: Sequence[str]) -> None:
        for name in names:
            with contextlib.suppress(tango.DevFailed):  # gone already, at a second initialisation
                self.remove_command(name, False, False)

    def _follow_all(self, registry: Registry) -> None:
        sources = properties.read_config_sources(self.config_sources, registry)
        for index, descriptor in enumerate(sources):
            self._connector.follow(f"config_sources[{index}]", descriptor)

    def _follow_path(self, path: str) -> None:
        try:
            source = properties.database_source(path.strip(), self.subarray_id, self._registry)
            self._connector.follow(DATABASE, source)
        except ConfigError as error:
            raise error.under("exchanges_config_path") from None

    def delete_device(self) -> None:
        """Stop everything within a bounded time and remove the dynamic attributes."""
        self._serves = False
        try:
            self._wait_for(self._end())
        except Exception:
            logger.exception("the connector did not end in order")
        try:
            self._loop_thread.stop()
        except TimeoutError:
            logger.exception("the connector's thread is left behind")
        self._log.close()
        super().delete_device()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_S):
                await self._connector.shut_down()
        except TimeoutError:
            logger.warning("not all was delivered within %s s", SHUTDOWN_TIMEOUT_S)
            with contextlib.suppress(StateError):
                await self._connector.abort()
        await asyncio.to_thread(self._kept.write, self._attributes.held())
        try:
            # A device that is restarted inherits attributes whose read methods are gone.
            await self._attributes.close()
        except tango.DevFailed as error:
            # When the whole server restarts Tango has forgotten the device already.
            logger.debug("attributes were not removed: %s", describe(error))

    # -- commands ---------------------------------------------------------------------------

    @command(
        dtype_in=str,
        doc_in="The configuration as JSON; empty: nothing is configured. A path with a leading "
        "slash is given to Monitor (deprecated).",
    )
    def Configure(self, configuration: str) -> None:  # noqa: N802
        """Replace the configuration. A wrong one is refused as a whole; what runs goes on."""
        text = decode_text(configuration, "utf-8")
        if text.lstrip().startswith("/"):
            logger.warning("Configure with a path is deprecated; use Monitor")
            self._carry_out("Configure", lambda: self._monitor(text))
        else:
            self._carry_out("Configure", lambda: self._configure(text))

    @command(
        dtype_in=str,
        doc_in="The path, with leading slash, as in property exchanges_config_path; empty: none.",
    )
    def Monitor(self, path: str) -> None:  # noqa: N802
        """Follow a path of the configuration database, instead of the one followed before."""
        self._carry_out("Monitor", lambda: self._monitor(decode_text(path, "utf-8")))

    @command(dtype_out=bool)
    def IsMonitoringDB(self) -> bool:  # noqa: N802
        """Whether the configuration follows a path of the configuration database."""
        return DATABASE in self._connector.followers

    @command
    def Start(self) -> None:  # noqa: N802
        """Begin to stream: OPEN, then ON by itself."""
        self._carry_out("Start", self._connector.start)

    @command
    def Stop(self) -> None:  # noqa: N802
        """Deliver what was received and disconnect: CLOSE, then OFF by itself."""
        self._carry_out("Stop", self._connector.stop)

    @command
    def Standby(self) -> None:  # noqa: N802
        """Forget the configuration; only when OFF."""
        self._carry_out("Standby", self._connector.standby)

    @command
    def Abort(self) -> None:  # noqa: N802
        """Disconnect at once; what was not delivered yet is given up and counted as dropped."""
        self._carry_out("Abort", self._connector.abort)

    @command
    def Reset(self) -> None:  # noqa: N802
        """Leave FAULT."""
        self._carry_out("Reset", self._reset)

    async def _configure(self, configuration: str) -> None:
        await self._connector.configure(configuration)
        self._fault = None

    async def _monitor(self, path: str) -> None:
        if path.strip() and not path.lstrip().startswith("/"):
            raise ConfigError.at("", f"found {path!r}; a path begins with a slash")
        before = self._connector.followers.get(DATABASE)
        if path.strip():
            # Refused before what runs is touched.
            properties.database_source(path.strip(), self.subarray_id, self._registry)
        if before is not None:
            await self._connector.unfollow(DATABASE)
        if path.strip():
            self._follow_path(path)
        self._fault = None

    async def _reset(self) -> None:
        fault, self._fault = self._fault, None
        # The device itself has left FAULT; its groups need not have been there.
        with contextlib.nullcontext() if fault is None else contextlib.suppress(StateError):
            await self._connector.reset()

    def _carry_out(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        """Do it in the loop, and tell Tango what went wrong; what takes long goes on behind."""

        async def act() -> None:
            if self._fault is not None and name not in {"Configure", "Monitor", "Reset"}:
                raise StateError(
                    f"{name} is not allowed in state FAULT; allowed: Configure, Monitor, Reset"
                )
            await action()
            self._publish()

        try:
            self._check_serves(name)
            self._wait_for(self._begin_to(name, act()))
        except ConfigError as error:
            self._throw(CONFIG_ERROR, str(error), name)
        except StateError as error:
            self._throw(STATE_ERROR, str(error), name)
        except Exception as error:
            logger.exception("%s failed", name)
            self._throw(INTERNAL_ERROR, f"{type(error).__name__}: {error}", name)

    def _check_serves(self, name: str) -> None:
        """While it is initialised, or ends, other clients' commands would be lost half-way."""
        if not self._serves:
            state = self._shown_state.value
            raise StateError(f"{name} is not allowed in state {state} now; allowed: only Init")

    async def _begin_to(self, name: str, action: Coroutine[None, None, None]) -> None:
        """Wait for an action for a while; it goes on in any case."""
        task = asyncio.create_task(action, name=name)
        self._commands.add(task)
        task.add_done_callback(self._commands.discard)
        await asyncio.wait((task,), timeout=COMMAND_WAIT_S)
        if task.done():
            task.result()
        else:
            task.add_done_callback(log_failure)

    def _throw(self, reason: str, text: str, origin: str) -> NoReturn:
        tango.Except.throw_exception(reason, text, f"SDPQueueConnector.{origin}")
        raise AssertionError("throw_exception returned")

    def _wait_for(self, coroutine: Coroutine[None, None, T]) -> T:
        """Wait in a Tango thread for the loop, with the device's monitor given back meanwhile."""
        future: Future[T] = self._loop_thread.submit(coroutine)
        with tango.AutoTangoAllowThreads(self):
            return future.result()

    # -- state and status ---------------------------------------------------------------------

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_PERIOD_S)
            self._publish()
            self._log.follow_level()
            await asyncio.to_thread(self._kept.write, self._attributes.held())

    def _changed(self) -> None:
        """Each change of state is an event; of the texts of one turn of the loop, the last is."""
        if self._showing is None:
            self._showing = asyncio.get_running_loop().call_soon(self._publish)
        self._publish_state()

    def _publish_state(self) -> None:
        state = State.FAULT if self._fault is not None else self._connector.state
        if state is self._shown_state:
            return
        if state is State.STANDBY and self._shown_state is State.FAULT:
            # The way of a group without exchanges, also where no group was at fault.
            self._show_state(State.OFF)
        self._show_state(state)

    def _show_state(self, state: State) -> None:
        self._shown_state = state
        value = tango.DevState.names[state.value]
        with tango.AutoTangoMonitor(self):
            self.set_state(value)
        self.push_change_event("State", value)

    def _publish(self) -> None:
        """Show state and status and push what changed; in the loop's thread."""
        self._showing = None
        self._publish_state()
        status = self._connector.status_text()
        if self._fault is not None:
            status = self._fault if not self._connector.groups else f"{self._fault}\n{status}"
        if status == self._shown_status:
            return
        self._shown_status = status
        with tango.AutoTangoMonitor(self):
            self.set_status(as_latin_1(status))
        self.push_change_event("Status", as_latin_1(status))
