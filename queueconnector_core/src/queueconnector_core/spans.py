"""The spans of batches, and their contexts in the headers of records; imports OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

import attrs
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
)
from opentelemetry.trace import get_current_span as span_of
from opentelemetry.trace import set_span_in_context as context_of
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from queueconnector_core.provenance import Header
from queueconnector_core.record import (
    NO_METADATA,
    Acknowledgement,
    Batch,
    LazyMetadata,
    Metadata,
)

__all__ = ("BatchSpan", "BatchSpans")

SEARCHED: Final = 128
"""The contexts of so many records of a batch become links: OpenTelemetry keeps no more."""

_W3C: Final = TraceContextTextMapPropagator()
_FIELDS: Final = frozenset(_W3C.fields)
"""The names of the headers, those of W3C: `traceparent`, `tracestate`."""


class BatchSpan(Acknowledgement):
    """Travels with a batch as acknowledgements do, through whatever pipes make of it.

    So its span ends when all that came of the batch was delivered.
    """

    __slots__ = ("span",)
    replays = False

    def __init__(self, span: Span, ended: Callable[[BatchSpan], None]) -> None:
        super().__init__(partial(ended, self))
        self.span = span


class BatchSpans:
    """Begins, marks and ends the spans of one exchange."""

    def __init__(self, tracer: Tracer, exchange: str, stages: Sequence[str]) -> None:
        self.stages = [stage for stage in stages if not stage.startswith("source")]
        """Where to call `passed`."""
        self._tracer = tracer
        self._exchange = exchange
        self._open: dict[BatchSpan, None] = {}

    def received(self, batch: Batch, stage: str) -> Batch:
        """The batch with a span that begins now.

        Where its records come from one span, it is a child of that; where they come from several,
        it is linked to them.
        """
        origins = _origins(batch)
        is_child = len(origins) == 1
        span = self._tracer.start_span(
            f"exchange {self._exchange}",
            context=_context(origins[0]) if is_child else Context(),
            kind=SpanKind.CONSUMER,
            links=[] if is_child else [Link(origin) for origin in origins],
            attributes={
                "queueconnector.exchange": self._exchange,
                "queueconnector.stage": stage,
                "messaging.batch.message_count": batch.source_records,
            },
        )
        carried = BatchSpan(span, self._ended)
        self._open[carried] = None
        return attrs.evolve(batch, acknowledgements=(*batch.acknowledgements, carried))

    def passed(self, stage: str, batch: Batch) -> None:
        """Mark when a batch has passed a stage."""
        for carried in _spans(batch):
            carried.span.add_event(stage, {"records": len(batch)})

    def sending(self, batch: Batch) -> Batch:
        """The batch with the context of its span in the headers of its records, for sinks."""
        carried = _spans(batch)
        if not carried:
            return batch
        fields: dict[str, str] = {}
        _W3C.inject(fields, context_of(carried[-1].span, Context()))
        headers = tuple((name, text.encode()) for name, text in fields.items())
        known = [NO_METADATA] * len(batch) if batch.metadata is None else batch.metadata
        return attrs.evolve(batch, metadata=LazyMetadata(known, partial(_with, headers)))

    def failed(self, batch: Batch) -> None:
        """Mark that records of a batch were not delivered."""
        records = sum(failure.records for failure in batch.failures)
        for carried in _spans(batch):
            carried.span.add_event("failed", {"records": records})
            carried.span.set_status(StatusCode.ERROR, str(batch.failures[0]))

    def abandon(self, reason: str) -> None:
        """End the spans of what was given up."""
        for carried in list(self._open):
            carried.span.set_status(StatusCode.ERROR, reason)
            self._ended(carried)

    def _ended(self, carried: BatchSpan) -> None:
        self._open.pop(carried, None)
        carried.span.end()


def _spans(batch: Batch) -> list[BatchSpan]:
    return [each for each in batch.acknowledgements if isinstance(each, BatchSpan)]


def _context(origin: SpanContext) -> Context:
    return context_of(NonRecordingSpan(origin), Context())


def _origins(batch: Batch) -> list[SpanContext]:
    """The different contexts in the headers of the first records; what is none is passed by."""
    first = islice(batch.metadata or (), SEARCHED)
    told = dict.fromkeys(tuple(_traced(metadata)) for metadata in first)
    contexts = (
        span_of(_W3C.extract(dict(fields), Context())).get_span_context()
        for fields in told
        if fields
    )
    return [context for context in contexts if context.is_valid]


def _traced(metadata: Metadata) -> list[tuple[str, str]]:
    return [
        (name, octets.decode("ascii", "replace"))
        for name, octets in metadata.headers
        if name in _FIELDS and octets is not None
    ]


def _with(headers: tuple[Header, ...], metadata: Metadata) -> Metadata:
    kept = (header for header in metadata.headers if header[0] not in _FIELDS)
    return attrs.evolve(metadata, headers=(*kept, *headers))
