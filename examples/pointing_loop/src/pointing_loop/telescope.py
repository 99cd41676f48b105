"""Starts everything that the loop consists of, in the right order, each in its own process."""

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import tango

from devservices.errors import ServiceFailed
from devservices.process import ManagedProcess, temporary_directory, wait_until
from devservices.tango import TangoDeviceServer
from pointing_loop.broker import Broker, start_broker
from pointing_loop.configuration import configuration
from pointing_loop.dish import SETTINGS_VARIABLE, Settings
from pointing_loop.messages import ACHIEVED_POINTING, POINTING_OFFSET
from pointing_loop.names import CONNECTOR, dish_device, dish_id, offset_attribute
from pointing_loop.options import Options
from pointing_loop.processor import STARTS_AT
from pointing_loop.scans import Scans
from pointing_loop.track import choose_calibrator, tai_now

__all__ = ("Say", "Telescope", "telescope")

Say = Callable[[str], None]
"""Takes one line for the user."""

START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Telescope:
    """The running loop."""

    source: str
    broker: Broker
    scans: Scans
    dishes: dict[str, str]
    """TRL of each dish by its name."""
    connector: tango.DeviceProxy
    processes: list[ManagedProcess]

    def check(self) -> None:
        """Raise ServiceFailed, with the end of its log, when one of the programs has ended."""
        for process in self.processes:
            process.wait_until(lambda: True, 1.0, "the end of the run")


@contextlib.contextmanager
def telescope(options: Options, say: Say) -> Iterator[Telescope]:
    """Run the whole loop for the time of the context; nothing is left running after it.

    Raises ServiceFailed when a part does not start.
    """
    source = choose_calibrator(tai_now() + options.duration / 2)
    with contextlib.ExitStack() as stack:
        say("looking for Kafka (the first time, Maven fetches it) ...")
        broker = start_broker(stack, options.kafka)
        say(f"Kafka: {broker.description} at {broker.address}, {broker.reason}")
        for topic in (ACHIEVED_POINTING, POINTING_OFFSET):
            broker.create_topic(topic)
        dish_server = stack.enter_context(_dish_server(options, source.name))
        dishes = {dish_id(device): dish_server.trl(device) for device in dish_server.devices}
        say(f"{len(dishes)} dishes follow {source.name}")
        server = stack.enter_context(_connector_server(options))
        connector = server.proxy()
        _configure(connector, broker.address, dishes)
        say(f"Queue Connector is ON: device {server.trl()}, status page {_page(server)}")
        _tell_dishes(dishes, server.trl())
        say("the dishes listen to their offsets")
        processor, start_s = _processor(stack, broker.address, source.name, dishes, options.scan)
        say("the processor is ready")
        scans = Scans(start_s, options.scan)
        processes = [dish_server.process, server.process, processor]
        yield Telescope(source.name, broker, scans, dishes, connector, processes)


def _dish_server(options: Options, source: str) -> TangoDeviceServer:
    settings = Settings(source, options.rate, options.seed)
    return TangoDeviceServer(
        [sys.executable, "-m", "pointing_loop.dish"],
        "Dish",
        "sim",
        "Dish",
        [dish_device(number) for number in range(1, options.dishes + 1)],
        environment={SETTINGS_VARIABLE: json.dumps(asdict(settings))},
    )


def _connector_server(options: Options) -> TangoDeviceServer:
    command = [sys.executable, "-m", "queueconnector_tango.server"]
    name = "SDPQueueConnector"
    properties = {"web_port": str(options.web_port)}
    if options.web_token_file is not None:
        properties["web_token_file"] = str(options.web_token_file.absolute())
    return TangoDeviceServer(
        command, name, "demo", name, [CONNECTOR], properties={CONNECTOR: properties}
    )


def _page(server: TangoDeviceServer) -> str:
    """The address of the status page, as the log of the connector has it."""
    found: str = server.process.wait_until(
        lambda: re.findall(r"the status page is at (\S+)", server.process.output()),
        START_TIMEOUT_S,
        "the address of its status page",
    )[0]
    return found


def _configure(connector: tango.DeviceProxy, kafka: str, dishes: dict[str, str]) -> None:
    connector.Configure(json.dumps(configuration(kafka, dishes)))
    _wait_for_state(connector, tango.DevState.OFF)
    connector.Start()
    _wait_for_state(connector, tango.DevState.ON)


def _wait_for_state(device: tango.DeviceProxy, wanted: tango.DevState) -> None:
    def reached() -> bool:
        state = device.state()
        if state == tango.DevState.FAULT:
            raise ServiceFailed(f"{device.dev_name()} is in FAULT: {device.status()}")
        return bool(state == wanted)

    wait_until(reached, START_TIMEOUT_S, f"{device.dev_name()} to be {wanted}")


def _tell_dishes(dishes: dict[str, str], connector_trl: str) -> None:
    device, _, fragment = connector_trl.partition("#")
    address = f"{device}/{offset_attribute()}#{fragment}"
    proxies = [tango.DeviceProxy(trl) for trl in dishes.values()]
    for proxy in proxies:
        proxy.sdpQueueConnectorFqdn = address
    for proxy in proxies:
        _wait_for_state(proxy, tango.DevState.ON)


def _processor(
    stack: contextlib.ExitStack, kafka: str, source: str, dishes: Iterable[str], scan_s: float
) -> tuple[ManagedProcess, float]:
    """Start the processor; return it with the start of scan 1, TAI seconds since 2000."""
    log = temporary_directory("processor") / "processor.log"
    command = [sys.executable, "-m", "pointing_loop.processor", "--kafka", kafka]
    command += ["--source", source, "--scan", repr(scan_s)]
    for dish in dishes:
        command += ["--antennas", dish]
    process = ManagedProcess("processor", command, log=log)
    stack.callback(process.stop)
    found = process.wait_until(
        lambda: re.findall(f"^{STARTS_AT}(\\S+)$", process.output(), re.MULTILINE),
        START_TIMEOUT_S,
        "the start of its first scan",
    )
    return process, float(found[0])
