"""The routes that change something; the guard has seen the token."""

from __future__ import annotations

import logging
from functools import partial

from aiohttp import web

from queueconnector_core.connector import Connector
from queueconnector_core.exchange import Exchange
from queueconnector_core.group import Group
from queueconnector_core.web.guard import answer

__all__ = ("Control", "find_exchange")

logger = logging.getLogger(__name__)


def find_exchange(connector: Connector, name: str) -> tuple[Group, Exchange]:
    """An exchange and its group; raises `HTTPNotFound`."""
    for group in connector.groups.values():
        for exchange in group.exchanges:
            if exchange.name == name:
                return group, exchange
    raise web.HTTPNotFound(text=f"there is no exchange {name!r}")


class Control:
    """Pauses, resumes and restarts an exchange; starts, stops and resets a group."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.post(f"/api/{kind}/{{name}}/{command}", partial(carry_out, command))
            for kind, commands, carry_out in (
                ("exchanges", ("pause", "resume", "restart"), self.exchange),
                ("groups", ("start", "stop", "reset"), self.group),
            )
            for command in commands
        ]

    async def exchange(self, command: str, request: web.Request) -> web.Response:
        """Begin what is asked for; its progress is in the status."""
        name = request.match_info["name"]
        await self._connector.configured()
        group, exchange = find_exchange(self._connector, name)
        actions = {"pause": group.pause, "resume": group.resume, "restart": group.restart}
        actions[command](exchange)
        logger.info("%s: %s, by %s over HTTP", name, command, request.remote)
        return answer({"exchange": name, "paused": exchange.is_paused, "state": group.state.value})

    async def group(self, command: str, request: web.Request) -> web.Response:
        """Begin what is asked for; its progress is in the status."""
        name = request.match_info["name"]
        await self._connector.configured()
        group = self._connector.groups.get(name)
        if group is None:
            raise web.HTTPNotFound(text=f"there is no group {name!r}")
        {"start": group.start, "stop": group.stop, "reset": group.reset}[command]()
        logger.info("group %s: %s, by %s over HTTP", name, command, request.remote)
        return answer({"group": name, "state": group.state.value})
