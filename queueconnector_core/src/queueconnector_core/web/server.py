"""One small HTTP server, in the event loop of a host."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from queueconnector_core.connector import Connector
from queueconnector_core.errors import ConfigError
from queueconnector_core.web import page
from queueconnector_core.web.control import Control
from queueconnector_core.web.guard import Guard
from queueconnector_core.web.history import History
from queueconnector_core.web.options import WebOptions
from queueconnector_core.web.reading import Reading
from queueconnector_core.web.tapping import Tapping

__all__ = ("WebServer",)

logger = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 64
MAX_BODY: Final = 4_096
"""Octets of the body of a request; none needs one."""
SILENT_S: Final = 10.0
"""A connection that has not asked for anything after so long is closed."""
IDLE_S: Final = 15.0
"""One that has been answered is kept for so long."""
SHUTDOWN_S: Final = 1.0


class WebServer:
    """Serves the view of a connector from `start` to `close`."""

    def __init__(self, connector: Connector, options: WebOptions) -> None:
        self._connector = connector
        self._options = options
        self._history = History()
        self._tapping = Tapping(connector)
        self._stack = contextlib.AsyncExitStack()
        self._silent: set[object] = set()
        """Connections that have not asked for anything yet."""
        self.address = ""
        """Where it is, such as `http://127.0.0.1:8080/`, once it has started."""

    async def start(self) -> None:
        """Raises `ConfigError` when the address or the token cannot be had."""
        app = await asyncio.to_thread(self._application)
        async with contextlib.AsyncExitStack() as stack:
            runner = web.AppRunner(
                app,
                handle_signals=False,
                access_log=None,
                keepalive_timeout=IDLE_S,
                shutdown_timeout=SHUTDOWN_S,
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            stack.callback(self._tapping.close)
            await self._listen(runner, stack)
            sampling = asyncio.create_task(self._sample(), name="rates and latency")
            stack.callback(sampling.cancel)
            self._stack = stack.pop_all()
        logger.info("the status page is at %s", self.address)

    def _application(self) -> web.Application:
        """Every route behind the guard; reads files."""
        guard = Guard(self._options, self._options.token())
        app = web.Application(middlewares=[self._note, guard.middleware], client_max_size=MAX_BODY)
        reading = Reading(self._connector, self._history, time.time(), guard)
        for part in (reading, self._tapping, Control(self._connector)):
            app.add_routes(part.routes())
        app.add_routes(page.routes())
        return app

    def routes(self) -> list[str]:
        """Every method and path, as the documentation has them; reads files."""
        found = self._application().router.routes()
        return [
            f"{route.method} {route.resource.canonical.replace('{name}', 'NAME')}"
            for route in found
            if route.method != "HEAD" and route.resource is not None
        ]

    async def close(self) -> None:
        """Answer no more; idempotent."""
        await self._stack.aclose()

    async def _listen(self, runner: web.AppRunner, stack: contextlib.AsyncExitStack) -> None:
        make = runner.server
        if make is None:
            raise RuntimeError("the server was not set up")
        loop, options = asyncio.get_running_loop(), self._options

        def accept() -> asyncio.Protocol:
            if len(make.connections) >= MAX_CONNECTIONS:
                return _Refusal()
            protocol = make()
            self._silent.add(protocol)
            loop.call_later(SILENT_S, self._close_if_silent, protocol)
            return protocol

        try:
            server = await loop.create_server(accept, options.host, options.port)
        except (OSError, OverflowError) as error:
            text = f"cannot serve at {options.host}:{options.port}: {error}; choose another port"
            raise ConfigError.at("web_port", text) from None
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.address = f"http://{host}:{port}/"

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._silent.discard(request.protocol)
        return await handler(request)

    def _close_if_silent(self, protocol: web.RequestHandler) -> None:
        if protocol in self._silent:
            self._silent.discard(protocol)
            protocol.force_close()

    async def _sample(self) -> None:
        while True:
            self._history.sample(self._connector.exchanges)
            await asyncio.sleep(1)


class _Refusal(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
