"""What every request has to pass: few at a time, for this host, and with the token to change."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from queueconnector_core.errors import ConfigError, StateError
from queueconnector_core.secret import Secret
from queueconnector_core.web.options import WebOptions

__all__ = ("Guard", "answer", "MAX_REQUESTS")

MAX_REQUESTS: Final = 32
"""So many requests are answered at a time, views among them; others are told to come back."""

WRONG_TOKEN_S: Final = 0.5
"""A wrong token is answered so slowly."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "queueconnector",
}


def answer(document: object, status: int = 200) -> web.Response:
    """A JSON document; NaN is null."""
    body = msgspec.json.encode(document)
    return web.Response(body=body, status=status, content_type="application/json")


class Guard:
    """The middleware before every route."""

    def __init__(self, options: WebOptions, token: Secret | None) -> None:
        self._token = token
        self._names = {"localhost", options.host.casefold(), socket.gethostname().casefold()}
        self._requests = 0

    @property
    def controls(self) -> bool:
        """Whether anybody may change anything."""
        return self._token is not None

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse, or answer with the headers that belong to every answer."""
        if self._requests >= MAX_REQUESTS:
            response: web.StreamResponse = _refused(503, "too many requests at a time; try again")
            response.headers["Retry-After"] = "1"
        else:
            self._requests += 1
            try:
                response = await self._answered(request, handler)
            finally:
                self._requests -= 1
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._is_own(request.headers.get("Host", "")):
            # A page of another site whose name was made to lead here would read everything.
            text = "this host does not go by that name; ask for it by its address"
            return _refused(421, text)
        try:
            if request.method not in {"GET", "HEAD"}:
                await self._check_token(request)
            return await handler(request)
        except web.HTTPException as error:
            return _refused(error.status, error.text or error.reason)
        except ConfigError as error:
            return _refused(400, str(error))
        except StateError as error:
            return _refused(409, str(error))

    def _is_own(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.strip("[]").casefold()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True

    async def _check_token(self, request: web.Request) -> None:
        if self._token is None:
            text = "read only: set web_token_file to a file with a token, and send that token"
            raise web.HTTPForbidden(text=text)
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(sent.strip().encode(), self._token.encode())
        if scheme.casefold() != "bearer" or not right:
            await asyncio.sleep(WRONG_TOKEN_S)
            raise web.HTTPUnauthorized(text="send the header Authorization: Bearer <token>")


def _refused(status: int, reason: str) -> web.Response:
    return answer({"error": reason}, status)
