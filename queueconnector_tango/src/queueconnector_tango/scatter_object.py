"""Values picked out of each record by JMESPath, one attribute for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs

from queueconnector_core.component import BuildContext
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.expression import Search, compile_expression, holds, plain
from queueconnector_core.record import Quality, Record, Value
from queueconnector_core.simple import RecordSink
from queueconnector_tango.claims import attribute_claim, collect
from queueconnector_tango.dtypes import StringEncoding
from queueconnector_tango.host import AttributeClaim, AttributeHost, attribute_host
from queueconnector_tango.local_sink import seconds_of

__all__ = ("TangoObjectScatterAttributeSink", "claims")


class _Attribute(Protocol):
    """The options of one attribute, without importing the descriptor."""

    @property
    def attribute_name(self) -> str: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def shape(self) -> list[int]: ...
    @property
    def path(self) -> str: ...
    @property
    def filter(self) -> str | None: ...
    @property
    def default_value(self) -> Any: ...
    @property
    def string_encoding(self) -> StringEncoding: ...


class _Options(Protocol):
    @property
    def attributes(self) -> Sequence[_Attribute]: ...


def claims(options: _Options, spec: DataSpec) -> list[AttributeClaim]:
    """The attributes that records of `spec` are scattered over.

    Raises `ConfigError` with every problem of every attribute.
    """
    if spec.is_bytes:
        raise ConfigError.at("", f"found {spec}; there are no fields in a pair of label and octets")
    with collect() as problems:
        claimed = [
            problems.at(f"attributes[{index}]", _claim, attribute)
            for index, attribute in enumerate(options.attributes)
        ]
    return [
        attrs.evolve(claim, path=f"attributes[{index}].{claim.path}")
        for index, claim in enumerate(claimed)
        if claim is not None
    ]


def _claim(attribute: _Attribute) -> AttributeClaim:
    with collect() as problems:
        problems.at("path", compile_expression, attribute.path)
        if attribute.filter is not None:
            problems.at("filter", compile_expression, attribute.filter)
        problems.at("", _attribute_claim, attribute)
    return _attribute_claim(attribute)


def _attribute_claim(attribute: _Attribute) -> AttributeClaim:
    return attribute_claim(
        attribute.attribute_name,
        DataSpec.of(attribute.dtype, attribute.shape),
        attribute.default_value,
        attribute.string_encoding,
        path="attribute_name",
    )


@attrs.frozen
class _Target:
    name: str
    search: Search
    condition: Search | None
    convert: Callable[[Any], Value]

    @classmethod
    def of(cls, attribute: _Attribute) -> _Target:
        spec = DataSpec.of(attribute.dtype, attribute.shape)
        # The shape is the largest: the attribute itself refuses what is larger.
        any_size = attrs.evolve(spec, shape=(-1,) * len(spec.shape))
        return cls(
            attribute.attribute_name,
            compile_expression(attribute.path),
            None if attribute.filter is None else compile_expression(attribute.filter),
            converter(any_size),
        )

    def pick(self, document: Any) -> Value:
        """The value for the attribute; None: no update. Raises `RecordError`."""
        try:
            if self.condition is not None and not holds(self.condition(document)):
                return None
            found = self.search(document)
            return None if found is None else self.convert(found)
        except RecordError as error:
            raise RecordError(f"{self.name}: {error}") from None


class TangoObjectScatterAttributeSink(RecordSink):
    """Writes to each attribute what its path finds, unless its filter refuses the record."""

    def __init__(self, descriptor: _Options, context: BuildContext) -> None:
        self._targets = [_Target.of(attribute) for attribute in descriptor.attributes]
        self._host: AttributeHost = attribute_host(context.services)

    async def write_record(self, record: Record) -> None:
        """Update every attribute that can be; raises one `RecordError` for all that cannot."""
        at, quality = seconds_of(record.metadata.timestamp_ns), record.metadata.quality
        if quality is Quality.INVALID and record.value is None:
            for target in self._targets:
                self._host.write(target.name, None, at, quality)
            return
        # Searching one record can take milliseconds: let other exchanges have their turn.
        await asyncio.sleep(0)
        document = plain(record.value)
        failures: list[str] = []
        for target in self._targets:
            try:
                value = target.pick(document)
                if value is not None:
                    self._host.write(target.name, value, at, quality)
            except RecordError as error:
                failures.append(str(error))
        if failures:
            raise RecordError("; ".join(failures))
