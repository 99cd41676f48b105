"""The exchanges of a host as Prometheus sees them; it needs the extra `web`.

| Metric | Is |
| --- | --- |
| `queueconnector_records_received_total` | records that the sources gave |
| `queueconnector_records_delivered_total` | records that every sink accepted |
| `queueconnector_records_filtered_total` | of these: records that a pipe left out, as it was told |
| `queueconnector_records_dropped_total` | records that were not delivered, and are not kept |
| `queueconnector_records_dead_lettered_total` | records that were not delivered, and are kept |
| `queueconnector_records_in_flight` | records on their way |
| `queueconnector_lag_records` | records that wait at the far ends of sources, where they know |
| `queueconnector_flight_seconds_total` | time that records spent on their way, summed over them |
| `queueconnector_gaps_total` | windows of time in which records were lost, or may have been |
| `queueconnector_gap_records_total` | records lost in them, as far as that is known |
| `queueconnector_gaps_uncounted_total` | closed gaps that nobody could count |
| `queueconnector_healthy` | 1: the exchange is well; 0: see its status |
| `queueconnector_paused` | 1: an operator has paused the exchange |
| `queueconnector_waiting_seconds` | for how long a far end has been away |

All have the labels `group` and `exchange`. The mean latency of a record over a time is the increase
of `flight_seconds_total` divided by that of `delivered_total`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from queueconnector_core.report import Report

__all__ = ("metrics_text", "metrics_of", "CONTENT_TYPE")

_COUNTERS: Final[Sequence[tuple[str, str, str]]] = (
    ("records_received", "received", "Records that the sources gave."),
    ("records_delivered", "delivered", "Records that every sink accepted."),
    ("records_filtered", "filtered", "Records delivered of which pipes left nothing for a sink."),
    ("records_dropped", "dropped", "Records neither delivered nor kept."),
    ("records_dead_lettered", "dead_lettered", "Records kept as dead letters."),
    ("flight_seconds", "flight_s", "Time that records spent on their way, summed over them."),
    ("gaps", "gaps", "Windows of time in which records were lost, or may have been."),
    ("gap_records", "records_lost", "Records lost in gaps, as far as that is known."),
    ("gaps_uncounted", "gaps_uncounted", "Closed gaps that nobody could count."),
)
"""Name of the metric, member of the report, help."""

_GAUGES: Final[Sequence[tuple[str, Callable[[Report], Any], str]]] = (
    ("records_in_flight", lambda r: r["in_flight"], "Records received and not yet settled."),
    ("lag_records", lambda r: r["lag"], "Records that wait at the far ends of the sources."),
    ("healthy", lambda r: r["unhealthy"] is None, "1 while the exchange is well, else 0."),
    ("paused", lambda r: r["paused"], "1 while an operator has paused the exchange, else 0."),
    ("waiting_seconds", lambda r: r["waiting_s"], "Time for which a far end has been away."),
)

_LABELS: Final = ("group", "exchange")


def metrics_of(report: Report) -> Iterable[Metric]:
    """All metrics of all exchanges, from what `Connector.statistics` tells."""
    for name, member, text in _COUNTERS:
        counter = CounterMetricFamily(f"queueconnector_{name}", text, labels=_LABELS)
        for exchange, told in report.items():
            counter.add_metric((told["group"], exchange), told[member])
        yield counter
    for name, value, text in _GAUGES:
        gauge = GaugeMetricFamily(f"queueconnector_{name}", text, labels=_LABELS)
        for exchange, told in report.items():
            if (measured := value(told)) is not None:
                gauge.add_metric((told["group"], exchange), measured)
        yield gauge


class _Reported(Collector):
    """Gives the metrics of one report."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def collect(self) -> Iterable[Metric]:
        return metrics_of(self._report)


def metrics_text(report: Report) -> bytes:
    """The text format of Prometheus; may be called in any thread."""
    registry = CollectorRegistry()
    registry.register(_Reported(report))
    return generate_latest(registry)
