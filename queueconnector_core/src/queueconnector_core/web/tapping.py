"""The route that shows records on their way, as JSON lines."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import msgspec
from aiohttp import web

from queueconnector_core.connector import Connector
from queueconnector_core.errors import ConfigError
from queueconnector_core.record import Record
from queueconnector_core.tap import View
from queueconnector_core.web.control import find_exchange
from queueconnector_core.web.guard import HEADERS
from queueconnector_core.web.shown import Look

__all__ = ("Tapping",)

MAX_VIEWERS: Final = 8
PERIOD_S: Final = 0.2
"""Records are sent together so often at most."""
SHARE: Final = 0.005
"""Of the time of the event loop, one view takes so much for making JSON."""
BEAT_S: Final = 1.0
"""Where nothing flows, an empty line is sent so often: a viewer who has gone is noticed."""
WRITE_TIMEOUT_S: Final = 15.0
"""A viewer who does not read for so long is cut off."""
MAX_ITEMS: Final = 1_000_000


class Tapping:
    """Shows the records of one stage of one exchange to each of a few viewers."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._viewers = 0
        self._closing = False

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/api/exchanges/{name}/tap", self.tap, allow_head=False)]

    def close(self) -> None:
        """End every view soon."""
        self._closing = True

    async def tap(self, request: web.Request) -> web.StreamResponse:
        """JSON lines, until so many were sent, the exchange is gone or the viewer goes."""
        query = request.query
        limit = _number(query.get("limit"), "limit", 1_000_000_000)
        max_items = _number(query.get("max_items"), "max_items", MAX_ITEMS) or Look().max_items
        look = Look.of(max_items, query.get("select"))
        _, exchange = find_exchange(self._connector, request.match_info["name"])
        if self._viewers >= MAX_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_VIEWERS} look already; try again later")
        with exchange.taps.view(query.get("stage", "sink[0]")) as view:
            self._viewers += 1
            try:
                response = web.StreamResponse(headers=HEADERS)
                response.content_type = "application/jsonl"
                await response.prepare(request)
                await self._stream(
                    response, view, look, limit, lambda: exchange in self._connector.exchanges
                )
            except (TimeoutError, ConnectionError):
                if request.transport is not None:
                    request.transport.abort()
            finally:
                self._viewers -= 1
        return response

    async def _stream(
        self,
        response: web.StreamResponse,
        view: View,
        look: Look,
        limit: int | None,
        is_there: object,
    ) -> None:
        sent = 0
        while (limit is None or sent < limit) and not self._closing and is_there():  # type: ignore[operator]
            records = await _next(view)
            began_s = time.perf_counter()
            lines = []
            for record in records:
                if limit is None or sent < limit:
                    told = look.shown(record)
                    if told is not None:
                        lines.append(_line(told | {"skipped": view.skipped}))
                        sent += 1
            pause_s = max(PERIOD_S, (time.perf_counter() - began_s) / SHARE)
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await response.write(b"".join(lines) if records else b"\n")
            if limit is None or sent < limit:
                await asyncio.sleep(min(pause_s, BEAT_S) if records else 0)


async def _next(view: View) -> list[Record]:
    try:
        async with asyncio.timeout(BEAT_S):
            return await view.take()
    except TimeoutError:
        return []


def _line(document: object) -> bytes:
    return msgspec.json.encode(document) + b"\n"


def _number(text: str | None, name: str, most: int) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 12 and 1 <= int(text) <= most:
        return int(text)
    raise ConfigError.at(name, f"found {text!r}; allowed: a whole number from 1 to {most}")
