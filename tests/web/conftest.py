"""A connector with real exchanges in memory, and its HTTP server, in the event loop of the test."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import aiohttp
import attrs
import pytest

from queueconnector_core.connector import Connector
from queueconnector_core.discovery import discover
from queueconnector_core.registry import Registry
from queueconnector_core.web.options import WebOptions, serve

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - for tests

Serving: TypeAlias = Callable[..., Awaitable["Site"]]


@functools.cache
def registry() -> Registry:
    """What is installed."""
    return discover().registry


def streaming(key: str, data: list[Any], delay: float = 0.0, **options: Any) -> dict[str, Any]:
    """An exchange of values in memory."""
    return {
        "dtype": "int64",
        "source": {"type": "InMemorySource", "data": data, "delay": delay},
        "sink": {"type": "InMemorySink", "key": key},
        **options,
    }


@attrs.frozen
class Site:
    """A served connector, and somebody who asks it."""

    connector: Connector
    address: str
    client: aiohttp.ClientSession

    async def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, str, aiohttp.ClientResponse]:
        """The code, the text, and the answer itself."""
        url = self.address + path.lstrip("/")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, url, headers=sent) as answer:
            return answer.status, await answer.text(), answer

    async def get(self, path: str) -> Any:
        """The JSON document there."""
        code, text, _ = await self.ask(path)
        assert code == 200, text
        return json.loads(text)

    async def post(self, path: str) -> tuple[int, Any]:
        """Ask for a change, with the token."""
        code, text, _ = await self.ask(path, "POST", Authorization=f"Bearer {TOKEN}")
        return code, json.loads(text)

    async def tap(self, exchange: str, query: str) -> list[Any]:
        """All records that a view gives until it ends."""
        code, text, _ = await self.ask(f"api/exchanges/{quote(exchange)}/tap?{query}")
        assert code == 200, text
        return [json.loads(line) for line in text.splitlines() if line]


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    """A file with the token."""
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return str(path)


@pytest.fixture
async def site() -> AsyncIterator[Serving]:
    """Serves groups of exchanges, started unless `start` is false."""
    made: list[Callable[[], Awaitable[None]]] = []

    async def serve_groups(start: bool = True, token: str = "", **groups: Any) -> Site:
        connector = Connector(registry(), name="test/connector/1")
        server = await serve(connector, WebOptions(0, token_file=token))
        client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20))
        made.extend((client.close, server.close, connector.shut_down))
        await connector.configure(json.dumps({"exchanges": groups}))
        if start and groups:
            await connector.start()
        return Site(connector, server.address, client)

    yield serve_groups
    for close in made:
        await close()
