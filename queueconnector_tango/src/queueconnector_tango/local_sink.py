"""Each record becomes the value of one attribute of the connector's device."""

from __future__ import annotations

from typing import Protocol

from queueconnector_core.component import BuildContext
from queueconnector_core.errors import RecordError, RecordErrors
from queueconnector_core.record import Batch
from queueconnector_tango.host import AttributeHost, attribute_host

__all__ = ("TangoLocalAttributeSink", "seconds_of")


class _Options(Protocol):
    @property
    def attribute_name(self) -> str: ...


def seconds_of(timestamp_ns: int | None) -> float | None:
    """A time stamp in seconds since the Unix epoch; None: the record has none.

    It lies within the microsecond that is meant, not on its edge: Tango cuts, and a float of these
    days is exact to 0.2 microseconds only, so that half of all times would be 1 microsecond early.
    """
    if timestamp_ns is None:
        return None
    return ((timestamp_ns + 500) // 1_000 * 1_000 + 400) / 1e9


class TangoLocalAttributeSink:
    """Writes value, time stamp and quality of each record to one attribute."""

    def __init__(self, descriptor: _Options, context: BuildContext) -> None:
        self._name = descriptor.attribute_name
        self._host: AttributeHost = attribute_host(context.services)

    async def start(self) -> None:
        """Nothing to connect: the attribute is there from when it is configured."""

    async def write(self, batch: Batch) -> None:
        """Store and push each; raises `RecordErrors` for values that the attribute cannot hold."""
        failures: dict[int, RecordError] = {}
        name, write = self._name, self._host.write
        stamped = zip(batch.values, batch.stamps(), strict=True)
        for index, (value, (timestamp_ns, quality)) in enumerate(stamped):
            try:
                write(name, value, seconds_of(timestamp_ns), quality)
            except RecordError as error:
                failures[index] = error
        if failures:
            raise RecordErrors(failures)

    async def stop(self) -> None:
        """Nothing to disconnect."""
