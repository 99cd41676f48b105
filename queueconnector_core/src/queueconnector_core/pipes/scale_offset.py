"""The pipe that turns raw numbers into physical ones."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import numpy as np
from msgspec import Meta

from queueconnector_core.columns import ColumnPipe
from queueconnector_core.component import BuildContext
from queueconnector_core.dataspec import DataSpec
from queueconnector_core.descriptors import DtypeLiteral, PipeDescriptor
from queueconnector_core.errors import ConfigError
from queueconnector_core.pipes._numbers import Array, NumberMap, check_numbers, fits
from queueconnector_core.pipes.cast import number_dtype

__all__ = ("ScaleOffsetPipeDescriptor", "ScaleOffsetPipe")


@attrs.frozen
class ScaleOffsetPipeDescriptor(PipeDescriptor):
    """Passes on value * scale + offset of numbers and arrays of them.

    The result has the dtype that numpy gives it: float32 stays float32, integers become float64,
    so that beyond 2^53 they are rounded. A record whose finite number becomes infinite is refused.
    """

    scale: Annotated[float, Meta(description="What the value is multiplied with.")] = 1.0
    offset: Annotated[float, Meta(description="What is added then, in the new unit.")] = 0.0
    dtype: Annotated[
        Any,
        DtypeLiteral(optional=True),
        Meta(
            description="The data type of the result, of numbers: it is rounded to integers (half "
            "to even), and a record that is out of range is refused. null: numpy's."
        ),
    ] = None

    def output(self, spec: DataSpec) -> DataSpec:
        """The dtype of the result in the same shape; raises `ConfigError` for what is no number."""
        check_numbers(spec)
        own = (np.empty(0, spec.dtype) * self.scale + self.offset).dtype
        if self.dtype is None:
            return DataSpec(own, spec.shape)
        dtype = number_dtype(self.dtype)
        if dtype.kind == "b" or (own.kind == "c" and dtype.kind != "c"):
            raise ConfigError.at("dtype", f"a result of {own} cannot become {dtype}")
        return DataSpec(dtype, spec.shape)


class ScaleOffsetPipe(NumberMap, ColumnPipe):
    """Computes all values of a batch at once."""

    def __init__(self, descriptor: ScaleOffsetPipeDescriptor, context: BuildContext) -> None:
        super().__init__(context.spec)
        self._scale, self._offset = descriptor.scale, descriptor.offset
        self._dtype = descriptor.output(context.spec).dtype

    def compute(self, array: Array) -> tuple[Array, Array]:
        """The results in their dtype."""
        results = array * self._scale + self._offset
        if results.dtype == self._dtype:
            return results, fits(array, results)
        if self._dtype.kind in "iu":
            results = np.rint(results)
        cast = results.astype(self._dtype)
        return cast, fits(results, cast) & (np.isfinite(results) | ~np.isfinite(array))
