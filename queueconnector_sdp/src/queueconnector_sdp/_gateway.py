"""The JSON gateway of etcd: the only module that knows HTTP, and the only one to import aiohttp.

Its errors are those of core: `RetryableError` (nobody answers, or not in time) and `FatalError` (it
answers, but somebody has to mend something), with the kinds of `errors` that are handled here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final
from weakref import WeakSet

import aiohttp

from queueconnector_core.errors import ConfigError, FatalError, RetryableError
from queueconnector_sdp.connection import Connection
from queueconnector_sdp.errors import NoLoginError, TokenLostError, WellError, error_of_answer
from queueconnector_sdp.layout import KeyRange
from queueconnector_sdp.messages import Change, watch_requests
from queueconnector_sdp.watch_reader import WatchReader

__all__ = ("Gateway", "WatchStream")

logger = logging.getLogger(__name__)

TURNS: Final = 20
"""So many turns of the event loop are more than a transport needs to end."""

_FAILURES: Final = (aiohttp.ClientError, OSError, TimeoutError)


class Gateway:
    """Talks to one of the servers, and to the next one after it failed to answer."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._current = 0
        self._token: str | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._sockets = _Sockets()

    @property
    def server(self) -> str:
        """The one in use."""
        return self.connection.servers[self._current]

    async def call(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request, which is sent once.

        Raises `RetryableError`, after which nobody knows whether a write has happened, or
        `FatalError`.
        """
        try:
            await self._log_in()
            return await self._post(method, json.dumps(body).encode())
        except TokenLostError:
            # The request was refused, so nothing happens twice.
            self._forget_login()
            await self._log_in()
            return await self._post(method, json.dumps(body).encode())

    async def _log_in(self) -> None:
        """Get a token where there is none; a server that restarts forgets those that it gave."""
        user = self.connection.user
        if user is None or self._token is not None:
            return
        body = {"name": user, "password": self.connection.password()}
        try:
            answer = await self._post("auth/authenticate", json.dumps(body).encode())
            self._token = str(answer["token"])
        except NoLoginError:
            self._token = ""

    def _forget_login(self) -> None:
        if self.connection.user is None:
            raise FatalError(f"{self.server}: only users may enter; name one: user, password_env")
        self._token = None

    async def _post(self, method: str, body: bytes) -> dict[str, Any]:
        server, timeout_s = self.server, self.connection.timeout_s
        try:
            async with self._request(server, method, body, timeout_s) as response:
                return await _answer(server, response)
        except WellError:
            raise
        except RetryableError:
            # Such as a member that has lost the others.
            self.leave(server)
            raise
        except _FAILURES as error:
            raise self._failure(server, error) from None

    def leave(self, server: str) -> None:
        """Go on with the next one, unless another request has found out the same before."""
        if server == self.server:
            self._current = (self._current + 1) % len(self.connection.servers)

    @asynccontextmanager
    async def watch(self, ranges: Sequence[KeyRange], revision: int) -> AsyncIterator[WatchStream]:
        """The changes from a revision on; entered when the server has taken all ranges on.

        Raises as `call` does, and `CompactedError`.
        """
        server, timeout_s = self.server, self.connection.timeout_s
        body = watch_requests(ranges, revision)
        reader = WatchReader(server, len(ranges))
        try:
            async with AsyncExitStack() as connected:
                async with asyncio.timeout(timeout_s):
                    await self._log_in()
                    request = self._request(server, "watch", body, None)
                    response = await connected.enter_async_context(request)
                    if response.status != 200:
                        await _answer(server, response)
                    stream = WatchStream(server, response, reader)
                    await stream.confirmed()
                yield stream
        except TokenLostError:
            self._forget_login()
            raise
        except _FAILURES as error:
            raise self._failure(server, error) from None

    def _request(
        self, server: str, method: str, body: bytes, total_s: float | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if self._session is None:
            # Requests are few, and a connection that was kept may be dead without a sign of it.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    force_close=True, limit=0, socket_factory=self._sockets.make
                )
            )
        return self._session.post(
            f"{server}/v3/{method}",
            data=body,
            headers={"Authorization": self._token} if self._token else {},
            timeout=aiohttp.ClientTimeout(total=total_s),
            allow_redirects=False,
            ssl=self._certificates(),
        )

    def _certificates(self) -> ssl.SSLContext | bool:
        """Read after every failure, as they may have been exchanged."""
        if self._tls is None:
            try:
                self._tls = self.connection.tls()
            except ConfigError as error:
                raise FatalError(str(error)) from None
        return self._tls or True

    def _failure(self, server: str, error: BaseException) -> Exception:
        """The error of the framework for one of aiohttp; the next server has its turn."""
        self._tls = None
        self.leave(server)
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            return FatalError(
                f"{server}: its certificate is refused: {error.certificate_error}; "
                "ca_file names the authorities, tls_strict: false accepts older forms"
            )
        if isinstance(error, TimeoutError):
            reason = f"no answer within {self.connection.timeout_s:g} s"
        elif isinstance(error, aiohttp.ClientConnectorError):
            number = error.os_error.errno or 0
            reason = os.strerror(number) if number > 0 else str(error.os_error)
        else:
            reason = str(error) or type(error).__name__
        return RetryableError(f"{server}: {reason}")

    async def close(self) -> None:
        """Disconnect. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await self._sockets.close()


class _Sockets:
    """Those of this gateway: aiohttp leaves it to the peer to end a connection with TLS."""

    def __init__(self) -> None:
        self._made: WeakSet[socket.socket] = WeakSet()

    def make(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """A new socket for an address."""
        family, kind, protocol, *_ = address
        made = socket.socket(family, kind, protocol)
        self._made.add(made)
        return made

    async def close(self) -> None:
        """End all connections, and let the event loop notice it."""
        for made in self._made:
            with contextlib.suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)
        for _ in range(TURNS):
            if all(made.fileno() < 0 for made in self._made):
                return
            await asyncio.sleep(0)


async def _answer(server: str, response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The first JSON object of an answer; raises the error that it is."""
    text = await response.text(errors="replace")
    try:
        answer = json.loads(text.partition("\n")[0])
    except ValueError:
        answer = None
    if response.status != 200 or not isinstance(answer, dict) or "error" in answer:
        raise error_of_answer(server, response.status, answer)
    return answer


class WatchStream:
    """A stream of changes that goes on until an error ends it."""

    def __init__(self, server: str, response: aiohttp.ClientResponse, reader: WatchReader) -> None:
        self._server = server
        self._content = response.content
        self._reader = reader

    async def confirmed(self) -> None:
        """Return when the server has taken the watches on."""
        while not self._reader.confirmed:
            await self._read()

    async def receive(self, timeout_s: float) -> Sequence[Change]:
        """The next changes; none when none came for so many seconds."""
        while not (changes := self._reader.take()):
            try:
                async with asyncio.timeout(timeout_s):
                    await self._read()
            except TimeoutError:
                return ()
        return changes

    async def _read(self) -> None:
        chunk = await self._content.readany()
        if not chunk:
            raise RetryableError(f"{self._server}: it ended the watch")
        self._reader.feed(chunk)
