"""The route that shows records on their way, as JSON lines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec
from aiohttp import web

from queueconnector_core.connector import Connector
from queueconnector_core.errors import ConfigError
from queueconnector_core.record import Record
from queueconnector_core.recording.keeping import MAKER_KEPT, EntryMaker
from queueconnector_core.tap import MAX_KEPT, View
from queueconnector_core.web.control import find_exchange
from queueconnector_core.web.guard import HEADERS
from queueconnector_core.web.shown import Look

__all__ = ("Tapping",)

MAX_VIEWERS: Final = 8
PERIOD_S: Final = 0.2
"""Records are sent together so often at most."""
SHARE: Final = 0.005
"""Of the processor time of the event loop, one view takes so much for making and sending JSON."""
EXACT_SHARE: Final = 0.2
"""The same of a view that leaves out as little as it can."""
AT_A_TIME: Final = 64
"""So many records at most are made JSON before the event loop turns."""
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
        lines = _lines(query.get("exact"), query.get("max_items"), query.get("select"))
        _, exchange = find_exchange(self._connector, request.match_info["name"])
        if self._viewers >= MAX_VIEWERS:
            raise web.HTTPServiceUnavailable(text=f"{MAX_VIEWERS} look already; try again later")
        with exchange.taps.view(query.get("stage", "sink[0]"), lines.kept) as view:
            self._viewers += 1
            try:
                response = web.StreamResponse(headers=HEADERS)
                response.content_type = "application/jsonl"
                await response.prepare(request)
                await self._stream(
                    response, view, lines, limit, lambda: exchange in self._connector.exchanges
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
        lines: _Lines,
        limit: int | None,
        is_there: Callable[[], bool],
    ) -> None:
        sent = 0
        while (limit is None or sent < limit) and not self._closing and is_there():
            records = await _next(view)
            busy_s = 0.0
            for begin in range(0, len(records) or 1, AT_A_TIME):
                began_s = time.thread_time()
                made = lines.made(records[begin : begin + AT_A_TIME], view.skipped)
                room = None if limit is None else limit - sent
                told = list(made)[:room]
                sent += len(told)
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await response.write(b"".join(told) if records else b"\n")
                busy_s += time.thread_time() - began_s
            if records and (limit is None or sent < limit):
                await lines.rest(view, busy_s)


class _Lines(Protocol):
    """How a view makes lines of records."""

    kept: int
    """So many records are kept for it."""

    def made(self, records: Sequence[Record], skipped: int) -> Iterator[bytes]:
        """A line for each record that is shown; `skipped` were left out so far."""

    async def rest(self, view: View, busy_s: float) -> None:
        """Let the event loop do other things, after lines took so much of the processor's time."""


class _Shown:
    """Lines for people: what is large is made smaller."""

    kept = MAX_KEPT

    def __init__(self, look: Look) -> None:
        self._look = look
        self._skipped = 0

    def made(self, records: Sequence[Record], skipped: int) -> Iterator[bytes]:
        for record in records:
            told = self._look.shown(record)
            if told is not None:
                yield msgspec.json.encode(told | {"skipped": skipped}) + b"\n"

    async def rest(self, view: View, busy_s: float) -> None:
        """Wait; when a fast stream had too little time meanwhile, show less of it from then on.

        On a busy machine the event loop has less of the processor's time than passes.
        """
        worth_s = busy_s / SHARE
        began_s = time.thread_time()
        await asyncio.sleep(min(max(PERIOD_S, worth_s), BEAT_S))
        had_s = time.thread_time() - began_s
        if view.skipped > self._skipped and worth_s > 0:
            fitting = round(view.most * had_s / worth_s)
            view.most = min(max(1, fitting, view.most // 4), self.kept, view.most + 1)
        self._skipped = view.skipped


class _Exact:
    """Lines for a recording: every value whole; each tells how many are missing before it."""

    kept = MAKER_KEPT

    def __init__(self) -> None:
        self._maker = EntryMaker()

    def made(self, records: Sequence[Record], skipped: int) -> Iterator[bytes]:
        for record in records:
            entry = self._maker.entry(record, skipped)
            if entry is not None:
                yield msgspec.json.encode(entry) + b"\n"

    async def rest(self, view: View, busy_s: float) -> None:
        """Wait, but lose as little as can be."""
        await asyncio.sleep(min(max(PERIOD_S, busy_s / EXACT_SHARE), BEAT_S))


def _lines(exact: str | None, max_items: str | None, select: str | None) -> _Lines:
    if exact is None:
        most = _number(max_items, "max_items", MAX_ITEMS) or Look().max_items
        return _Shown(Look.of(most, select))
    if exact != "1":
        raise ConfigError.at("exact", f"found {exact!r}; allowed: 1")
    if max_items is not None or select is not None:
        raise ConfigError.at("exact", "goes with neither select nor max_items")
    return _Exact()


async def _next(view: View) -> list[Record]:
    try:
        async with asyncio.timeout(BEAT_S):
            return await view.take()
    except TimeoutError:
        return []


def _number(text: str | None, name: str, most: int) -> int | None:
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 12 and 1 <= int(text) <= most:
        return int(text)
    raise ConfigError.at(name, f"found {text!r}; allowed: a whole number from 1 to {most}")
