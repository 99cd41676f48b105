"""Dead letters as they are read back: what each tells, and how the record in it is restored."""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from queueconnector_core.dead_letters.writing import NO_CODECS, NULL, PREFIX
from queueconnector_core.errors import ConfigError, QueueConnectorError, RetryableError
from queueconnector_core.protocols import Source
from queueconnector_core.provenance import PREFIX as PROVENANCE
from queueconnector_core.provenance import UNKNOWN_EVENT, UNKNOWN_SOURCE, Header, restored
from queueconnector_core.record import Acknowledgement, Metadata, Record

__all__ = ("Letter", "Letters", "read_letters")

_NAMES: Final = ("exchange", "source", "position", "stage", "time", "attempts")
"""What tells one letter from all others, whatever becomes of its octets."""


@attrs.frozen
class Letter:
    """One dead letter; the headers are those of `writing`."""

    number: int
    """Its place among those that were read, from 1."""
    octets: bytes | None
    encoding: str
    """The codec of the octets, or a label that is no codec; empty: as they were received."""
    metadata: Metadata
    """As it was read: with all headers."""

    @classmethod
    def of(cls, number: int, record: Record) -> Letter:
        """A record of dtype bytes as a letter."""
        octets = record.value[1] if isinstance(record.value, tuple) else None
        letter = cls(number, octets, "", record.metadata)
        encoding = NULL if octets is None else letter.told("encoding")
        return attrs.evolve(letter, octets=None if encoding == NULL else octets, encoding=encoding)

    def repaired(self, octets: bytes) -> Letter:
        """The same with other octets, in its encoding; where that is no codec, as received."""
        encoding = "" if self.encoding in NO_CODECS else self.encoding
        return attrs.evolve(self, octets=octets, encoding=encoding)

    def told(self, name: str) -> str:
        """The text of the header `qc_` + name; empty when there is none."""
        octets = dict(self.metadata.headers).get(PREFIX + name) or b""
        return octets.decode("utf-8", "replace")

    @property
    def source(self) -> int:
        """The place of the source among those of its exchange."""
        return _number(self.told("source"))

    @property
    def attempts(self) -> int:
        """How often it has failed by now."""
        return _number(self.told("attempts"))

    @property
    def identity(self) -> str:
        """Tells it from all others; a repair of its octets changes nothing about that."""
        told = [self.told(name) for name in _NAMES]
        if not self.told("time"):
            told += [self.metadata.position or "", repr(self.octets)]
        return hashlib.sha256(repr((told, self.metadata.key)).encode()).hexdigest()[:16]

    def without_context(self) -> Metadata:
        """What is known of the record, with the headers of the letter taken off."""
        return self._with_headers(PREFIX)

    def restored(self) -> Metadata:
        """What was known of the record when it was received, as if it had never failed.

        Its provenance is taken off its headers where the letter has put it there.
        """
        known = dict(self.metadata.headers)
        by_letter = known.get(PROVENANCE + "configuration") == known.get(PREFIX + "configuration")
        metadata = self._with_headers(PREFIX, *([PROVENANCE] if by_letter else []))
        position = self.told("position") or None
        # Provenance has a word for what is not known, too.
        source = None if metadata.source in {position, UNKNOWN_SOURCE} else metadata.source
        event = None if metadata.event == UNKNOWN_EVENT else metadata.event
        return attrs.evolve(metadata, position=position, source=source, event=event)

    def _with_headers(self, *left_out: str) -> Metadata:
        kept: tuple[Header, ...] = tuple(
            header for header in self.metadata.headers if not header[0].startswith(left_out)
        )
        # What the place of letters tells, such as when it got them, is nothing of the record.
        known = Metadata(key=self.metadata.key, headers=self.metadata.headers)
        return attrs.evolve(restored(known), headers=kept)


@attrs.frozen
class Letters:
    """All letters of a source, in its order, with what releases them there."""

    letters: tuple[Letter, ...]
    unreadable: tuple[str, ...]
    """Why something there is no letter."""
    acknowledgements: tuple[Acknowledgement, ...]

    def chosen(self, numbers: tuple[int, ...]) -> tuple[Letter, ...]:
        """Those of the numbers, or all without any; raises `ConfigError` for one that is not."""
        missing = [number for number in numbers if not 0 < number <= len(self.letters)]
        if missing:
            allowed = f"1 to {len(self.letters)}" if self.letters else "none: there are no letters"
            raise ConfigError.at("", f"found no letter {missing[0]}; allowed: {allowed}")
        return tuple(letter for letter in self.letters if not numbers or letter.number in numbers)


async def read_letters(source: Source) -> Letters:
    """Start a source of letters and read it to its end; `stop` is left to the caller.

    All are read before the first is used: what fails again may be written behind them. Raises
    `QueueConnectorError` when the source cannot be reached or read.
    """
    letters: list[Letter] = []
    unreadable: list[str] = []
    acknowledgements: list[Acknowledgement] = []
    try:
        await source.start()
        async for batch in source.read():
            letters += [
                Letter.of(number, record)
                for number, record in enumerate(batch.records(), len(letters) + 1)
            ]
            unreadable += [str(failure) for failure in batch.failures]
            acknowledgements += batch.acknowledgements
    except RetryableError as error:
        raise QueueConnectorError(f"the letters cannot be read: {error}") from None
    return Letters(tuple(letters), tuple(unreadable), tuple(acknowledgements))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
