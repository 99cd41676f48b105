"""The routes that show something and change nothing."""

from __future__ import annotations

import asyncio

from aiohttp import web

from queueconnector_core.connector import Connector
from queueconnector_core.metrics import CONTENT_TYPE, metrics_text
from queueconnector_core.web import overview
from queueconnector_core.web.control import find_exchange
from queueconnector_core.web.guard import Guard, answer
from queueconnector_core.web.history import History

__all__ = ("Reading",)


class Reading:
    """Health, metrics, status, gaps, configuration and history."""

    def __init__(
        self, connector: Connector, history: History, started_s: float, guard: Guard
    ) -> None:
        self._connector = connector
        self._history = history
        self._started_s = started_s
        self._guard = guard

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/live", self.live),
            web.get("/ready", self.ready),
            web.get("/metrics", self.metrics),
            web.get("/api/status", self.status),
            web.get("/api/gaps", self.gaps),
            web.get("/api/configuration", self.configuration),
            web.get("/api/history", self.history),
        ]

    async def live(self, _: web.Request) -> web.Response:
        """The event loop turns."""
        return answer({"live": True})

    async def ready(self, _: web.Request) -> web.Response:
        """Everything that was started streams; else 503 and why not."""
        reasons = overview.unready(self._connector)
        return answer({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def metrics(self, _: web.Request) -> web.Response:
        """The text format of Prometheus."""
        report = self._connector.statistics()
        text = await asyncio.to_thread(metrics_text, report)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def status(self, _: web.Request) -> web.Response:
        """The host, its groups, and the way of the records through each exchange."""
        told = overview.status(self._connector, self._history, self._started_s)
        return answer(told | {"controls": self._guard.controls})

    async def gaps(self, _: web.Request) -> web.Response:
        """The gap ledger."""
        return answer(self._connector.gaps())

    async def configuration(self, _: web.Request) -> web.Response:
        """What is configured, with secrets masked."""
        return answer(overview.configuration(self._connector))

    async def history(self, request: web.Request) -> web.Response:
        """Rates and latency of the last hour."""
        name = request.query.get("exchange")
        if name is not None:
            find_exchange(self._connector, name)
        return answer(self._history.report(name))
