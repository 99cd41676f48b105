"""OpenTelemetry traces: one span for each batch, from its source to its sinks.

They need the extra `otel`, and are made only where the variables of OpenTelemetry ask for them:
`OTEL_TRACES_EXPORTER` (`otlp`, or `console` for a trial), or an endpoint of OTLP. Nothing of
OpenTelemetry is imported otherwise.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from queueconnector_core.spans import BatchSpans

__all__ = ("batch_spans", "flush_spans", "wanted_exporter")

logger = logging.getLogger(__name__)

SERVICE: Final = "queueconnector"
FLUSH_MS: Final = 2_000
"""At its end a host waits so long for a collector."""

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_ASKING: Final = ("OTEL_TRACES_EXPORTER", *_ENDPOINTS)
"""Without any of these nobody wants traces."""
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def wanted_exporter(variables: Mapping[str, str]) -> str | None:
    """`otlp` or `console`, as the environment says; None: no traces, or none that we can make."""
    if variables.get("OTEL_SDK_DISABLED", "").strip().casefold() == "true":
        return None
    has_endpoint = any(variables.get(name) for name in _ENDPOINTS)
    exporter = variables.get("OTEL_TRACES_EXPORTER") or ("otlp" if has_endpoint else "none")
    if exporter == "none":
        return None
    if exporter not in {"otlp", "console"}:
        logger.warning(
            "no traces: OTEL_TRACES_EXPORTER is %s; allowed: otlp, console, none", exporter
        )
        return None
    protocol = next((variables[name] for name in _PROTOCOLS if variables.get(name)), None)
    if exporter == "otlp" and protocol not in {None, "http/protobuf"}:
        logger.warning("no traces: their protocol is %s; allowed: http/protobuf", protocol)
        return None
    return exporter


async def batch_spans(exchange: str, stages: Sequence[str]) -> BatchSpans | None:
    """What makes the spans of an exchange with these stages; None where nobody wants any."""
    if not any(name in os.environ for name in _ASKING):
        return None
    # It reads files, and takes its time.
    provider = await asyncio.to_thread(_provider)
    if provider is None:
        return None
    from queueconnector_core.spans import BatchSpans

    return BatchSpans(provider.get_tracer("queueconnector_core"), exchange, stages)


async def flush_spans() -> None:
    """Send the spans that have ended, within `FLUSH_MS`."""
    if _provider.cache_info().currsize and (provider := _provider()) is not None:
        await asyncio.to_thread(provider.force_flush, FLUSH_MS)


@functools.cache
def _provider() -> TracerProvider | None:
    exporter = wanted_exporter(os.environ)
    if exporter is None:
        return None
    try:
        provider = _made(exporter)
    except ModuleNotFoundError as error:
        logger.warning("no traces (%s); they need: pip install 'queueconnector-core[otel]'", error)
        return None
    logger.info("traces are sent by %s", exporter)
    return provider


def _made(exporter: str) -> TracerProvider:
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    if isinstance(known := trace.get_tracer_provider(), TracerProvider):
        # That of the program which we are a part of.
        return known
    is_named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if is_named else {"service.name": SERVICE})
    # `flush_spans` is the end: at exit a collector that is away would be awaited for long.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    if exporter == "console":
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
