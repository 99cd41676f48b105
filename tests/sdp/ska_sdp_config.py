"""A stand-in for ska-sdp-config, over a real etcd, with what 0.3.2 and newer have in common.

Only what a queue connector may use: `Config.txn`, `.watcher`, `.client_lease`, `.close`, of
transactions `raw`, and `trigger` of watchers. It blocks, keeps its lease by a thread, and its
watcher returns at a change of what was read, at a trigger, or when its time is over.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

POLL_S = 0.01


class ConfigCollision(RuntimeError):  # noqa: N818 - so it is called
    """The key is there already."""


class ConfigVanished(RuntimeError):  # noqa: N818 - so it is called
    """The key is not there."""


def _tag(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("Path must start with /!")
    return b64encode(f"{path.count('/')}{path}".encode()).decode()


class _Client:
    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, method: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - an address of the test
            f"{self._url}/v3/{method}", json.dumps(body).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=3) as answer:  # noqa: S310
                found: dict[str, Any] = json.loads(answer.read().partition(b"\n")[0])
                return found
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from None

    def range(self, path: str, *, prefix: bool = False, revision: int = 0) -> dict[str, Any]:
        body = {"key": _tag(path), "revision": str(revision)}
        if prefix:
            end = f"{path.count('/')}{path}".encode()
            body["range_end"] = b64encode(end[:-1] + bytes([end[-1] + 1])).decode()
        return self("kv/range", **body)


class Lease:
    """Kept alive until `__exit__`."""

    def __init__(self, client: _Client, ttl: int) -> None:
        self._client = client
        self._ttl = ttl
        self._ended = threading.Event()
        self.ID = int(client("lease/grant", TTL=str(ttl))["ID"])
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._ended.wait(self._ttl / 4):
            try:
                self._client("lease/keepalive", ID=str(self.ID))
            except (OSError, RuntimeError, ValueError):
                return  # silently, as 0.3.2 does

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._client("lease/revoke", ID=str(self.ID))


class RawTransaction:
    """Reads at one revision; writes are kept back until all that was read is still the same."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self.revision = 0
        self.got: dict[str, tuple[str | None, int]] = {}
        self.listed: dict[str, list[str]] = {}
        self._writes: dict[str, tuple[str | None, Lease | None]] = {}

    def _range(self, path: str, *, prefix: bool = False) -> list[dict[str, Any]]:
        answer = self._client.range(path, prefix=prefix, revision=self.revision)
        self.revision = self.revision or int(answer["header"]["revision"])
        return list(answer.get("kvs", ()))

    def get(self, path: str) -> str | None:
        if path.endswith("/"):
            raise ValueError("Path should not have a trailing '/'!")
        if path in self._writes:
            return self._writes[path][0]
        if path not in self.got:
            found = self._range(path)
            self.got[path] = (None, 0)
            if found:
                text = b64decode(found[0].get("value", "")).decode()
                self.got[path] = (text, int(found[0]["mod_revision"]))
        return self.got[path][0]

    def list_keys(self, path: str, recurse: int = 0) -> list[str]:
        found = self._range(path, prefix=True)
        keys = [b64decode(kv["key"]).decode().lstrip("0123456789") for kv in found]
        self.listed[path] = sorted(keys)
        return sorted(keys)

    def create(self, path: str, value: str, lease: Lease | None = None) -> None:
        if self.get(path) is not None:
            raise ConfigCollision(f"Cannot create {path}, as it already exists!")
        self._writes[path] = (value, lease)

    def update(self, path: str, value: str) -> None:
        if self.get(path) is None:
            raise ConfigVanished(f"Cannot update {path}, as it does not exist!")
        self._writes[path] = (value, None)

    def delete(self, path: str, must_exist: bool = True) -> None:
        if must_exist and self.get(path) is None:
            raise ConfigVanished(f"Cannot delete {path}, it does not exist!")
        self._writes[path] = (None, None)

    def commit(self) -> bool:
        if not self._writes:
            return True
        compare = [
            {"key": _tag(path), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
            for path, (_, revision) in self.got.items()
        ]
        success: list[dict[str, Any]] = []
        for path, (value, lease) in self._writes.items():
            if value is None:
                success.append({"request_delete_range": {"key": _tag(path)}})
                continue
            put = {"key": _tag(path), "value": b64encode(value.encode()).decode()}
            success.append({"request_put": put | {"lease": str(lease.ID if lease else 0)}})
        return bool(self._client("kv/txn", compare=compare, success=success).get("succeeded"))


class Transaction:
    def __init__(self, raw: RawTransaction) -> None:
        self.raw = raw


class Watcher:
    def __init__(self, config: Config, timeout: float | None) -> None:
        self._config = config
        self._timeout = timeout
        self._triggered = threading.Event()
        self._last: RawTransaction | None = None

    def txn(self) -> Iterator[Transaction]:
        for txn in self._config.txn():
            yield txn
            self._last = txn.raw

    def trigger(self) -> None:
        self._triggered.set()

    def __iter__(self) -> Iterator[Watcher]:
        while True:
            yield self
            self._config.wait(self)

    def wait(self) -> None:
        """Block until a value that was got has changed, a listed range has, or time is over."""
        deadline = time.monotonic() + (self._timeout or 1e9)
        while not self._triggered.wait(POLL_S) and time.monotonic() < deadline:
            if self._last is not None and self._has_changed(self._last):
                break
        self._triggered.clear()

    def _has_changed(self, last: RawTransaction) -> bool:
        now = RawTransaction(self._config.client)
        for path in last.got:
            now.get(path)
        for path in last.listed:
            now.list_keys(path)
        return now.got != last.got or now.listed != last.listed


class Config:
    """Connects by SDP_CONFIG_HOST and SDP_CONFIG_PORT."""

    def __init__(self, url: str = "", lease_ttl_s: int = 10) -> None:
        host = os.environ.get("SDP_CONFIG_HOST", "127.0.0.1")
        self.client = _Client(url or f"http://{host}:{os.environ.get('SDP_CONFIG_PORT', '2379')}")
        self._lease: Lease | None = None
        self._lease_ttl_s = lease_ttl_s

    @property
    def client_lease(self) -> Lease:
        if self._lease is None:
            self._lease = Lease(self.client, self._lease_ttl_s)
        return self._lease

    def txn(self, max_retries: int = 64) -> Iterator[Transaction]:
        for _ in range(max_retries):
            raw = RawTransaction(self.client)
            yield Transaction(raw)
            if raw.commit():
                return
        raise RuntimeError(f"Transaction did not succeed after {max_retries} retries!")

    def watcher(self, timeout: float | None = None) -> Iterator[Watcher]:
        yield from Watcher(self, timeout)

    def wait(self, watcher: Watcher) -> None:
        """What the watcher does between two turns; tests make it worse."""
        watcher.wait()

    def close(self) -> None:
        if self._lease is not None:
            lease, self._lease = self._lease, None
            lease.__exit__()
