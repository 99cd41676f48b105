"""What PyTango gives, as values of an exchange, with what is known of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import attrs
import numpy as np

from queueconnector_core.conversion import converter, zero
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import RecordError
from queueconnector_core.record import Metadata, Original, Quality, Stamp, TimestampOrigin, Value
from queueconnector_tango._events import Form, Reading
from queueconnector_tango.dtypes import StringEncoding, decode_text

__all__ = ("value_reader", "Scribe", "Provenance")


def value_reader(spec: DataSpec, string_encoding: StringEncoding) -> Callable[[Any], Value]:
    """A function that converts what PyTango gives into values of `spec`; raises `RecordError`."""
    convert = converter(spec)
    if spec.is_text:
        return lambda value: convert(decode_text(value, string_encoding))
    if spec.is_dynamic and len(spec.shape) == 2:
        # Of an image without rows Tango forgets how wide they were.
        nothing = zero(spec)
        return lambda value: nothing if np.shape(value) == (0, 0) else convert(value)
    return convert


class Provenance(NamedTuple):
    """What is known of one record, before anybody asks for it as `Metadata`."""

    scribe: Scribe
    number: int
    reading: Reading
    kind: str

    def metadata(self) -> Metadata:
        """The same, as the runner and the sinks know it."""
        return Metadata(
            self.reading.timestamp_ns,
            TimestampOrigin.SOURCE,
            quality=self.reading.quality,
            position=self.scribe.position(self.number),
            source=self.scribe.name,
            event=self.kind,
            sequence=self.number,
        )

    def stamp(self) -> Stamp:
        """Time and quality alone."""
        return self.reading.timestamp_ns, self.reading.quality


class Scribe:
    """Numbers the records of one attribute, converts their values and says where they are from.

    `began_ns`, the time of the start in nanoseconds since the Unix epoch, keeps the positions of
    one start apart from those of another.
    """

    def __init__(self, name: str, read_value: Callable[[Any], Value]) -> None:
        self.name = name
        self._read_value = read_value
        self._form: Form | None = None
        self._position = ""
        self._number = 0

    def begin(self, began_ns: int) -> None:
        """Count from 1 again."""
        self._position = f"{self.name}@{began_ns}#"
        self._number = 0

    def write(self, reading: Reading, form: Form, kind: str) -> tuple[Value, Provenance]:
        """A record; raises `RecordError`, with what was received, for a value that is none."""
        self._number += 1
        known = Provenance(self, self._number, reading, kind)
        if reading.quality is Quality.INVALID:
            return None, known
        try:
            if form is not self._form:
                self._check(form)
            return self._read_value(reading.value), known
        except RecordError as error:
            origin = attrs.evolve(known.metadata(), original=Original(_plain(reading.value)))
            raise RecordError(f"{self.name}: {error}", origins=(origin,)) from None

    def position(self, number: int) -> str:
        """Where a record of this start was found, for people, and as its identity."""
        return f"{self._position}{number}"

    def _check(self, form: Form) -> None:
        """An attribute that has become another one is not converted by accident."""
        if self._form is None:
            self._form = form
        elif not form.is_like(self._form):
            raise RecordError(
                f"the attribute was {self._form} and is {form} now; configure the exchange for "
                "what it is, or give the device back what it was"
            )


def _plain(value: Any) -> Value:
    return list(value) if isinstance(value, tuple) and not _is_pair(value) else value


def _is_pair(value: tuple[Any, ...]) -> bool:
    return len(value) == 2 and isinstance(value[1], bytes)
