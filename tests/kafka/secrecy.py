"""Everything in which a secret could show, kept to be searched."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import logging
import traceback
from collections.abc import Iterator


class Witness:
    """Sees what is logged, raised and shown, and swears that no secret was in it."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets
        self._seen: list[str] = []
        self._log = io.StringIO()

    @contextlib.contextmanager
    def watching(self) -> Iterator[Witness]:
        """See all that is logged meanwhile, down to DEBUG; then swear."""
        root, handler = logging.getLogger(), logging.StreamHandler(self._log)
        before = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield self
        finally:
            root.removeHandler(handler)
            root.setLevel(before)
        self.swear()

    def see(self, *things: object) -> None:
        """Look at the text and the representation of things."""
        for thing in things:
            self._seen += [str(thing), repr(thing)]

    def see_error(self, error: BaseException) -> None:
        """Look at an error and all that it came from, with the locals of every frame."""
        for each in _chain(error):
            self.see(each, each.args)
            told = traceback.TracebackException.from_exception(each, capture_locals=True)
            self._seen += list(told.format(chain=False))

    def swear(self) -> None:
        """Fail when a secret was seen, as it is or in another form."""
        text = "\n".join((*self._seen, self._log.getvalue()))
        assert len(text) > 100
        for secret in self._secrets:
            for form in _forms(secret):
                assert form not in text, f"{form!r} shows in {_around(text, form)!r}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    following: list[BaseException | None] = [error]
    known: set[int] = set()
    while following:
        each = following.pop()
        if each is not None and id(each) not in known:
            known.add(id(each))
            following += [each.__cause__, each.__context__]
            yield each


def _forms(secret: str) -> tuple[str, ...]:
    octets = secret.encode()
    return (secret, octets.hex(), base64.b64encode(octets).decode(), json.dumps(secret)[1:-1])


def _around(text: str, form: str) -> str:
    place = text.index(form)
    return text[max(0, place - 300) : place + 100]
