"""Which combinations there are: every source alone, every sink alone, and all with all."""

from __future__ import annotations

from collections.abc import Container

from .ends import (
    ENCODINGS,
    LABEL,
    KafkaSink,
    KafkaSource,
    MemorySink,
    MemorySource,
    PointingSource,
    SinkEnd,
    SourceEnd,
    SubscriptionSource,
)
from .runner import Case
from .table import rows
from .tango_sinks import ArrayScatterSink, LocalSink, ObjectScatterSink, RemoteSink

__all__ = ("SINKS", "SOURCES", "halves", "product")

_CODES = (*ENCODINGS, LABEL, "")

SOURCES: tuple[SourceEnd, ...] = (
    MemorySource(),
    *(KafkaSource(encoding) for encoding in _CODES),
    SubscriptionSource(),
    PointingSource(),
)
SINKS: tuple[SinkEnd, ...] = (
    MemorySink(),
    *(KafkaSink(encoding) for encoding in _CODES),
    LocalSink(),
    ArrayScatterSink(),
    ObjectScatterSink(),
    RemoteSink(),
)


def halves() -> list[Case]:
    """Every source into the in-memory sink, the in-memory source into every sink."""
    every = rows()
    into = [Case(row, source, (SINKS[0],)) for source in SOURCES for row in every]
    return into + [Case(row, SOURCES[0], (sink,)) for sink in SINKS[1:] for row in every]


def product(refused: Container[Case]) -> list[Case]:
    """Every source into all sinks, as far as each half is accepted.

    Octets go to sinks without a label or with the same one: another one is refused record by
    record, as the label is part of the value.
    """
    found: list[Case] = []
    for row in rows():
        takers = [sink for sink in SINKS if Case(row, SOURCES[0], (sink,)) not in refused]
        for source in SOURCES:
            if Case(row, source, (SINKS[0],)) in refused:
                continue
            fit = [sink for sink in takers if row.name != "bytes" or _fits(source, sink)]
            for local in (False, True):
                sinks = tuple(sink for sink in fit if sink.local is local)
                found += [Case(row, source, sinks)] if sinks else []
    return found


def _fits(source: SourceEnd, sink: SinkEnd) -> bool:
    return not sink.encoding or source.encoding == sink.encoding or source is SOURCES[0]
