"""A right codec of integers, and the same with one defect each."""

from __future__ import annotations

from typing import Any

from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.protocols import Decoder, Encoder


class Digits:
    """Writes whole numbers as decimal digits."""

    def check(self, spec: DataSpec) -> None:
        if spec.dtype.kind not in "iu" or spec.shape:
            raise ConfigError.at("", f"digits are single integers, not {spec}")

    def encoder(self, spec: DataSpec) -> Encoder:
        return lambda value: str(value).encode()

    def decoder(self, spec: DataSpec) -> Decoder:
        convert = converter(spec)

        def decode(octets: bytes) -> Any:
            try:
                return convert(int(octets))
            except ValueError:
                raise RecordError("no digits") from None

        return decode


class RaisesWhatItLikes(Digits):
    """raises other errors than RecordError for octets that are no value"""

    caught_by = "test_hostile_octets_are_refused"

    def decoder(self, spec: DataSpec) -> Decoder:
        convert = converter(spec)
        return lambda octets: convert(int(octets))


class LosesTheSign(Digits):
    """decodes another value than was encoded"""

    caught_by = "test_values_come_back"

    def encoder(self, spec: DataSpec) -> Encoder:
        return lambda value: str(abs(value)).encode()


class AcceptsWhatItCannotCarry(Digits):
    """lets check accept what it cannot encode"""

    caught_by = "test_check_says_what_it_carries"

    def check(self, spec: DataSpec) -> None:
        if spec.shape:
            raise ConfigError.at("", f"digits are single integers, not {spec}")

    def encoder(self, spec: DataSpec) -> Encoder:
        return lambda value: b"%d" % value


CODECS: tuple[type[Digits], ...] = (RaisesWhatItLikes, LosesTheSign, AcceptsWhatItCannotCarry)
