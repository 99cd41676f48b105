"""The Tango database of Debian: DataBaseds in C++, on a MariaDB of its own.

Facilities run this one; what is made for tests (pytango-db) keeps its content in a file instead.
"""

import getpass
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from .errors import ServiceFailed, ServiceUnavailable
from .process import HOST, free_port
from .service import Service
from .tango import TangoDatabase, debian_version

DATABASEDS = Path("/usr/lib/tango/DataBaseds")
TABLES = Path("/usr/share/dbconfig-common/data/tango-db/install/mysql")
PACKAGES = ("mariadb-server", "tango-db")


def is_missing(package: str) -> bool:
    """Whether this machine lacks what one of the packages brings."""
    return not {"mariadb-server": _mariadbd(), "tango-db": DATABASEDS}[package].is_file()


def _mariadbd() -> Path:
    return Path(shutil.which("mariadbd") or "/usr/sbin/mariadbd")


class MariaDb(Service):
    """A MariaDB server with an empty data directory of its own."""

    def __init__(self) -> None:
        super().__init__("mariadb")
        self.port = free_port()
        self._data = self.directory / "data"
        self._socket = self.directory / "socket"

    @classmethod
    def check(cls) -> str:
        """Return the name and version of the server."""
        if is_missing("mariadb-server"):
            raise _unavailable(f"no {_mariadbd()}")
        return f"MariaDB {debian_version('mariadb-server')}"

    def execute(self, sql: str) -> None:
        """Run statements as the server's root; raises ServiceFailed when one is refused."""
        command = ["mariadb", *self._client_options(), "--batch"]
        _run("MariaDB did not accept a statement", command, sql)

    def _client_options(self) -> Sequence[str]:
        return ["--no-defaults", f"--socket={self._socket}", "--user=root"]

    def _command(self) -> Sequence[str]:
        self.check()
        # Without --user a server that is started by root ends at once.
        common = ["--no-defaults", f"--datadir={self._data}", f"--user={getpass.getuser()}"]
        if not self._data.exists():
            options = ["--auth-root-authentication-method=normal", "--skip-test-db"]
            install = ["mariadb-install-db", *common, *options]
            _run("MariaDB's data directory could not be made", install)
        address = [f"--bind-address={HOST}", f"--port={self.port}", f"--socket={self._socket}"]
        pid_file = f"--pid-file={self.directory / 'pid'}"
        return [str(_mariadbd()), *common, *address, pid_file, "--skip-name-resolve"]

    def _is_ready(self) -> bool:
        command = ["mariadb-admin", *self._client_options(), "ping"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


class DebianTangoDatabase(TangoDatabase):
    """Debian's Tango database; `kill()` and `pause()` concern it alone, not its MariaDB."""

    def __init__(self) -> None:
        super().__init__()
        self.mariadb = MariaDb()
        self._password = secrets.token_hex()
        self._has_tables = False

    @classmethod
    def check(cls) -> str:
        """Return the name and version of the database."""
        mariadb = MariaDb.check()
        if is_missing("tango-db"):
            raise _unavailable(f"no {DATABASEDS}")
        return f"DataBaseds {debian_version('tango-db')} ({mariadb})"

    def start(self) -> Self:
        """Start MariaDB, fill it when it is new, and start the database."""
        self.check()
        self.mariadb.start()
        try:
            if not self._has_tables:
                self._make_tables()
            return super().start()
        except BaseException:
            self.mariadb.stop()
            raise

    def stop(self) -> None:
        """End the database, then MariaDB."""
        super().stop()
        self.mariadb.stop()

    def _make_tables(self) -> None:
        self.mariadb.execute(
            "CREATE DATABASE tango;"
            f"CREATE USER tango@'{HOST}' IDENTIFIED BY '{self._password}';"
            f"GRANT ALL ON tango.* TO tango@'{HOST}';"
            f"USE tango; SOURCE {TABLES};"
        )
        self._has_tables = True

    def _command(self) -> Sequence[str]:
        return [str(DATABASEDS), "2", "-ORBendPoint", f"giop:tcp:{HOST}:{self.port}"]

    def _environment(self) -> Mapping[str, str]:
        return {
            "MYSQL_HOST": f"{HOST}:{self.mariadb.port}",
            "MYSQL_USER": "tango",
            "MYSQL_PASSWORD": self._password,
            "MYSQL_DATABASE": "tango",
            "TANGO_HOST": self.tango_host,
        }


def _unavailable(reason: str) -> ServiceUnavailable:
    remedy = "python -m devservices.provision --debian-tango-db (Debian, as root)"
    return ServiceUnavailable("Debian's Tango database", reason, remedy)


def _run(problem: str, command: Sequence[str], text: str = "") -> None:
    result = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    if result.returncode != 0:
        raise ServiceFailed(f"{problem}:\n{result.stdout}{result.stderr}")
