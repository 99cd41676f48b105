"""Where everything stands in a JSON text: line and column of each member of each object and list.

Parsers of JSON keep no positions; this scan keeps nothing else. It is for texts that `json` has
accepted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs

__all__ = ("Place", "Node", "Places", "path_text", "places_of")

Key: TypeAlias = str | int

_SPACE: Final = re.compile(r"[ \t\n\r]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ATOM: Final = re.compile(r"[^\s,\]}]+")


@attrs.frozen
class Place:
    """Line and column, both counted from 1; a column is a character, not an octet."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@attrs.define
class Node:
    """One value of a document.

    `offset` is where its member begins: the key in an object, the value elsewhere.
    """

    offset: int
    children: dict[Key, Node] = attrs.field(factory=dict)
    is_list: bool = False
    repeated: list[tuple[str, int]] = attrs.field(factory=list)
    """Keys that stand in this object before, with the offset of each repetition."""

    def walk(self, path: tuple[Key, ...] = ()) -> Iterator[tuple[tuple[Key, ...], Node]]:
        """This node and all below it, each with its keys from here."""
        waiting = [(path, self)]
        while waiting:
            path, node = waiting.pop()
            yield path, node
            waiting += [((*path, key), child) for key, child in reversed(node.children.items())]

    def find(self, path: str) -> tuple[str, Node]:
        """The node at a path such as `exchanges[2].sink.topic`, or the nearest above it.

        Gives also the path as the text has it: one member of a list may be named without its index.
        """
        node, found = self, ""
        while path:
            step = node._step(path)
            if step is None:
                break
            node, word, path = step
            found = f"{found}.{word}" if found and not word.startswith("[") else found + word
        missing = f".{path}" if found and path and path[0] not in ".[" else path
        return found + missing, node

    def _step(self, path: str) -> tuple[Node, str, str] | None:
        """The child that a path begins with: it, its word, and what is left of the path."""
        path = path.removeprefix(".")
        for key in sorted(self.children, key=lambda key: -len(str(key))):
            word = f"[{key}]" if self.is_list else str(key)
            rest = path.removeprefix(word)
            if path.startswith(word) and (not rest or rest[0] in ".["):
                return self.children[key], word, rest
        if self.is_list and len(self.children) == 1 and not path.startswith("["):
            return self.children[0], "[0]", path
        return None


@attrs.frozen
class Places:
    """The nodes of a text, and how an offset is told."""

    text: str
    root: Node

    def at(self, offset: int) -> Place:
        """Line and column of an offset."""
        line = self.text.count("\n", 0, offset) + 1
        return Place(line, offset - (self.text.rfind("\n", 0, offset) + 1) + 1)

    def of(self, path: str) -> tuple[str, Place]:
        """The path as the text has it, and where that, or the nearest above it, stands."""
        found, node = self.root.find(path)
        return found, self.at(node.offset)

    def repeated(self) -> Iterator[tuple[str, str, Place]]:
        """Each key that stands twice in one object: the path of the object, the key, the place."""
        for path, node in self.root.walk():
            for key, offset in node.repeated:
                yield path_text(path), key, self.at(offset)


def path_text(path: tuple[Key, ...]) -> str:
    """Keys as a JSON path: `exchanges[2].sink`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


def places_of(text: str) -> Places:
    """All places of a text that is valid JSON."""
    root, _ = _scan(text, _skip(text, 0))
    return Places(text, root)


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    if match is None:
        raise ValueError(f"no valid JSON at character {at}")
    return match.end()


def _scan(text: str, start: int) -> tuple[Node, int]:
    """The node of the value that begins at `start`, and where it ends."""
    opening = text[start : start + 1]
    if opening == '"':
        return Node(start), _end(_STRING, text, start)
    if opening not in {"{", "["}:
        return Node(start), _end(_ATOM, text, start)
    node = Node(start, is_list=opening == "[")
    at = _skip(text, start + 1)
    while text[at : at + 1] not in {"}", "]"}:
        at = _scan_member(text, at, node)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] not in {"}", "]"}:
            raise ValueError(f"no valid JSON at character {at}")
    return node, at + 1


def _scan_member(text: str, begin: int, node: Node) -> int:
    """Add one member of a list or an object; gives the offset behind it and its space."""
    key: Key = len(node.children)
    at = begin
    if not node.is_list:
        at = _end(_STRING, text, begin)
        key = json.loads(text[begin:at])
        if key in node.children:
            node.repeated.append((str(key), begin))
        at = _skip(text, _skip(text, at) + 1)
    child, at = _scan(text, at)
    child.offset = begin
    node.children[key] = child
    return _skip(text, at)
