"""Tango on loopback: a database, any device server with or without one, and TangoTest.

Every child gets its ``TANGO_HOST`` explicitly, because ``/etc/tangorc`` and the shell of whoever
runs this may name a real facility.
"""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from .errors import ServiceUnavailable
from .process import HOST, free_port, is_listening
from .service import Service

if TYPE_CHECKING:
    import tango

Properties = Mapping[str, str | Sequence[str]]

# Nothing listens on port 1: a server without a database that looks for one is told so at once.
NO_DATABASE = f"{HOST}:1"
PROXY_TIMEOUT_MS = 1000
TANGO_TEST = Path("/usr/lib/tango/TangoTest")


def _require(service: str, *modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ServiceUnavailable(
                service,
                f"no Python package {module!r}",
                "pip install 'queueconnector-devservices[tango]' (pytango, pytango-db)",
            )


class TangoDatabase(Service):
    """A Tango database (pytango-db) that keeps its content in a file over restarts."""

    def __init__(self) -> None:
        super().__init__("tango-database")
        self.port = free_port()
        self.tango_host = f"{HOST}:{self.port}"

    @classmethod
    def check(cls) -> str:
        """Return the name and version of the database."""
        _require("Tango database", "tango", "databaseds")
        return f"pytango-db {importlib.metadata.version('pytango-db')}"

    @property
    def client(self) -> "tango.Database":
        """A connection to this database."""
        import tango

        return tango.Database(HOST, self.port)

    def register(self, server: str, instance: str, device_class: str, *devices: str) -> None:
        """Declare that ``server/instance`` serves ``devices``, each of ``device_class``."""
        import tango

        for device in devices:
            info = tango.DbDevInfo()
            info.name, info.server = device, f"{server}/{instance}"
            info._class = device_class  # noqa: SLF001 (PyTango's name for the public field)
            self.client.add_device(info)

    def put_properties(self, device: str, properties: Properties) -> None:
        """Set properties of a device, which reads them when it starts or at ``Init``."""
        self.client.put_device_property(device, _as_lists(properties))

    def get_properties(self, device: str, *names: str) -> dict[str, list[str]]:
        """Return the values of the named properties; an empty list for one that is not set."""
        found = self.client.get_device_property(device, list(names))
        return {name: list(found[name]) for name in names}

    def _command(self) -> Sequence[str]:
        self.check()
        address = ["--host", HOST, "--port", str(self.port)]
        return [sys.executable, "-m", "databaseds.database", *address, "2"]

    def _environment(self) -> Mapping[str, str]:
        return {
            "PYTANGO_DATABASE_NAME": str(self.directory / "database.db"),
            "TANGO_HOST": self.tango_host,
        }

    def _is_ready(self) -> bool:
        import tango

        if not is_listening(self.port):
            return False
        try:
            return bool(self.client.get_info())
        except tango.DevFailed:
            return False


class TangoDeviceServer(Service):
    """Any Tango device server: an executable, or ``[sys.executable, "-m", module]``.

    ``server`` is the name under which the program registers (what it passes as ``args[0]``) and
    ``devices`` are its devices, all of ``device_class``. With a ``database`` they are registered
    there; without one the server runs on ``-nodb``, or, when ``properties`` are given, on a
    properties file (plain ASCII without backslashes: Tango damages anything else in there).
    """

    def __init__(
        self,
        command: Sequence[str],
        server: str,
        instance: str,
        device_class: str,
        devices: Sequence[str],
        *,
        database: TangoDatabase | None = None,
        properties: Mapping[str, Properties] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{server}-{instance}")
        self.command = list(command)
        self.server = server
        self.instance = instance
        self.device_class = device_class
        self.devices = list(devices)
        self.database = database
        self.properties = dict(properties or {})
        self.environment = dict(environment or {})
        self.port = free_port()
        self._is_registered = False

    @classmethod
    def check(cls) -> str:
        """Return the version of PyTango, which every server here needs to be pinged."""
        _require("Tango device server", "tango")
        return f"PyTango {importlib.metadata.version('pytango')}"

    def trl(self, device: str | None = None) -> str:
        """Return the full resource locator of a device (by default the first)."""
        device = device or self.devices[0]
        if self.database is None:
            return f"tango://{HOST}:{self.port}/{device}#dbase=no"
        return f"tango://{self.database.tango_host}/{device}"

    def proxy(self, device: str | None = None) -> "tango.DeviceProxy":
        """Return a plain, synchronous proxy of a device (by default the first)."""
        import tango

        return tango.DeviceProxy(self.trl(device))

    def _command(self) -> Sequence[str]:
        self.check()
        endpoint = ["-ORBendPoint", f"giop:tcp:{HOST}:{self.port}"]
        return [*self.command, self.instance, *self._source_of_devices(), *endpoint]

    def _source_of_devices(self) -> Sequence[str]:
        if self.database is not None:
            self._register(self.database)
            return []
        if self.properties:
            return [f"-file={self._properties_file()}"]
        return ["-nodb", "-dlist", ",".join(self.devices)]

    def _register(self, database: TangoDatabase) -> None:
        # Once only: a restart keeps what a test has changed in the database since.
        if self._is_registered:
            return
        database.register(self.server, self.instance, self.device_class, *self.devices)
        for device, values in self.properties.items():
            database.put_properties(device, values)
        self._is_registered = True

    def _properties_file(self) -> Path:
        path = self.directory / "properties.txt"
        served = ", ".join(self.devices)
        lines = [f"{self.server}/{self.instance}/DEVICE/{self.device_class}: {served}"]
        for device, values in self.properties.items():
            for name, items in _as_lists(values).items():
                quoted = ", ".join('"' + item.replace('"', '\\"') + '"' for item in items)
                lines.append(f"{device}->{name}: {quoted}")
        path.write_text("\n".join(lines) + "\n")
        return path

    def _environment(self) -> Mapping[str, str]:
        tango_host = self.database.tango_host if self.database else NO_DATABASE
        return {"TANGO_HOST": tango_host, **self.environment}

    def _is_ready(self) -> bool:
        import tango

        if not is_listening(self.port):
            return False
        try:
            for device in self.devices:
                proxy = self.proxy(device)
                proxy.set_timeout_millis(PROXY_TIMEOUT_MS)
                proxy.ping()
        except tango.DevFailed:
            return False
        return True


class TangoTest(TangoDeviceServer):
    """TangoTest, the device server of the Tango community, with one device in a database.

    Its simulated values (``double_scalar``) are renewed every 2 s; written ones
    (``double_scalar_w``, ``double_spectrum``) change at once. Stopping it takes 2 s.
    """

    executable: ClassVar[Path] = TANGO_TEST

    def __init__(
        self, database: TangoDatabase, *, device: str = "sys/tg_test/1", instance: str = "test"
    ) -> None:
        command = [str(self.executable)]
        super().__init__(command, "TangoTest", instance, "TangoTest", [device], database=database)

    @classmethod
    def check(cls) -> str:
        """Return the name and, where Debian's package tells it, the version."""
        super().check()
        if not cls.executable.is_file():
            raise ServiceUnavailable(
                "TangoTest", f"no {cls.executable}", "apt-get install tango-test (Debian)"
            )
        return f"TangoTest {debian_version('tango-test')}"

    def poll(self, attribute: str, period_ms: int, abs_change: float | None = None) -> None:
        """Poll an attribute, so that the server sends its change events.

        A numeric attribute needs ``abs_change``, the least change (in its unit) that makes an
        event; boolean and string attributes, State and Status send each change.
        """
        proxy = self.proxy()
        if abs_change is not None:
            configuration = proxy.get_attribute_config(attribute)
            configuration.events.ch_event.abs_change = str(abs_change)
            proxy.set_attribute_config(configuration)
        proxy.poll_attribute(attribute, period_ms)


def tango_admin_version() -> str:
    """Return the version of ``tango_admin``; raises ServiceUnavailable where there is none."""
    if shutil.which("tango_admin") is None:
        remedy = "apt-get install libtango-tools (Debian)"
        raise ServiceUnavailable("tango_admin", "no tango_admin on PATH", remedy)
    return debian_version("libtango-tools")


def debian_version(package: str) -> str:
    """Return the upstream version of a Debian package, in words when nobody knows it."""
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    if shutil.which(query[0]) is None:
        return "(version unknown)"
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    return (
        re.split(r"[+-]", result.stdout.partition(":")[2] or result.stdout)[0]
        or "(version unknown)"
    )


def _as_lists(properties: Properties) -> dict[str, list[str]]:
    return {
        name: [value] if isinstance(value, str) else list(value)
        for name, value in properties.items()
    }
