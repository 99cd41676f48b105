"""The spans of batches: what they hold, when they end, and how they go from record to record."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from queueconnector_core.errors import RecordError, RecordErrors
from queueconnector_core.exchange import Exchange
from queueconnector_core.protocols import Pipe
from queueconnector_core.record import Batch, Metadata
from queueconnector_core.spans import BatchSpans
from queueconnector_core.testing.doubles import PAUSE, RecordingSink, ScriptedSource, until
from queueconnector_core.tracing import wanted_exporter
from tests.core.doubles import Halving, Mapping, Window

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203332-01"


class Kept:
    """The spans that have ended, and an exchange that makes them."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._tracer = provider.get_tracer("test")

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def exchange(self, source: ScriptedSource, pipes: list[Pipe], sink: RecordingSink) -> Exchange:
        exchange = Exchange("a[0]", [source], pipes, [sink])
        exchange.trace_with(BatchSpans(self._tracer, "a[0]", exchange.taps.stages))
        return exchange

    async def streamed(
        self, *script: Batch | list[int], pipes: list[Pipe], sink: RecordingSink | None = None
    ) -> Exchange:
        """An exchange that has run to its end."""
        exchange = self.exchange(ScriptedSource(*script), pipes, sink or RecordingSink())
        await exchange.start()
        await exchange.run()
        await exchange.stop()
        return exchange


def traced(*parents: str | None) -> Batch:
    """Records with these contexts in their headers."""
    headers = [() if each is None else (("traceparent", each.encode()),) for each in parents]
    return Batch(list(range(len(parents))), [Metadata(headers=each) for each in headers])


def events(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


async def test_a_batch_has_one_span_that_tells_when_it_passed_each_stage() -> None:
    kept = Kept()
    await kept.streamed([1, 2], [3], pipes=[Mapping(lambda value: value)])
    first, second = kept.spans
    assert first.name == second.name == "exchange a[0]"
    assert first.attributes is not None
    assert first.attributes["queueconnector.exchange"] == "a[0]"
    assert first.attributes["messaging.batch.message_count"] == 2
    assert events(first) == ["pipe", "sink"]
    assert first.parent is None
    assert first.context.trace_id != second.context.trace_id


@pytest.mark.parametrize(
    ("pipe", "count"),
    [(Halving(), ["pipe", "pipe", "sink", "sink"]), (Window(2), ["pipe", "sink"])],
)
async def test_a_span_ends_when_all_that_came_of_its_batch_was_delivered(
    pipe: Pipe, count: list[str]
) -> None:
    kept = Kept()
    exchange = await kept.streamed([1, 2], [3, 4], pipes=[pipe])
    assert [sorted(events(span)) for span in kept.spans] == [count, count]
    assert exchange.statistics.delivered == 4


async def test_records_of_one_trace_go_on_in_it_and_those_of_several_are_linked() -> None:
    kept = Kept()
    await kept.streamed(traced(PARENT, None, PARENT), traced(PARENT, OTHER), pipes=[])
    child, linked = kept.spans
    assert format_trace_id(child.context.trace_id) == TRACE
    assert child.parent is not None
    assert format_span_id(child.parent.span_id) == "b7ad6b7169203331"
    assert linked.parent is None
    found = [format_trace_id(link.context.trace_id) for link in linked.links]
    assert found == [TRACE, OTHER[3:35]]


@given(st.binary(max_size=80))
def test_a_header_that_is_no_context_starts_a_trace(octets: bytes) -> None:
    batch = Batch([1], [Metadata(headers=(("traceparent", octets),))])
    kept = Kept()
    asyncio.run(kept.streamed(batch, pipes=[]))
    assert len(kept.spans) == 1


async def test_a_sink_finds_the_context_of_the_span_in_place_of_the_former_one() -> None:
    kept = Kept()
    other = Metadata(headers=(("traceparent", PARENT.encode()), ("unit", b"m")), key=b"k")
    sink = RecordingSink()
    await kept.streamed(Batch([1], [other]), pipes=[], sink=sink)
    (span,) = kept.spans
    (metadata,) = [each for batch in sink.batches for each in batch.metadata or ()]
    told = f"00-{TRACE}-{format_span_id(span.context.span_id)}-01"
    assert dict(metadata.headers) == {"unit": b"m", "traceparent": told.encode()}
    assert metadata.key == b"k"


async def test_what_is_refused_or_given_up_is_an_error_of_its_span() -> None:
    kept = Kept()
    refusing = RecordingSink(RecordErrors({0: RecordError("too large")}))
    await kept.streamed([1, 2], pipes=[], sink=refusing)
    (refused,) = kept.spans
    assert refused.status.status_code is StatusCode.ERROR
    assert refused.status.description == "too large"
    assert "failed" in events(refused)

    kept = Kept()
    exchange = kept.exchange(ScriptedSource([1], PAUSE), [Window(2)], RecordingSink())
    await exchange.start()
    running = asyncio.create_task(exchange.run())
    await until(lambda: exchange.statistics.received == 1)
    running.cancel()
    await asyncio.wait((running,))
    await exchange.stop()
    (given_up,) = kept.spans
    assert given_up.status.status_code is StatusCode.ERROR


async def test_a_source_without_replay_stays_one_without_replay() -> None:
    """The span travels as an acknowledgement, and is none to the balance."""
    kept = Kept()
    source = ScriptedSource([1], PAUSE, replays=False)
    exchange = kept.exchange(source, [Window(2)], RecordingSink())
    await exchange.start()
    running = asyncio.create_task(exchange.run())
    await until(lambda: exchange.statistics.received == 1)
    running.cancel()
    await asyncio.wait((running,))
    await exchange.stop()
    assert (exchange.statistics.received, exchange.statistics.dropped) == (1, 1)


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "x"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "console"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:4318/v1/traces"}, "otlp"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, None),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None),
    ],
)
def test_the_variables_of_opentelemetry_say_whether_there_are_traces(
    variables: dict[str, str], wanted: str | None
) -> None:
    assert wanted_exporter(variables) == wanted
