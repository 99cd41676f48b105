"""Asks a running host over HTTP; see `docs/reference/http.md`."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit

from queueconnector_core.errors import ConfigError, QueueConnectorError

__all__ = ("Remote", "RemoteError")

TIMEOUT_S: Final = 10.0


class RemoteError(QueueConnectorError):
    """The host does not answer, or refuses."""


class Remote:
    """A host by the address of its status page, such as `http://127.0.0.1:8080`."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        """Raises `ConfigError` for what is no address, or a token that cannot be read."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            text = f"found {url!r}; allowed: the address of a host, such as http://127.0.0.1:8080"
            raise ConfigError.at("", text)
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"
        self._token = None if token_file is None else _read(token_file)
        # A control room asks its own machines: no proxy stands between.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> Any:
        """The JSON document there; raises `RemoteError`."""
        with self._answer("GET", path) as answer:
            return _decoded(answer.read())

    def command(self, exchange: str, command: str) -> Any:
        """Pause, resume or restart an exchange; raises `RemoteError`."""
        path = f"api/exchanges/{quote(exchange, safe='')}/{command}"
        with self._answer("POST", path) as answer:
            return _decoded(answer.read())

    def tap(self, exchange: str, **query: str | int | None) -> Iterator[bytes]:
        """The JSON lines of the records of an exchange as they come; raises `RemoteError`.

        An empty line is a sign of life; there is one a second at least.
        """
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        path = f"api/exchanges/{quote(exchange, safe='')}/tap?{asked}"
        with self._answer("GET", path) as answer:
            for line in answer:
                yield line.strip()

    @contextmanager
    def _answer(self, method: str, path: str) -> Iterator[HTTPResponse]:
        request = urllib.request.Request(self._base + path, method=method)  # noqa: S310 - checked
        if self._token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                yield answer
        except HTTPError as error:
            with error:
                raise RemoteError(_reason(error)) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise RemoteError(f"no answer from {self._base}: {reason}") from None


def _decoded(octets: bytes) -> Any:
    try:
        return json.loads(octets)
    except ValueError:
        raise RemoteError("the answer is not that of a Queue Connector") from None


def _reason(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {error.reason}"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError.at("--token-file", f"cannot be read: {error}") from None
