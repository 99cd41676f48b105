"""Octets that somebody else encoded: dtype `bytes` under any label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.protocols import Decoder, Encoder
from queueconnector_core.record import Value

__all__ = ("RawCodec",)


@attrs.frozen
class RawCodec:
    """Dtype bytes under any label, or none: the octets are never changed.

    On the wire: the octets of the pair. Back comes `(label, octets)`, `label` being the encoding
    of the configuration ("" without one). A value that carries another label than the configured
    one is a `RecordError`; one without a label passes.
    """

    label: str = ""

    def check(self, spec: DataSpec) -> None:
        """Raise `ConfigError` unless the dtype is bytes."""
        if not spec.is_bytes:
            raise ConfigError.at("", f"a free label is allowed for dtype bytes only, not {spec}")

    def encoder(self, spec: DataSpec) -> Encoder:
        """The octets of a pair."""
        convert: Callable[[object], Any] = converter(spec)

        def encode(value: Any) -> bytes:
            label, octets = convert(value)
            if label and self.label and label != self.label:
                raise RecordError(f"found octets with encoding {label!r}; allowed: {self.label!r}")
            return octets  # type: ignore[no-any-return]

        return encode

    def decoder(self, spec: DataSpec) -> Decoder:
        """The octets with the label of the configuration."""

        def decode(data: bytes) -> Value:
            return self.label, data

        return decode
