"""etcd, the store below the SDP's configuration database: one server, or three of one cluster."""

import base64
import contextlib
import json
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .errors import ServiceFailed, ServiceUnavailable
from .process import HOST, free_port, is_listening
from .service import Service

CALL_TIMEOUT_S = 10.0
REMEDY = "apt-get install etcd-server etcd-client"


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ServiceUnavailable("etcd", f"no {name} on PATH", REMEDY)
    return found


@dataclass(frozen=True)
class EtcdTls:
    """PEM files; clients have to show a certificate of the same authority."""

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path


class EtcdServer(Service):
    """A single etcd with a database of its own.

    Its methods ``put``, ``get`` and so on use the JSON gateway; ``ctl`` is etcdctl, over gRPC.
    ``user`` is ``name:password``, once ``enable_auth`` was called.
    """

    def __init__(
        self,
        name: str = "etcd",
        *,
        options: Sequence[str] = (),
        tls: EtcdTls | None = None,
        peer_port: int | None = None,
        members: Mapping[str, int] | None = None,
    ) -> None:
        """``options`` are added to the command line; ``members`` are names and peer ports."""
        super().__init__(name)
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.port}"
        self.user: str | None = None
        self._options = options
        self._tls = tls
        self._context = _client_context(tls)
        self._peer_port = peer_port or free_port()
        self._members = members or {name: self._peer_port}
        self._data = self.directory / "data"
        # Alone it waits for this time after each start before it elects itself.
        self._election_ms = 100 if members is None else 500

    @classmethod
    def check(cls) -> str:
        """Return the name and version of what is installed."""
        _program("etcdctl")
        shown = subprocess.run(
            [_program("etcd"), "--version"], capture_output=True, text=True, check=True
        ).stdout
        return f"etcd {shown.split(maxsplit=3)[2]}"

    def wipe(self) -> Self:
        """Kill it and start it with an empty database, as a container without a volume does."""
        self.kill()
        shutil.rmtree(self._data)
        return self.start()

    def put(self, key: str, value: str, timeout_s: float = CALL_TIMEOUT_S) -> None:
        """Write a key."""
        put = {"key": _encoded(key), "value": _encoded(value)}
        self.call("kv/put", put, timeout_s)

    def get(self, key: str) -> str | None:
        """Return the value of a key, None when it is not there."""
        found = self.details(key)
        return _decoded(found.get("value", "")) if found else None

    def get_prefix(self, prefix: str) -> dict[str, str]:
        """Return all keys that begin so, with their values."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = self.call("kv/range", {"key": _encoded(prefix), "range_end": _encoded(end)})
        return {_decoded(kv["key"]): _decoded(kv.get("value", "")) for kv in found.get("kvs", ())}

    def details(self, key: str) -> dict[str, str]:
        """Return what etcd knows of a key, such as its revisions and its lease; all in text."""
        found = self.call("kv/range", {"key": _encoded(key)}).get("kvs")
        return dict(found[0]) if found else {}

    def delete(self, key: str) -> None:
        """Delete a key."""
        self.call("kv/deleterange", {"key": _encoded(key)})

    def txn(self, *operations: tuple[str, str | None]) -> None:
        """Put several values at one revision; None deletes the key."""
        requests: list[dict[str, Any]] = [
            {"request_delete_range": {"key": _encoded(key)}}
            if value is None
            else {"request_put": {"key": _encoded(key), "value": _encoded(value)}}
            for key, value in operations
        ]
        self.call("kv/txn", {"success": requests})

    def revision(self) -> int:
        """Return the newest revision."""
        return int(self.call("maintenance/status", {})["header"]["revision"])

    def compact(self) -> None:
        """Forget all revisions but the newest."""
        self.call("kv/compaction", {"revision": str(self.revision()), "physical": True})

    def revoke(self, lease: str) -> None:
        """End a lease, and with it all keys that it holds."""
        self.call("lease/revoke", {"ID": lease})

    def is_leader(self) -> bool:
        """Return whether this member leads its cluster."""
        status = self.call("maintenance/status", {})
        return bool(status["leader"] == status["header"]["member_id"])

    def enable_auth(self, password: str) -> None:
        """Let only users in; ``user`` is root from now on."""
        self.ctl("user", "add", f"root:{password}")
        self.ctl("user", "grant-role", "root", "root")
        self.ctl("auth", "enable")
        self.user = f"root:{password}"

    def call(
        self, method: str, body: dict[str, Any], timeout_s: float = CALL_TIMEOUT_S
    ) -> dict[str, Any]:
        """Ask the JSON gateway; raises ServiceFailed with its answer, or without one."""
        headers = {}
        if self.user is not None and method != "auth/authenticate":
            name, _, password = self.user.partition(":")
            login = self.call("auth/authenticate", {"name": name, "password": password}, timeout_s)
            headers["Authorization"] = login["token"]
        request = urllib.request.Request(  # noqa: S310 - an address of our own
            f"{self.url}/v3/{method}", json.dumps(body).encode(), headers
        )
        try:
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=timeout_s, context=self._context
            ) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            with error:
                raise ServiceFailed(f"{method}: {error.read().decode()}") from None
        except OSError as error:
            raise ServiceFailed(f"{method}: {error}") from None

    def ctl(self, *arguments: str) -> str:
        """Run etcdctl and return what it prints; raises ServiceFailed with its message."""
        command = [_program("etcdctl"), "--endpoints", self.url, "--dial-timeout=2s"]
        if self._tls is not None:
            command += ["--cacert", str(self._tls.ca), "--cert", str(self._tls.client_cert)]
            command += ["--key", str(self._tls.client_key)]
        if self.user is not None:
            command += ["--user", self.user]
        result = subprocess.run(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            env={"ETCDCTL_API": "3", "PATH": "/nonexistent"},
            capture_output=True,
            text=True,
            timeout=CALL_TIMEOUT_S,
            check=False,
        )
        if result.returncode != 0:
            raise ServiceFailed(f"etcdctl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def _command(self) -> Sequence[str]:
        peer = f"http://{HOST}:{self._peer_port}"
        members = ",".join(f"{name}=http://{HOST}:{port}" for name, port in self._members.items())
        return [
            _program("etcd"),
            *("--name", self.name, "--data-dir", str(self._data)),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", members),
            *("--election-timeout", str(self._election_ms)),
            *("--heartbeat-interval", str(self._election_ms // 10)),
            *self._tls_options(),
            *self._options,
        ]

    def _tls_options(self) -> list[str]:
        if self._tls is None:
            return []
        tls = self._tls
        return [
            *("--cert-file", str(tls.server_cert), "--key-file", str(tls.server_key)),
            *("--trusted-ca-file", str(tls.ca), "--client-cert-auth"),
        ]

    def _is_ready(self) -> bool:
        if not is_listening(self.port):
            return False
        try:
            self.ctl("endpoint", "health", "--command-timeout=2s")
        except (ServiceFailed, subprocess.TimeoutExpired):
            return False
        return True


@contextlib.contextmanager
def etcd_cluster() -> Iterator[list[EtcdServer]]:
    """Three members of one cluster, running."""
    ports = {f"etcd{number}": free_port() for number in range(3)}
    members = [EtcdServer(name, peer_port=ports[name], members=ports) for name in ports]
    try:
        # None is ready before most of them run.
        with ThreadPoolExecutor(len(members)) as pool:
            list(pool.map(EtcdServer.start, members))
        yield members
    finally:
        for member in members:
            member.stop()


def _client_context(tls: EtcdTls | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.create_default_context(cafile=tls.ca)
    context.load_cert_chain(tls.client_cert, tls.client_key)
    return context


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode(errors="surrogateescape")).decode()


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode(errors="surrogateescape")
