"""The Tango device SDPQueueConnector: its properties and commands, its state and status.

Threads. The device is synchronous; what it does (`session`) lives in an event loop in a thread of
its own. Each rule was measured; without it the server serves wrong values, stalls or crashes.

* Whoever waits for the loop in a Tango thread gives the device's monitor back meanwhile
  (`AutoTangoAllowThreads`); else the loop's next push waits for the command that waits for it.
* State and Status are pushed from the loop's thread, as all attributes are (`surface`).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, NoReturn, TypeVar

import tango
from tango.server import Device, attribute, command, device_property

from queueconnector_core.errors import ConfigError, StateError
from queueconnector_core.states import State
from queueconnector_core.web.options import LOOPBACK
from queueconnector_tango._proxy import describe
from queueconnector_tango.claims import OWN_ATTRIBUTES
from queueconnector_tango.dtypes import as_latin_1, decode_text
from queueconnector_tango.logs import DeviceLog
from queueconnector_tango.loop_thread import LoopThread
from queueconnector_tango.properties import DeviceProperties
from queueconnector_tango.session import DeviceSession
from queueconnector_tango.surface import DeviceSurface

__all__ = ("SDPQueueConnector",)

logger = logging.getLogger(__name__)

T = TypeVar("T")

VERBOSE: Final = 5
"""From `-v5` on Tango prints what its loggers are given."""

CONFIG_ERROR: Final = "QueueConnector_ConfigError"
STATE_ERROR: Final = "QueueConnector_StateError"
INTERNAL_ERROR: Final = "QueueConnector_InternalError"


def _text_property(doc: str) -> Any:
    """A property of one text, however many lines it was entered in."""
    return device_property(dtype=(str,), default_value=[], doc=doc)


class SDPQueueConnector(Device):  # type: ignore[misc]
    """Streams data between Tango attributes, Kafka topics and whatever plugins provide.

    Each exchange connects sources through pipes to sinks; sinks may be attributes of this device.
    It is configured by a database, by properties, or by command.
    """

    exchanges_json = _text_property("The configuration that the device starts with, as JSON.")
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
    config_sources = _text_property(
        "More configuration sources to follow: a JSON list of objects, each with a type."
    )
    attributes = _text_property(
        "Attributes that the device always has: a JSON list of objects with name, data_type, "
        "data_format (SCALAR, SPECTRUM, IMAGE), writeable, max_dim_x, max_dim_y. Exchanges may "
        "write them; clients, where writeable, too."
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
        doc="A local file that keeps the last value of each attribute, with time and quality, over "
        "a crash: at most a second is lost; values over 1 MiB are not kept. Empty: none is kept.",
    )
    web_port = device_property(
        dtype=str,
        default_value="",
        doc="The port of a status page, health, metrics for Prometheus and an interface for "
        "programs over HTTP (0: any free one). Empty: nothing is served. Needs the extra web of "
        "queueconnector-core.",
    )
    web_host = device_property(
        dtype=str,
        default_value=LOOPBACK,
        doc="The address that they are served at; 0.0.0.0 is all of the machine, for all to read.",
    )
    web_token_file = device_property(
        dtype=str,
        default_value="",
        doc="A file with the token of those who may pause, restart and stop over HTTP. Empty: "
        "nobody may.",
    )

    def init_device(self) -> None:
        """Read the properties and configure; a problem ends in FAULT, never in a dead server."""
        self._loop_thread = LoopThread()
        self.set_state(tango.DevState.INIT)
        traced = tango.Util.instance().get_trace_level() >= VERBOSE
        self._log = DeviceLog(self.get_logger(), hand_over=not traced)
        surface = DeviceSurface(self, self._loop_thread.loop.call_soon_threadsafe)
        try:
            super().init_device()
            for name in OWN_ATTRIBUTES:
                self.set_change_event(name, True, False)
            self._session = DeviceSession(self.get_name(), self._read_properties(), self, surface)
            self._wait_for(self._session.begin())
        except Exception as error:
            # A server that dies at its start tells nobody why.
            logger.exception("initialisation failed")
            self.show_state(State.FAULT)
            self.show_status(f"Initialisation failed: {type(error).__name__}: {error}")

    def _read_properties(self) -> DeviceProperties:
        return DeviceProperties(
            exchanges_json="\n".join(self.exchanges_json),
            exchanges_config_path=self.exchanges_config_path.strip(),
            subarray_id=self.subarray_id,
            config_sources="\n".join(self.config_sources),
            attributes="\n".join(self.attributes),
            autostart=self.autostart,
            commands=self.commands,
            state_file=self.state_file,
            web_port=self.web_port,
            web_host=self.web_host,
            web_token_file=self.web_token_file,
        )

    def delete_device(self) -> None:
        """Stop everything within a bounded time and remove the dynamic attributes."""
        try:
            self._wait_for(self._session.end())
            # A device that is restarted inherits attributes whose read methods are gone.
            self._wait_for(self._session.attributes.close())
        except tango.DevFailed as error:
            # When the whole server restarts Tango has forgotten the device already.
            logger.debug("attributes were not removed: %s", describe(error))
        except Exception:
            logger.exception("the connector did not end in order")
        try:
            self._loop_thread.stop()
        except TimeoutError:
            logger.exception("the connector's thread is left behind")
        self._log.close()
        super().delete_device()

    # -- what the session shows: see DeviceView -----------------------------------------------

    def show_state(self, state: State) -> None:
        """Show a state, and send it as an event."""
        value = tango.DevState.names[state.value]
        with tango.AutoTangoMonitor(self):
            self.set_state(value)
        self.push_change_event("State", value)

    def show_status(self, text: str) -> None:
        """Show a status, and send it as an event."""
        with tango.AutoTangoMonitor(self):
            self.set_status(as_latin_1(text))
        self.push_change_event("Status", as_latin_1(text))

    def show_own(self, name: str, value: bool | str) -> None:
        """Send what one of the device's own attributes holds now as an event."""
        self.push_change_event(name, value if isinstance(value, bool) else as_latin_1(value))

    def hide_commands(self, names: Sequence[str]) -> None:
        """Have these commands no longer."""
        for name in names:
            with contextlib.suppress(tango.DevFailed):  # gone already, at a second initialisation
                self.remove_command(name, False, False)

    def refreshed(self) -> None:
        """Take over the level of the log that was set in Tango."""
        self._log.follow_level()

    # -- attributes -------------------------------------------------------------------------

    @attribute(
        dtype=bool,
        doc="Whether every exchange moves, or is proven to have nothing to move. What is wrong "
        "stands in exchanges_statistics and in Status.",
    )
    def exchanges_healthy(self) -> bool:
        """The health of all exchanges in one word."""
        return self._session.healthy

    @attribute(
        dtype=str,
        doc="JSON: for each exchange its state, what is wrong, and the balance: received = "
        "delivered + dropped + dead_lettered + in_flight; brought up to date once a second.",
    )
    def exchanges_statistics(self) -> str:
        """The balance of each exchange."""
        return as_latin_1(self._session.statistics)

    @attribute(
        dtype=str,
        doc="JSON: the gap ledger. Each entry says what is missing: exchange, source, reason, "
        "from_ns, to_ns (null: it goes on), records (null: unknown), is_exact, text.",
    )
    def exchanges_gaps(self) -> str:
        """What is known to be missing."""
        return as_latin_1(self._session.gaps)

    # -- commands ---------------------------------------------------------------------------

    @command(
        dtype_in=str,
        doc_in="The configuration as JSON; empty: nothing is configured. A path with a leading "
        "slash is given to Monitor (deprecated).",
    )
    def Configure(self, configuration: str) -> None:  # noqa: N802
        """Replace the configuration. A wrong one is refused as a whole; what runs goes on."""
        text = decode_text(configuration, "utf-8")
        self._carry_out("Configure", lambda session: session.configure(text))

    @command(
        dtype_in=str,
        doc_in="The path, with leading slash, as in property exchanges_config_path; empty: none.",
    )
    def Monitor(self, path: str) -> None:  # noqa: N802
        """Follow a path of the configuration database, instead of the one followed before."""
        text = decode_text(path, "utf-8")
        self._carry_out("Monitor", lambda session: session.monitor(text))

    @command(dtype_out=bool)
    def IsMonitoringDB(self) -> bool:  # noqa: N802
        """Whether the configuration follows a path of the configuration database."""
        return self._session.is_monitoring

    @command
    def Start(self) -> None:  # noqa: N802
        """Begin to stream: OPEN, then ON by itself."""
        self._carry_out("Start", lambda session: session.connector.start())

    @command
    def Stop(self) -> None:  # noqa: N802
        """Deliver what was received and disconnect: CLOSE, then OFF by itself."""
        self._carry_out("Stop", lambda session: session.connector.stop())

    @command
    def Standby(self) -> None:  # noqa: N802
        """Forget the configuration; only when OFF."""
        self._carry_out("Standby", lambda session: session.connector.standby())

    @command
    def Abort(self) -> None:  # noqa: N802
        """Disconnect at once; what was not delivered yet is given up and counted as dropped."""
        self._carry_out("Abort", lambda session: session.connector.abort())

    @command
    def Reset(self) -> None:  # noqa: N802
        """Leave FAULT."""
        self._carry_out("Reset", lambda session: session.reset())

    def _carry_out(self, name: str, action: Callable[[DeviceSession], Awaitable[None]]) -> None:
        """Do it in the loop, and tell Tango what went wrong."""
        try:
            self._session.check_serves(name)
            self._wait_for(self._session.carry_out(name, action))
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
