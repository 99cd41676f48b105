"""Mosquitto, an MQTT broker, and the foreign clients that come with it."""

import getpass
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import ClassVar

from .certificates import Authority, Certificate
from .errors import ServiceFailed, ServiceUnavailable
from .process import HOST, free_port
from .service import Service

CALL_TIMEOUT_S = 10.0
REMEDY = "apt-get install mosquitto mosquitto-clients"
# Debian installs the server where only the PATH of root looks.
SYSTEM_PATH = "/usr/sbin:/sbin"


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        raise ServiceUnavailable("Mosquitto", f"no {name} on PATH", REMEDY)
    return found


def is_missing(name: str) -> bool:
    """Whether this machine lacks one of the programs."""
    try:
        _program(name)
    except ServiceUnavailable:
        return True
    return False


class MosquittoServer(Service):
    """An MQTT broker of its own that keeps its sessions over a stop, and loses them by a kill.

    ``settings`` are lines of its configuration file. With ``users`` (names and passwords) nobody
    else may log in; with an ``authority`` it speaks TLS, with a certificate of that authority, and
    ``client`` is one for clients, where the settings say ``require_certificate true``.
    """

    start_timeout_s: ClassVar[float] = 15.0

    def __init__(
        self,
        name: str = "mosquitto",
        *,
        settings: Sequence[str] = (),
        users: Mapping[str, str] | None = None,
        authority: Authority | None = None,
    ) -> None:
        super().__init__(name)
        self.host = HOST
        self.port = free_port()
        self.ca = None if authority is None else authority.ca
        self.client: Certificate | None = None if authority is None else authority.issue("client")
        self._users = users or {}
        self._configuration = self.directory / "mosquitto.conf"
        lines = [
            f"listener {self.port} {HOST}",
            f"allow_anonymous {'false' if users else 'true'}",
            # Started by root it would become another user, who may not write here.
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {self.directory}/",
            "autosave_interval 3600",
            "log_dest stderr",
            "connection_messages true",
            *self._login_lines(),
            *self._tls_lines(authority),
            *settings,
        ]
        self._configuration.write_text("".join(f"{line}\n" for line in lines))

    def _login_lines(self) -> Sequence[str]:
        if not self._users:
            return ()
        file = self.directory / "users"
        file.write_text("".join(f"{user}:{word}\n" for user, word in self._users.items()))
        file.chmod(0o600)
        subprocess.run(
            [_program("mosquitto_passwd"), "-U", str(file)], check=True, capture_output=True
        )
        return (f"password_file {file}",)

    @staticmethod
    def _tls_lines(authority: Authority | None) -> Sequence[str]:
        if authority is None:
            return ()
        own = authority.issue("mosquitto")
        return (f"cafile {authority.ca}", f"certfile {own.cert}", f"keyfile {own.key}")

    @classmethod
    def check(cls) -> str:
        """Return the name and version of what is installed."""
        _program("mosquitto_pub")
        shown = subprocess.run(
            [_program("mosquitto"), "-h"], capture_output=True, text=True, check=False
        ).stdout
        return f"Mosquitto {shown.split(maxsplit=3)[2]}"

    def publish(self, topic: str, payload: str | bytes, *options: str) -> None:
        """Publish with mosquitto_pub, such as with ``-q 1``, ``-r`` or ``-V mqttv5 -D ...``."""
        octets = payload if isinstance(payload, bytes) else payload.encode()
        self._call("mosquitto_pub", "-t", topic, "-s" if octets else "-n", *options, stdin=octets)

    def retained(self, topic: str, *options: str) -> str:
        """Return what is retained for a topic, as mosquitto_sub prints it."""
        return self._call("mosquitto_sub", "-t", topic, "-C", "1", "-W", "5", *options)

    def _call(self, name: str, *arguments: str, stdin: bytes = b"") -> str:
        result = subprocess.run(
            [_program(name), *self._access(), *arguments],
            input=stdin,
            capture_output=True,
            timeout=CALL_TIMEOUT_S,
            check=False,
        )
        if result.returncode != 0:
            raise ServiceFailed(f"{name} {' '.join(arguments)}: {result.stderr.decode().strip()}")
        return result.stdout.decode()

    def _access(self) -> Sequence[str]:
        access = ["-h", HOST, "-p", str(self.port)]
        for user, word in list(self._users.items())[:1]:
            access += ["-u", user, "-P", word]
        if self.ca is not None:
            access += ["--cafile", str(self.ca)]
        if self.client is not None:
            access += ["--cert", str(self.client.cert), "--key", str(self.client.key)]
        return access

    def _command(self) -> Sequence[str]:
        return [_program("mosquitto"), "-c", str(self._configuration)]

    def _is_ready(self) -> bool:
        try:
            self.publish("ready", "")
        except (ServiceFailed, subprocess.TimeoutExpired):
            return False
        return True
