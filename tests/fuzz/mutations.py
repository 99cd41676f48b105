"""Small damages to messages and to JSON documents, as chance chooses them."""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any, Final

__all__ = ("damaged", "damaged_document")

_TOKENS: Final = [
    *(b"", b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80" + b"\0" * 7, b"[" * 50, b"{" * 50),
    *(b"nan", b"inf", b"-0", b"1e999", b"0x", b"_", b"'", b'"', b"\\", b"\\ud800", b"\xed\xa0\x80"),
    *(b"9" * 30, b"None", b"null", b"true", b"True", b",", b":", b"j", b"(", b"b'", b"#", b"\n"),
    *(b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 50),
    *(b">", b"<", b"|O", b"O", b"V", b"U0", b"M8", b"f16", b"-1,", b"(9999999999,)", b"True, "),
]
"""What parsers trip over: limits, openings without an end, other writings, kinds of numpy."""


def damaged(data: bytes, random: Random) -> bytes:
    """`data` with one to four of its parts removed, doubled, exchanged or written over."""
    wire = bytearray(data)
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(wire))
        end = min(len(wire), start + random.choice((0, 0, 1, 1, 4, 8, len(wire))))
        found = (
            random.choice(_TOKENS),
            random.randbytes(random.randint(0, 4)),
            bytes(wire[start:end]) * 2,
            bytes(wire[start:end][::-1]),
        )
        wire[start:end] = random.choice(found)
    return bytes(wire)


_VALUES: Final[list[Any]] = [
    *(None, True, False, 0, -1, 1, 2.5, -0.0, math.nan, math.inf, 2**31, 2**63, 2**64, 10**30),
    *("", "a", "\0", "\ud800", "\U0001f600", "object", "float64", "bytes", "str", "U1000000000"),
    *("O", "V0", "datetime64", "M8[7s]", "utf-8", "npy", "null", "[" * 50, "1e999", "`{`", "@" * 9),
    *([], {}, [[]], [-1], [2**31 - 1], [2**31 - 1] * 4, [1] * 40, [0, -1], {"": 0}, ["a", ["b"]]),
    *([["a", "f8", [2**31 - 1]]], [["a", [["b", "U2"]]], ["c", "bool", [2, 2]]], [["", "f8"]]),
]
"""What an option may be given instead of what it expects."""


def damaged_document(data: bytes, random: Random) -> bytes:
    """JSON with one to three of its values exchanged, moved, removed, or keys misspelt."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return damaged(data, random)
    for _ in range(random.randint(1, 3)):
        places = _places(document)
        if not places:
            return json.dumps(random.choice(_VALUES)).encode()
        container, key = random.choice(places)
        _damage(container, key, random, places)
    text = json.dumps(document).encode()
    return damaged(text, random) if random.random() < 0.1 else text


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every value in the document, as its container and its key or index there."""
    found: list[tuple[Any, Any]] = []
    if isinstance(document, dict):
        found = [(document, key) for key in document]
    elif isinstance(document, list):
        found = [(document, index) for index in range(len(document))]
    for container, key in tuple(found):
        if isinstance(container[key], dict | list) and len(found) < 1000:
            found += _places(container[key])
    return found


def _damage(container: Any, key: Any, random: Random, places: list[tuple[Any, Any]]) -> None:
    chance = random.random()
    if chance < 0.5:
        container[key] = json.loads(json.dumps(random.choice(_VALUES)))
    elif chance < 0.7:
        other, place = random.choice(places)
        container[key] = json.loads(json.dumps(other[place]))
    elif chance < 0.8:
        del container[key]
    elif chance < 0.9 and isinstance(container, dict):
        container[damaged(key.encode(errors="ignore"), random).decode(errors="replace")] = (
            container.pop(key)
        )
    elif isinstance(container[key], str):
        wrong = damaged(container[key].encode(errors="ignore"), random)
        container[key] = wrong.decode(errors="replace")
    else:
        container[key] = [container[key]] * random.randint(0, 3)
