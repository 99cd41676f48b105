"""The pages of a built site: what they can be linked at, and what they link to and load."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LINKS = {"a": "href", "img": "src", "link": "href", "script": "src", "source": "src"}


class Link(NamedTuple):
    """An address in a page, as it is written."""

    tag: str
    address: str

    @property
    def leaves(self) -> bool:
        """Whether it leads to another server."""
        parts = urlsplit(self.address)
        return bool(parts.scheme or parts.netloc) and parts.scheme != "data"


class Page(HTMLParser):
    """One page, read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.links: list[Link] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep its anchors and addresses."""
        found = dict(attrs)
        for anchor in (found.get("id"), found.get("name") if tag == "a" else None):
            if anchor:
                self.anchors.add(anchor)
        address = found.get(LINKS.get(tag, ""))
        if address:
            self.links.append(Link(tag, address))


class Site:
    """All pages below a folder."""

    def __init__(self, folder: Path) -> None:
        self.pages = {path.resolve(): Page(path) for path in folder.rglob("*.html")}

    def broken(self) -> list[str]:
        """Links within the site that lead nowhere: to no file, or to no anchor of a page."""
        return [
            f"{page.path.name}: {link.address}"
            for page in self.pages.values()
            for link in page.links
            if not link.leaves and not self._leads(page, link)
        ]

    def _leads(self, page: Page, link: Link) -> bool:
        parts = urlsplit(link.address)
        if parts.scheme == "data" or link.address == "#":
            return True
        target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
        if not target.is_file():
            return False
        known = self.pages.get(target.resolve())
        return not parts.fragment or known is None or unquote(parts.fragment) in known.anchors

    def loaded_from_elsewhere(self) -> set[str]:
        """What pages would load from other servers."""
        loading = (link for page in self.pages.values() for link in page.links if link.tag != "a")
        return {link.address for link in loading if link.leaves}
