"""The status page: files of this package, and the library that draws its plots."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Final

from aiohttp import web

__all__ = ("routes",)

_FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.mjs": ("page.mjs", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/uPlot.iife.min.js": ("uplot/uPlot.iife.min.js", "text/javascript"),
    "/uPlot.min.css": ("uplot/uPlot.min.css", "text/css"),
}


def routes() -> list[web.RouteDef]:
    """The routes of the page; reads its files."""
    folder = resources.files("queueconnector_core.web") / "static"
    return [
        web.get(path, _sending((folder / name).read_bytes(), kind))
        for path, (name, kind) in _FILES.items()
    ]


def _sending(content: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def send(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=kind, charset="utf-8")

    return send
