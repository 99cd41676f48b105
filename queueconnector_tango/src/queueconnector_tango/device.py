"""The Tango device SDPQueueConnector: commands, states and dynamic attributes of a connector.

Threads. The device is synchronous; the connector lives in an event loop in a thread of its own.
Each rule below was measured; without it the server serves wrong values, stalls or crashes.

* Reads return from memory, without a way through the loop.
* Events are pushed from the loop's thread only: from several threads they would lose their order.
* Attributes are added and removed under the device's monitor, are `ATTR_NO_SYNC`, and are closed to
  readers before they go.
* Whoever waits for the loop in a Tango thread gives the monitor back meanwhile
  (`AutoTangoAllowThreads`); else the loop's next push waits for the command that waits for it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NoReturn, TypeVar

import tango
from tango.server import Device, attribute, command, device_property
from tango.test_context import get_server_host_port

from queueconnector_core.component import Services
from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.errors import ConfigError, RecordError, StateError
from queueconnector_core.record import Quality
from queueconnector_core.states import State
from queueconnector_tango._proxy import describe, wake_subscribers
from queueconnector_tango.attributes import LocalAttribute, LocalAttributes
from queueconnector_tango.dtypes import decode_text, max_dimensions, tango_type
from queueconnector_tango.host import AttributeHost

__all__ = ("SDPQueueConnector",)

logger = logging.getLogger(__name__)

T = TypeVar("T")

STATUS_PERIOD_S = 1.0
"""The counters in Status are brought up to date so often."""

SHUTDOWN_TIMEOUT_S = 5.0
"""A device that goes delivers what it has received for so long, then gives up the rest."""

CONFIG_ERROR: Final = "QueueConnector_ConfigError"
STATE_ERROR: Final = "QueueConnector_StateError"
INTERNAL_ERROR: Final = "QueueConnector_InternalError"
ATTRIBUTE_REMOVED: Final = "QueueConnector_AttributeRemoved"

_QUALITIES = {
    Quality.VALID: tango.AttrQuality.ATTR_VALID,
    Quality.INVALID: tango.AttrQuality.ATTR_INVALID,
    Quality.ALARM: tango.AttrQuality.ATTR_ALARM,
    Quality.CHANGING: tango.AttrQuality.ATTR_CHANGING,
    Quality.WARNING: tango.AttrQuality.ATTR_WARNING,
}


class LoopThread:
    """A thread that omniORB knows, with an event loop that runs until `stop`."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="connector", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        with tango.EnsureOmniThread(), asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._stopped = asyncio.Event()
            self._ready.set()
            runner.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        await self._stopped.wait()

    def submit(self, coroutine: Coroutine[None, None, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        """Cancel whatever runs and end the thread; raises `TimeoutError` if it does not end."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(SHUTDOWN_TIMEOUT_S)
        if self._thread.is_alive():
            raise TimeoutError("the event loop did not end")


class SDPQueueConnector(Device):  # type: ignore[misc]
    """Streams data between Tango attributes, Kafka topics and whatever plugins provide.

    It is configured by JSON, in property `exchanges_json` or by command `Configure`. Each exchange
    connects sources through pipes to sinks; sinks may be attributes of this device.
    """

    exchanges_json = device_property(
        dtype=str, default_value="", doc="The configuration that the device starts with, as JSON."
    )
    exchanges_config_path = device_property(
        dtype=str, default_value="", doc="Path of the configuration in the SDP database."
    )

    def init_device(self) -> None:
        """Read the properties and configure; a problem ends in FAULT, never in a dead server."""
        self._fault: str | None = None
        self._shown: tuple[State, str] | None = None
        self._loop_thread = LoopThread()
        try:
            super().init_device()
            for name in ("State", "Status"):
                self.set_change_event(name, True, False)
            self._wait_for(self._begin())
        except Exception as error:
            # A server that dies at its start tells nobody why.
            logger.exception("initialisation failed")
            self._fault = f"Initialisation failed: {type(error).__name__}: {error}"
            self.set_state(tango.DevState.FAULT)
            self.set_status(_latin(self._fault))

    async def _begin(self) -> None:
        self._attributes = LocalAttributes(self)
        plugins = discover()
        for plugin in plugins.broken:
            logger.warning("%s %s: %s", plugin.distribution, plugin.version, plugin.error)
        self._connector = Connector(
            plugins.registry, Services({AttributeHost: self._attributes}), self._publish
        )
        self._transitions = asyncio.Lock()
        self._attributes.inherit()
        try:
            _refuse_path(self.exchanges_config_path)
            await self._connector.configure(self.exchanges_json)
        except ConfigError as error:
            self._fault = f"The device properties cannot be used:\n{error}"
            logger.error("%s", self._fault)  # noqa: TRY400 - a user's mistake has no trace
        self._publish()
        self._tasks = [
            asyncio.create_task(self._refresh()),
            asyncio.create_task(self._attributes.disown()),
        ]

    def delete_device(self) -> None:
        """Stop everything within a bounded time and remove the dynamic attributes."""
        try:
            self._wait_for(self._end())
        except Exception:
            logger.exception("the connector did not end in order")
        try:
            self._loop_thread.stop()
        except TimeoutError:
            logger.exception("the connector's thread is left behind")
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
        try:
            # A device that is restarted inherits attributes whose read methods are gone.
            await self._attributes.close()
        except tango.DevFailed as error:
            # When the whole server restarts Tango has forgotten the device already.
            logger.debug("attributes were not removed: %s", describe(error))

    # -- commands ---------------------------------------------------------------------------

    @command(dtype_in=str, doc_in="The configuration as JSON; empty: nothing is configured.")
    def Configure(self, configuration: str) -> None:  # noqa: N802
        """Replace the configuration. A wrong one is refused as a whole; what runs goes on."""
        self._carry_out("Configure", lambda: self._configure(decode_text(configuration, "utf-8")))

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
        self._carry_out("Abort", self._connector.abort, serial=False)

    @command
    def Reset(self) -> None:  # noqa: N802
        """Leave FAULT."""
        self._carry_out("Reset", self._reset)

    @command(dtype_out=bool)
    def IsMonitoringDB(self) -> bool:  # noqa: N802
        """Whether the configuration follows a database: not in this release."""
        return False

    async def _configure(self, configuration: str) -> None:
        if configuration.lstrip().startswith("/"):
            _refuse_path(configuration.strip())
        await self._connector.configure(configuration)
        self._fault = None

    async def _reset(self) -> None:
        if self._fault is None:
            await self._connector.reset()
        self._fault = None

    def _carry_out(
        self, name: str, action: Callable[[], Awaitable[None]], *, serial: bool = True
    ) -> None:
        """Do it in the loop, one command after the other, and tell Tango what went wrong."""

        async def act() -> None:
            if self._fault is not None and name not in {"Configure", "Reset"}:
                raise StateError(f"{name} is not allowed in state FAULT; allowed: Configure, Reset")
            await action()
            self._publish()

        async def act_alone() -> None:
            async with self._transitions:
                await act()

        try:
            self._wait_for(act_alone() if serial else act())
        except ConfigError as error:
            self._throw(CONFIG_ERROR, str(error), name)
        except StateError as error:
            self._throw(STATE_ERROR, str(error), name)
        except Exception as error:
            logger.exception("%s failed", name)
            self._throw(INTERNAL_ERROR, f"{type(error).__name__}: {error}", name)

    def _throw(self, reason: str, text: str, origin: str) -> NoReturn:
        tango.Except.throw_exception(reason, text, f"SDPQueueConnector.{origin}")
        raise AssertionError("throw_exception returned")

    def _wait_for(self, coroutine: Coroutine[None, None, T]) -> T:
        """Wait in a Tango thread for the loop, with the device's monitor given back meanwhile."""
        future = self._loop_thread.submit(coroutine)
        with tango.AutoTangoAllowThreads(self):
            return future.result()

    # -- state and status ---------------------------------------------------------------------

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(STATUS_PERIOD_S)
            self._publish()

    def _publish(self) -> None:
        """Show state and status and push what changed; in the loop's thread."""
        state, status = self._connector.state, self._connector.status_text()
        if self._fault is not None:
            state, status = State.FAULT, self._fault
        shown, self._shown = self._shown, (state, status)
        if shown == self._shown:
            return
        value, text = tango.DevState.names[state.value], _latin(status)
        with tango.AutoTangoMonitor(self):
            self.set_state(value)
            self.set_status(text)
        if shown is None or shown[0] is not state:
            self.push_change_event("State", value)
        self.push_change_event("Status", text)

    # -- dynamic attributes: see AttributeSurface ---------------------------------------------

    def add_local(self, local: LocalAttribute) -> None:
        """Make the attribute exist, with change events that are pushed here."""

        def read(_device: Device, _attribute: tango.Attribute) -> tuple[Any, ...]:
            return _in_parts(local)

        def is_allowed(_device: Device, _request: tango.AttReqType) -> bool:
            return local.open

        spec = local.claim.spec
        dtype: Any = tango_type(spec)
        for _ in spec.shape:
            dtype = (dtype,)
        definition = attribute(
            name=local.name,
            dtype=dtype,
            fget=read,
            fisallowed=is_allowed,
            green_mode=False,
            **max_dimensions(spec),
        )
        with tango.AutoTangoMonitor(self):
            self.add_attribute(definition)
            self.set_change_event(local.name, True, False)
            # With a mutex of its own an attribute is freed while a reader still holds it.
            self.get_device_attr().get_attr_by_name(local.name).set_attr_serial_model(
                tango.AttrSerialModel.ATTR_NO_SYNC
            )

    def remove_local(self, local: LocalAttribute) -> None:
        """Make the attribute no longer exist."""
        with tango.AutoTangoMonitor(self):
            # Cleaning the database crashes a server that has none.
            self.remove_attribute(local.name, False, False)

    def push_local(self, local: LocalAttribute) -> None:
        """Send what the attribute holds; raises `RecordError` when Tango refuses it."""
        try:
            self.push_change_event(local.name, *_in_parts(local))
        except tango.DevFailed as error:
            raise RecordError(describe(error)) from None
        except (TypeError, ValueError, OverflowError) as error:
            raise RecordError(f"{type(error).__name__}: {error}") from None

    def tell_removed(self, local: LocalAttribute) -> None:
        """Subscribers get an error; by itself Tango would leave them in silence."""
        text = f"attribute {local.name} was removed or changed by a new configuration"
        try:
            tango.Except.throw_exception(ATTRIBUTE_REMOVED, text, "SDPQueueConnector.Configure")
        except tango.DevFailed as error:
            self.push_change_event(local.name, error)

    async def wake_subscribers(self, names: Sequence[str]) -> None:
        """Let subscribers of attributes that existed before hear them again."""
        util = tango.Util.instance()
        while util.is_svr_starting():  # noqa: ASYNC110 - Tango does not tell when it is done
            await asyncio.sleep(0.1)
        host, port = get_server_host_port()
        admin = f"tango://{host}:{port}/{util.get_dserver_device().get_name()}#dbase=no"
        await wake_subscribers(admin, self.get_name(), list(names))


def _in_parts(local: LocalAttribute) -> tuple[Any, ...]:
    """Value (label and octets: two parts), time and quality, as PyTango takes them."""
    held = local.snapshot
    value = held.value if local.claim.spec.is_bytes else (held.value,)
    return (*value, held.time_s, _QUALITIES[held.quality])


def _refuse_path(path: str) -> None:
    if path.strip():
        raise ConfigError.at(
            "",
            f"found the path {path!r}: configurations in the SDP database come with "
            "queueconnector-sdp, which is not part of this release; use JSON",
        )


def _latin(text: str) -> str:
    """UTF-8 octets as letters of Latin-1, which is all that PyTango sends."""
    return text.encode("utf-8").decode("latin-1")
