"""The pipe that picks one field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.columns import ColumnPipe, Mapped, array_of, values_of
from queueconnector_core.component import BuildContext
from queueconnector_core.conversion import converter
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import DtypeLiteral, PipeDescriptor
from queueconnector_core.errors import ConfigError, RecordError
from queueconnector_core.record import Value

__all__ = ("SelectFieldPipeDescriptor", "SelectFieldPipe")


@attrs.frozen
class SelectFieldPipeDescriptor(PipeDescriptor):
    """Passes on one field of each structured value, or one member of each object."""

    field: Annotated[str, Meta(description="The name of the field or member.", min_length=1)]
    dtype: Annotated[
        Any,
        DtypeLiteral(),
        Meta(
            description="The data type of the member of an object, converted without losing "
            "anything. A structured field has its own: there this is left out."
        ),
    ] = "object"
    shape: Annotated[
        list[int], Meta(description="The shape of the member of an object, as dtype.")
    ] = attrs.field(factory=list)

    def output(self, spec: DataSpec) -> DataSpec:
        """The dtype and shape of the field; raises `ConfigError` when there is no such field."""
        if spec.is_object:
            return DataSpec.of(self.dtype, self.shape)
        if spec.dtype.names is None or spec.dtype.fields is None:
            raise ConfigError.at(
                "", f"found {spec}; only structured values and objects have fields"
            )
        if self.field not in spec.dtype.names:
            names = ", ".join(spec.dtype.names)
            raise ConfigError.at("field", f"there is no field {self.field!r} (allowed: {names})")
        if self.dtype != "object" or self.shape:
            raise ConfigError.at("dtype", "a structured field has its own; leave it out")
        field = spec.dtype.fields[self.field][0]
        return DataSpec(field.base, (*spec.shape, *field.shape))


class SelectFieldPipe(ColumnPipe):
    """Picks the field out of all values of a batch at once where they are structured."""

    def __init__(self, descriptor: SelectFieldPipeDescriptor, context: BuildContext) -> None:
        self._field = descriptor.field
        self._spec = context.spec
        self._convert = converter(descriptor.output(context.spec))

    def column(self, values: Sequence[Any]) -> Mapped:
        """The field of each value."""
        if self._spec.is_object:
            return self._members(values)
        if self._spec.shape:
            return [np.ascontiguousarray(value[self._field]) for value in values], {}
        return values_of(array_of(values, self._spec)[self._field]), {}

    def _members(self, values: Sequence[Any]) -> Mapped:
        mapped: list[Value] = []
        failed: dict[int, RecordError] = {}
        for value in values:
            try:
                mapped.append(self._convert(self._member(value)))
            except RecordError as error:
                failed[len(mapped)] = error
                mapped.append(None)
        return mapped, failed

    def _member(self, value: Any) -> object:
        if not isinstance(value, dict):
            raise RecordError(f"found {type(value).__name__}; only an object has members")
        if self._field not in value:
            raise RecordError(f"the object has no member {self._field!r}")
        return value[self._field]
