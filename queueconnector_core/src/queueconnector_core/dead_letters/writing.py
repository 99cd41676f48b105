"""Dead letters: records that failed, kept with what a person needs to repair and re-drive them.

A letter holds the record as its source received it, its key, its own headers with its provenance
(`provenance`), and these headers:

| Header | Holds |
| --- | --- |
| `qc_error` | why it failed |
| `qc_stage` | where: `source`, `pipe[0]`, `sink[1]` |
| `qc_exchange` | in which exchange |
| `qc_configuration` | the hash of its configuration |
| `qc_time` | when, UTC, RFC 3339 |
| `qc_source` | the place of the source among those of the exchange, from 0 |
| `qc_position` | where the source found it, such as `topic[3]@1042` |
| `qc_encoding` | the codec of the octets; absent: the octets are those that the source received |
| `qc_dtype`, `qc_shape` | of the exchange, as JSON |
| `qc_attempts` | how often it has failed by now |

Three values of `qc_encoding` are no codecs: `null` (there are no octets), `repr` (no codec could
carry the value: this is for people) and `line` (a line of a file that is no record).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, overload

import attrs

from queueconnector_core.codecs import resolve_codec
from queueconnector_core.dataspec import DataSpec, dtype_literal
from queueconnector_core.errors import ConfigError, FatalError, RecordError, RecordErrors
from queueconnector_core.protocols import Encoder, Sink
from queueconnector_core.provenance import PREFIX as PROVENANCE
from queueconnector_core.provenance import headers_of, time_text
from queueconnector_core.record import NO_METADATA, Batch, Metadata, Original, Value
from queueconnector_core.registry import Registry

__all__ = ("DeadLetters", "PREFIX", "LETTER_SPEC", "NULL", "NO_CODECS")

PREFIX: Final = "qc_"

LETTER_SPEC: Final = DataSpec.of("bytes", [])
"""What reaches the sink of dead letters: (encoding, octets)."""

ENCODINGS: Final = ("json", "python", "msgpack_numpy", "npy", "carray")
"""Those that a person can read come first."""

_TIME: Final = PROVENANCE + "time"
"""What the names of all headers about the time of a record begin with."""

RECEIVED: Final = "received"
"""The label of octets as the source received them."""

NULL: Final = "null"
"""The label of no octets: the record was null, or is not there any more."""

REPR: Final = "repr"
"""The label of text for people: no codec could carry the value."""

NO_CODECS: Final = frozenset({NULL, REPR, "line"})
"""Labels of what no codec reads."""


class _Originals(Sequence[Metadata]):
    """The metadata of a batch with what its source received; made when somebody looks."""

    __slots__ = ("_metadata", "_source", "_values")

    def __init__(
        self, values: Sequence[Value], metadata: Sequence[Metadata] | None, source: int
    ) -> None:
        self._values = values
        self._metadata = metadata
        self._source = source

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> Metadata: ...
    @overload
    def __getitem__(self, index: slice) -> _Originals: ...
    def __getitem__(self, index: int | slice) -> Metadata | _Originals:
        metadata = None if self._metadata is None else self._metadata[index]
        if isinstance(index, slice):
            return _Originals(self._values[index], metadata, self._source)  # type: ignore[arg-type]
        known: Metadata = metadata or NO_METADATA  # type: ignore[assignment]
        original = known.original or Original(self._values[index])
        if original.source is None:
            original = attrs.evolve(original, source=self._source)
        return attrs.evolve(known, original=original)


class DeadLetters:
    """Where the records of one exchange go that failed."""

    def __init__(self, sink: Sink, spec: DataSpec, registry: Registry, configuration: str) -> None:
        """`spec` is that of the sources."""
        self.sink = sink
        self._encoders = list(_encoders(spec, registry))
        self._configuration = configuration
        self._dtype = json.dumps(dtype_literal(spec.dtype))
        self._shape = json.dumps(spec.shape)

    def keeping(self, batch: Batch, source: int) -> Batch:
        """The batch, with what is needed to make letters of its records later."""
        originals = _Originals(batch.values, batch.metadata, source)
        return attrs.evolve(batch, metadata=originals)

    def letters(self, errors: Iterable[RecordError], exchange: str) -> Batch:
        """The letters of all records that failed; errors without origins have none."""
        made = [self._letter(each, error, exchange) for error in errors for each in error.origins]
        return Batch([value for value, _ in made], [metadata for _, metadata in made])

    async def write(self, letters: Batch) -> None:
        """Keep the letters; raises `FatalError` for one that is refused, and what a sink raises."""
        try:
            await self.sink.write(letters)
        except RecordErrors as errors:
            raise FatalError(f"a dead letter could not be kept: {errors}") from None

    def _letter(
        self, record: Metadata, error: RecordError, exchange: str
    ) -> tuple[tuple[str, bytes], Metadata]:
        original = record.original or Original(None)
        encoding, octets = self._octets(original.content)
        before = dict(record.headers).get(PREFIX + "attempts", b"")
        attempts = original.attempts or (int(before) if before.isdigit() else 0)
        context = {
            "error": str(error),
            "stage": error.stage,
            "exchange": exchange,
            "configuration": self._configuration,
            "time": time_text(time.time_ns()),
            "source": str(original.source or 0),
            "position": record.position or "",
            "encoding": "" if encoding == RECEIVED else encoding,
            "dtype": self._dtype,
            "shape": self._shape,
            "attempts": str(attempts + 1),
        }
        unknown = () if record.timestamp_ns is not None else (_TIME,)
        carried = tuple(
            header
            for header in headers_of(record, self._configuration)
            if not header[0].startswith((PREFIX, *unknown))
        )
        added = tuple((PREFIX + name, text.encode()) for name, text in context.items() if text)
        return (encoding, octets), attrs.evolve(
            record, headers=carried + added, original=None, parts=()
        )

    def _octets(self, content: Any) -> tuple[str, bytes]:
        """The label and the octets that stand for what a source received."""
        if content is None:
            return NULL, b""
        if isinstance(content, bytes):
            return RECEIVED, content
        if isinstance(content, tuple):
            return content
        for name, encode in self._encoders:
            try:
                return name, encode(content)
            except RecordError:
                continue
        return REPR, repr(content).encode()


def _encoders(spec: DataSpec, registry: Registry) -> Iterator[tuple[str, Encoder]]:
    """The codecs that can carry values of `spec`."""
    for name in () if spec.is_bytes else ENCODINGS:
        try:
            yield name, resolve_codec(name, spec, registry).encoder(spec)
        except ConfigError:
            continue
