"""The exchanges of a host as Prometheus sees them; it needs the extra `metrics`.

| Metric | Is |
| --- | --- |
| `queueconnector_records_received_total` | records that the sources gave |
| `queueconnector_records_delivered_total` | records that every sink accepted |
| `queueconnector_records_filtered_total` | of these: records that a pipe left out, as it was told |
| `queueconnector_records_dropped_total` | records that were not delivered, and are not kept |
| `queueconnector_records_dead_lettered_total` | records that were not delivered, and are kept |
| `queueconnector_records_in_flight` | records on their way |
| `queueconnector_gaps_total` | windows of time in which records were lost, or may have been |
| `queueconnector_gap_records_total` | records lost in them, as far as that is known |
| `queueconnector_healthy` | 1: the exchange is well; 0: see its status |
| `queueconnector_waiting_seconds` | for how long a far end has been away |

All have the labels `group` and `exchange`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from queueconnector_core.errors import ConfigError
from queueconnector_core.report import Report

__all__ = ("Metrics",)

_COUNTERS: Final[Sequence[tuple[str, str, str]]] = (
    ("records_received", "received", "Records that the sources gave."),
    ("records_delivered", "delivered", "Records that every sink accepted."),
    ("records_filtered", "filtered", "Records delivered of which pipes left nothing for a sink."),
    ("records_dropped", "dropped", "Records neither delivered nor kept."),
    ("records_dead_lettered", "dead_lettered", "Records kept as dead letters."),
    ("gaps", "gaps", "Windows of time in which records were lost, or may have been."),
    ("gap_records", "records_lost", "Records lost in gaps, as far as that is known."),
)
"""Name of the metric, and of the member of the report."""

_LABELS: Final = ("group", "exchange")


class Metrics(Collector):
    """Serves the newest report; `update` is called in the event loop, all else in any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._report: Report = {}
        self._close: Callable[[], None] = lambda: None
        self.registry.register(self)

    def update(self, report: Report) -> None:
        """What is told from now on: that of `Connector.statistics`."""
        self._report = report

    def collect(self) -> Iterable[Metric]:
        """All metrics of all exchanges."""
        report = self._report
        for name, member, text in _COUNTERS:
            counter = CounterMetricFamily(f"queueconnector_{name}", text, labels=_LABELS)
            for exchange, told in report.items():
                counter.add_metric((told["group"], exchange), told[member])
            yield counter
        in_flight, healthy, waiting = gauges = [
            GaugeMetricFamily(f"queueconnector_{name}", text, labels=_LABELS)
            for name, text in (
                ("records_in_flight", "Records received and not yet settled."),
                ("healthy", "1 while the exchange is well, else 0."),
                ("waiting_seconds", "Time for which a far end has been away."),
            )
        ]
        for exchange, told in report.items():
            labels = (told["group"], exchange)
            in_flight.add_metric(labels, told["in_flight"])
            healthy.add_metric(labels, told["unhealthy"] is None)
            waiting.add_metric(labels, told["waiting_s"])
        yield from gauges

    def text(self) -> str:
        """The text format of Prometheus."""
        return generate_latest(self.registry).decode()

    def serve(self, host: str, port: int) -> int:
        """Answer HTTP at `/metrics` from a thread until `close`; returns the port, also for 0.

        Raises `ConfigError` when the address cannot be had.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except (OSError, OverflowError) as error:
            text = f"cannot serve metrics at {host}:{port}: {error}; choose another port"
            raise ConfigError.at("--metrics-port", text) from None

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._close = close
        return int(server.server_port)

    def close(self) -> None:
        """Answer no more; idempotent."""
        self._close()
        self._close = lambda: None
