"""Each record becomes the value of one attribute of the connector's device."""

from __future__ import annotations

from typing import Protocol

from queueconnector_core.component import BuildContext
from queueconnector_core.record import Record
from queueconnector_core.simple import RecordSink
from queueconnector_tango.host import AttributeHost, attribute_host

__all__ = ("TangoLocalAttributeSink", "timestamp_s")


class _Options(Protocol):
    @property
    def attribute_name(self) -> str: ...


def timestamp_s(record: Record) -> float | None:
    """The time stamp of a record in seconds since the Unix epoch; None: it has none.

    It lies within the microsecond that is meant, not on its edge: Tango cuts, and a float of these
    days is exact to 0.2 microseconds only, so that half of all times would be 1 microsecond early.
    """
    nanoseconds = record.metadata.timestamp_ns
    if nanoseconds is None:
        return None
    return ((nanoseconds + 500) // 1_000 * 1_000 + 400) / 1e9


class TangoLocalAttributeSink(RecordSink):
    """Writes value, time stamp and quality of each record to one attribute."""

    def __init__(self, descriptor: _Options, context: BuildContext) -> None:
        self._name = descriptor.attribute_name
        self._host: AttributeHost = attribute_host(context.services)

    async def write_record(self, record: Record) -> None:
        """Store and push; raises `RecordError` for a value that the attribute cannot hold."""
        self._host.write(self._name, record.value, timestamp_s(record), record.metadata.quality)
