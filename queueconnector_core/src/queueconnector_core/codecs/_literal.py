"""Python literals as `repr` writes them, read in linear time without evaluating anything.

`ast.literal_eval` reads neither `nan` nor `inf`, is slow, and may exhaust memory or the stack on
hostile text. What `repr` never writes (comments, hexadecimal, raw strings, …) is left to it, but
only in short texts.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any, Final

import attrs

from queueconnector_core.conversion import MAX_DEPTH

__all__ = ("parse_literal",)

MAX_OTHER_KEYS: Final = 4096
"""Keys that are no text, per dict: integers can be chosen to collide in it."""
MAX_FALLBACK: Final = 65_536
"""Characters of text that `ast.literal_eval` may see."""

_ESCAPE = r"\\(?:[\\'\"nrt]|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U00[\da-fA-F]{6})"
_WORD = re.compile(
    rf"""[ \t\r\n]*+(?:
      (?P<text>[bB]?(?:'[^'\\\n]*+(?:{_ESCAPE}[^'\\\n]*+)*+'|"[^"\\\n]*+(?:{_ESCAPE}[^"\\\n]*+)*+"))
    | (?P<atom>[-+\w.]++)
    | (?P<punctuation>[\[\](){{}},:])
    )""",
    re.ASCII | re.VERBOSE,
)
_WORDS: Final[dict[str, object]] = {
    "True": True,
    "False": False,
    "None": None,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
}
_CLOSING: Final = {"[": "]", "(": ")", "{": "}"}


def parse_literal(text: str) -> Any:
    """The value that `text` denotes; raises `ValueError` when it denotes none."""
    try:
        return _parse(text.rstrip())
    except (ValueError, TypeError) as error:
        if len(text) > MAX_FALLBACK:
            raise ValueError(str(error)) from None
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(str(error)) from None


@attrs.define
class _Level:
    """One container while it is read; `due` says whether an item may come next."""

    opening: str
    items: list[Any] = attrs.Factory(list)
    due: bool = True
    commas: int = 0


def _parse(text: str) -> Any:
    level = _Level("")
    outer: list[_Level] = []
    position = 0
    while position < len(text):
        match = _WORD.match(text, position)
        if match is None:
            raise ValueError(f"character {position}: {text[position : position + 20]!r}")
        position = match.end()
        word = match[match.lastgroup]  # type: ignore[index]
        if match.lastgroup != "punctuation":
            _add(level, _atom(word) if match.lastgroup == "atom" else _string(word))
        elif word in _CLOSING:
            if len(outer) >= MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
            outer.append(level)
            level = _Level(word)
        elif word in ",:":
            _separate(level, word)
        elif not outer:
            raise ValueError(f"unexpected {word!r}")
        else:
            value = _close(level, word)
            level = outer.pop()
            _add(level, value)
    if outer or len(level.items) != 1:
        raise ValueError("the literal ends too early")
    return level.items[0]


def _add(level: _Level, value: object) -> None:
    if not level.due:
        raise ValueError("a comma is missing")
    level.items.append(value)
    level.due = False


def _separate(level: _Level, word: str) -> None:
    expected = ":" if level.opening == "{" and len(level.items) % 2 else ","
    if level.due or word != expected or not level.opening:
        raise ValueError(f"unexpected {word!r}")
    level.due = True
    level.commas += word == ","


def _close(level: _Level, word: str) -> Any:
    items = level.items
    if _CLOSING.get(level.opening) != word or (level.due and items and not level.commas):
        raise ValueError(f"unexpected {word!r}")
    if level.opening == "[":
        return items
    if level.opening == "(":
        return items[0] if len(items) == 1 and not level.commas else tuple(items)
    if len(items) % 2:
        raise ValueError("a dict has a key without a value")
    keys = items[::2]
    if sum(not isinstance(key, str) for key in keys) > MAX_OTHER_KEYS:
        raise ValueError(f"a dict has more than {MAX_OTHER_KEYS} keys that are not text")
    return dict(zip(keys, items[1::2], strict=True))


def _atom(word: str) -> object:
    if word in _WORDS:
        return _WORDS[word]
    if word.lstrip("+-").replace("_", "").isdigit():
        return int(word)
    try:
        return float(word)
    except ValueError:
        return complex(word)


def _string(word: str) -> str | bytes:
    octets = word[0] in "bB"
    body = word[2:-1] if octets else word[1:-1]
    if octets and not body.isascii():
        raise ValueError("octets are written in ASCII")
    if "\\" in body:
        # Escapes the letters beyond Latin-1, then reads these and the escapes of the word.
        body = body.encode("latin-1", "backslashreplace").decode("unicode_escape")
    return body.encode("latin-1") if octets else body
