"""Dead letters on their way once more: through their exchange, or as octets to any sink."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from typing import TypeAlias, cast

import attrs

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.component import Services
from queueconnector_core.dead_letters.letter import Letter
from queueconnector_core.dead_letters.writing import NO_CODECS, NULL
from queueconnector_core.descriptors import ErrorPolicyDescriptor, SourceDescriptor
from queueconnector_core.error_policy import ErrorPolicy
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.exchange import Exchange
from queueconnector_core.plan import ExchangePlan
from queueconnector_core.protocols import Decoder, Sink
from queueconnector_core.record import Acknowledgement, Batch, Metadata, Original, Quality, Record
from queueconnector_core.registry import Registry

__all__ = ("LetterSource", "Restore", "Route", "to_exchange", "to_sink")

Restore: TypeAlias = Callable[[Letter], Record]
"""Makes a record of a letter; raises `RecordError`."""

BATCH_SIZE = 500

REPAIR = "repair it (`dlq show N --output FILE`, then --only N --value-file FILE)"


@attrs.frozen
class _Redriven(Original):
    """What fails again still knows which letter it was."""

    number: int = 0


class LetterSource:
    """Gives letters as the records that they were, in the order in which they were read.

    `on_settled` is told of letters that were delivered, or have become dead letters again: all
    that need not be driven once more.
    """

    def __init__(
        self,
        letters: Sequence[Letter],
        restore: Restore,
        on_settled: Callable[[Sequence[Letter]], None],
    ) -> None:
        self._letters = letters
        self._restore = restore
        self._on_settled = on_settled
        self._dropped: set[int] = set()
        self._left = len(letters)
        self._stopped = False

    @property
    def is_done(self) -> bool:
        """Every letter was delivered, kept as a dead letter again, or dropped."""
        return not self._left

    async def start(self) -> None:
        """Nothing to connect: the letters have been read."""
        self._stopped = False

    async def read(self) -> AsyncIterator[Batch]:
        """All letters; those that cannot be restored are failures of their batch."""
        for first in range(0, len(self._letters), BATCH_SIZE):
            if self._stopped:
                return
            yield self._batch(self._letters[first : first + BATCH_SIZE])

    async def stop(self) -> None:
        """Give no more."""
        self._stopped = True

    def dropped(self, errors: Sequence[RecordError]) -> None:
        """Take note of the letters among records that are dropped."""
        originals = (origin.original for error in errors for origin in error.origins)
        self._dropped |= {each.number for each in originals if isinstance(each, _Redriven)}

    def _batch(self, letters: Sequence[Letter]) -> Batch:
        records: list[Record] = []
        failures: list[RecordError] = []
        for letter in letters:
            try:
                record = self._restore(letter)
            except RecordError as error:
                origin = _with_original(letter.restored(), letter)
                failures.append(RecordError(f"letter {letter.number}: {error}", origins=[origin]))
            else:
                records.append(Record(record.value, _with_original(record.metadata, letter)))
        return Batch(
            [record.value for record in records],
            [record.metadata for record in records],
            failures,
            acknowledgements=(Acknowledgement(lambda: self._settled(letters)),),
        )

    def _settled(self, letters: Sequence[Letter]) -> None:
        self._left -= len(letters)
        self._on_settled([letter for letter in letters if letter.number not in self._dropped])


def _with_original(metadata: Metadata, letter: Letter) -> Metadata:
    octets = letter.octets or b""
    content = (letter.encoding, octets) if letter.encoding else octets
    original = _Redriven(content, letter.source, letter.attempts, letter.number)
    return attrs.evolve(metadata, original=original)


def _restorer(plan: ExchangePlan, registry: Registry) -> Restore:
    """How the sources of an exchange would have given the record of a letter."""
    spec = plan.sources[0].spec

    @cache
    def decoder(encoding: str, source: int) -> Decoder:
        if encoding:
            return resolve_codec(encoding, spec, registry).decoder(spec)
        if source >= len(plan.sources):
            raise ConfigError.at("", f"{plan.name} has no source[{source}] any more")
        descriptor = cast("SourceDescriptor", plan.sources[source].descriptor)
        codec = descriptor.octets_codec(spec, registry)
        return (codec or resolve_codec("json", spec, registry)).decoder(spec)

    def restore(letter: Letter) -> Record:
        metadata = letter.restored()
        if letter.encoding == NULL and metadata.quality is Quality.INVALID:
            return Record(None, metadata)
        octets = _octets_of(letter)
        try:
            return Record(decoder(letter.encoding, letter.source)(octets), metadata)
        except ConfigError as error:
            raise RecordError(str(error)) from None

    return restore


def _octets_of(letter: Letter) -> bytes:
    """The octets of a letter; raises `RecordError` when they are not those of a record."""
    if letter.octets is None:
        raise RecordError(f"the record was null, or nothing is left of it; {REPAIR}")
    if letter.encoding in NO_CODECS:
        raise RecordError(f"its octets are for people ({letter.encoding}), not a value; {REPAIR}")
    return letter.octets


@attrs.frozen
class Route:
    """A way for letters: how each becomes a record again, and the exchange that carries it."""

    restore: Restore
    build: Callable[[LetterSource], Exchange]


def to_exchange(plan: ExchangePlan, registry: Registry, services: Services) -> Route:
    """Through the pipes and sinks of an exchange, under its own error policy."""

    def build(source: LetterSource) -> Exchange:
        exchange = plan.build(registry, services, source)
        exchange.errors.on_dropped = source.dropped
        return exchange

    return Route(_restorer(plan, registry), build)


def to_sink(sink: Sink) -> Route:
    """As octets to a sink of dtype bytes; what it refuses is dropped."""

    def build(source: LetterSource) -> Exchange:
        errors = ErrorPolicy(ErrorPolicyDescriptor(max_in_a_row=None))
        errors.on_dropped = source.dropped
        return Exchange("redrive", [source], [], [sink], errors=errors)

    return Route(_as_octets, build)


def _as_octets(letter: Letter) -> Record:
    return Record((letter.encoding, _octets_of(letter)), letter.without_context())
