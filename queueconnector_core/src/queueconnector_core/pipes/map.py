"""The pipe that makes a new value of each one with JMESPath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import attrs
from msgspec import Meta

from queueconnector_core.columns import ColumnPipe, Mapped
from queueconnector_core.component import BuildContext
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import DtypeLiteral, PipeDescriptor
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.expression import compile_expression, plain
from queueconnector_core.record import Value

__all__ = ("MapPipeDescriptor", "MapPipe")


@attrs.frozen
class MapPipeDescriptor(PipeDescriptor):
    """Searches each value with a JMESPath, and passes on what that finds.

    Rows of structured arrays are objects by field name, arrays are lists. What is found is
    converted to `dtype` and `shape` without losing anything; a record of which that cannot be made
    is refused.
    """

    expression: Annotated[
        str,
        Meta(
            description="The JMESPath, such as temperature, readings[0].value or "
            "{name: id, mean: avg(values)}.",
            min_length=1,
        ),
    ]
    dtype: Annotated[Any, DtypeLiteral(), Meta(description="The data type of what is found.")] = (
        "object"
    )
    shape: Annotated[
        list[int], Meta(description="The shape of what is found; one size may be negative: any.")
    ] = attrs.field(factory=list)

    def output(self, spec: DataSpec) -> DataSpec:
        """`dtype` and `shape`; raises `ConfigError` for a bad expression, and for octets."""
        if spec.is_bytes:
            raise ConfigError.at("", f"found {spec}; nothing can be found in octets")
        try:
            compile_expression(self.expression)
        except ConfigError as error:
            raise error.under("expression") from None
        return DataSpec.of(self.dtype, self.shape)


class MapPipe(ColumnPipe):
    """Searches and converts value by value: JMESPath knows no columns."""

    def __init__(self, descriptor: MapPipeDescriptor, context: BuildContext) -> None:
        self._search = compile_expression(descriptor.expression)
        self._convert = converter(DataSpec.of(descriptor.dtype, descriptor.shape))

    def column(self, values: Sequence[Any]) -> Mapped:
        """What is found in each value, converted."""
        search, convert = self._search, self._convert
        mapped: list[Value] = []
        failed: dict[int, RecordError] = {}
        for value in values:
            try:
                mapped.append(convert(search(plain(value))))
            except RecordError as error:
                failed[len(mapped)] = error
                mapped.append(None)
        return mapped, failed
