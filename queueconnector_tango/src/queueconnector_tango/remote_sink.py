"""Each record is written to an attribute of another Tango device."""

from __future__ import annotations

import asyncio
import logging

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import FatalError, RecordError, RecordErrors, RetryableError
from queueconnector_core.record import Batch, Value
from queueconnector_tango._proxy import RemoteAttribute, in_tango_thread
from queueconnector_tango.descriptors import TangoRemoteAttributeSinkDescriptor
from queueconnector_tango.dtypes import Encode, encoder, misfit_of

__all__ = ("TangoRemoteAttributeSink",)

logger = logging.getLogger(__name__)


@attrs.define
class _Delivery:
    """A batch on its way: how many of its values are settled, and which of them were refused."""

    batch: Batch
    settled: int = 0
    failures: dict[int, RecordError] = attrs.field(factory=dict)


class TangoRemoteAttributeSink:
    """Writes value after value; each is confirmed by the device before the next one is sent.

    Where the device does not confirm, the exchange waits and goes on with that very value, so
    nothing is lost and the order is kept; after a time-out a value may arrive twice. Time stamp and
    quality are not written: Tango has no place for them.
    """

    def __init__(
        self, descriptor: TangoRemoteAttributeSinkDescriptor, context: BuildContext
    ) -> None:
        self._descriptor = descriptor
        self._spec = context.spec
        self._encode: Encode = encoder(context.spec, descriptor.string_encoding)
        self._attribute: RemoteAttribute | None = None
        self._delivery: _Delivery | None = None
        self._writing: asyncio.Future[None] | None = None
        self._is_open = False

    @property
    def _name(self) -> str:
        return f"{self._descriptor.device_name}/{self._descriptor.attribute_name}"

    async def start(self) -> None:
        """Find the attribute.

        Raises `RetryableError` while the device is away or has no such attribute, `FatalError`
        when the attribute is read-only or cannot hold values of the exchange.
        """
        self._attribute = await in_tango_thread(self._find)
        self._is_open = True

    async def write(self, batch: Batch) -> None:
        """Write all values; return when the device has confirmed the last one.

        Raises `RecordErrors` for values that the device refused, or that do not fit the attribute;
        `RetryableError` when the device did not confirm or takes no value now: the same batch
        written again goes on where it stopped; `FatalError` as `start`. After `stop` it warns and
        writes nothing.
        """
        if not self._is_open:
            logger.warning("%s: not open, %d records not written", self._name, len(batch))
            return
        if self._delivery is None or self._delivery.batch is not batch:
            self._delivery = _Delivery(batch)
        delivery = self._delivery
        self._writing = asyncio.ensure_future(in_tango_thread(self._deliver, delivery))
        # The thread cannot be cancelled; `stop` ends it after the value that it is writing.
        await asyncio.shield(self._writing)
        self._delivery = None
        if delivery.failures:
            raise RecordErrors(delivery.failures)

    async def stop(self) -> None:
        """Let the value that is being written end. Idempotent, safe before `start`.

        With a device that hangs this takes as long as Tango's own time-outs, up to 9 s.
        """
        self._is_open = False
        if self._writing is not None:
            await asyncio.wait((self._writing,))
        self._writing = self._delivery = self._attribute = None

    def _find(self) -> RemoteAttribute:
        attribute = RemoteAttribute(self._descriptor.device_name, self._descriptor.attribute_name)
        _check_fit(attribute, self._spec)
        return attribute

    def _deliver(self, delivery: _Delivery) -> None:
        """Write what is left, in a thread of Tango."""
        attribute = self._attribute or self._find()
        # Unless all goes well: after an outage the device may have another attribute of that name.
        self._attribute = None
        values = delivery.batch.values
        while delivery.settled < len(values):
            if not self._is_open:
                raise RetryableError(f"{self._name}: stopped while writing")
            try:
                attribute.write(self._encoded(values[delivery.settled]))
            except RecordError as error:
                delivery.failures[delivery.settled] = error
            delivery.settled += 1
        self._attribute = attribute

    def _encoded(self, value: Value) -> object:
        if value is None:
            raise RecordError(f"{self._name}: a value of quality INVALID cannot be written")
        return self._encode(value)


def _check_fit(attribute: RemoteAttribute, spec: DataSpec) -> None:
    """Raise `FatalError` unless every value of `spec` can be written to the attribute."""
    if not attribute.is_writable:
        raise FatalError(f"{attribute.name} is read-only; name an attribute that can be written")
    if misfit := misfit_of(attribute.tango_type, attribute.shape, spec):
        raise FatalError(f"{attribute.name} {misfit}")
